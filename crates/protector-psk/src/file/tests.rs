use super::{FileError, Wrong, parse};

const HEX: &str = "6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef683";
const BASE64: &str = "YYnFzwuH+4AMGp/u2nPGq16ZjbSPueapeFdcdwzu9oM=";
const FINGERPRINT: &str = "45fc986bbc9388a11d939df26f730f0c";

fn file(encoding: &str, end_of_line: &str, key: &[u8]) -> Vec<u8> {
    [format!("/key/swarm/psk/1.0.0/{end_of_line}{encoding}{end_of_line}").as_bytes(), key].concat()
}

fn wrong(text: &[u8]) -> (u8, Wrong) {
    match parse(text) {
        Err(FileError::Line(line, wrong)) => (line, wrong),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("taken: {}", String::from_utf8_lossy(text)),
    }
}

#[test]
fn each_encoding_is_read_with_any_end_of_line_or_none() {
    let bytes = hex::decode(HEX).unwrap();
    let upper = HEX.to_uppercase();
    for (encoding, key) in [
        ("/base16/", HEX.as_bytes()),
        ("/base16/", upper.as_bytes()),
        ("/base64/", BASE64.as_bytes()),
        ("/bin/", bytes.as_slice()),
    ] {
        for end_of_line in ["\n", "\r\n"] {
            for last in ["", "\n", "\r\n"] {
                let key = parse(&file(encoding, end_of_line, &[key, last.as_bytes()].concat()));
                assert_eq!(
                    key.ok().unwrap().fingerprint(),
                    FINGERPRINT,
                    "{encoding} {end_of_line:?} {last:?}"
                );
            }
        }
    }
}

#[test]
fn bytes_of_a_key_may_be_those_of_a_line_end() {
    for key in [[b'\n'; 32], [b'\r'; 32]] {
        for last in ["", "\n", "\r\n"] {
            assert!(parse(&file("/bin/", "\n", &[&key, last.as_bytes()].concat())).is_ok());
        }
    }
}

#[test]
fn anything_else_is_an_error_of_its_line() {
    for text in ["", "\n", HEX, "/key/swarm/psk/1.0.0", "/key/swarm/psk/2.0.0/\n", " /key/swarm/psk/1.0.0/\n"]
    {
        assert_eq!(wrong(text.as_bytes()), (1, Wrong::Codec), "{text:?}");
    }
    assert_eq!(wrong(b"/key/swarm/psk/1.0.0/"), (2, Wrong::Missing));
    assert_eq!(wrong(b"/key/swarm/psk/1.0.0/\n"), (2, Wrong::Missing));
    assert_eq!(wrong(&file(HEX, "\n", b"")), (2, Wrong::Encoding));
    assert_eq!(wrong(&file("/base32/", "\n", HEX.as_bytes())), (2, Wrong::Encoding));
    for encoding in ["/base16/", "/base64/", "/bin/"] {
        assert_eq!(wrong(&file(encoding, "\n", b"")), (3, Wrong::Missing), "{encoding}");
    }
    assert_eq!(wrong(&file("/base16/", "\n", b"\n")), (3, Wrong::Length("characters", 0, 64)));
    assert_eq!(
        wrong(&file("/base16/", "\n", &HEX.as_bytes()[1..])),
        (3, Wrong::Length("characters", 63, 64))
    );
    assert_eq!(
        wrong(&file("/base16/", "\n", format!("{HEX} ").as_bytes())),
        (3, Wrong::Length("characters", 65, 64))
    );
    assert_eq!(
        wrong(&file("/base16/", "\n", HEX.replace('c', "g").as_bytes())),
        (3, Wrong::Digits("base16"))
    );
    assert_eq!(wrong(&file("/base16/", "\n", format!("{HEX}\n\n").as_bytes())), (3, Wrong::TooLong));
    assert_eq!(
        wrong(&file("/base64/", "\n", BASE64.trim_end_matches('=').as_bytes())),
        (3, Wrong::Length("characters", 43, 44))
    );
    assert_eq!(
        wrong(&file("/base64/", "\n", BASE64.replace('+', "-").as_bytes())),
        (3, Wrong::Digits("base64"))
    );
    // 31 and 33 bytes take 44 characters too.
    assert_eq!(
        wrong(&file("/base64/", "\n", &[&[b'A'; 42][..], b"=="].concat())),
        (3, Wrong::Length("bytes", 31, 32))
    );
    assert_eq!(wrong(&file("/base64/", "\n", &[b'A'; 44])), (3, Wrong::Length("bytes", 33, 32)));
    assert_eq!(wrong(&file("/bin/", "\n", &[7; 31])), (3, Wrong::Length("bytes", 31, 32)));
    assert_eq!(wrong(&file("/bin/", "\n", &[7; 33])), (3, Wrong::Length("bytes", 33, 32)));
}
