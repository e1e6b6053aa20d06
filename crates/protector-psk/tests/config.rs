//! The table `[protector.psk]` and the files that it names: what is taken, and what is said of the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use skep_api::{ConfigSection, PluginConfig};
use skep_protector_psk::{Config, PLUGIN};

fn section(toml: &str) -> ConfigSection {
    ConfigSection::from_table("protector.psk", toml::from_str(toml).expect("TOML"))
}

#[tokio::test]
async fn keys_are_read() {
    let section = section(include_str!("../testdata/valid.toml"));
    let config: Config = section.decode().unwrap();
    let expected =
        Config { key_file: "testdata/swarm.key".into(), accept: vec!["testdata/swarm.old.key".into()] };
    assert_eq!(config, expected);
    let plugin = (PLUGIN.build)(&section, &skep_testkit::build_cx()).unwrap();
    assert_eq!(
        format!("{plugin:?}"),
        "Psk { fingerprints: [\"45fc986bbc9388a11d939df26f730f0c\", \"0bc2439ea599e076c573dda3023e4681\"] }"
    );
}

#[tokio::test]
async fn every_mistake_of_the_table_is_told() {
    let paths = vec!["\"\""; 17].join(", ");
    let wrong = [format!("accept = [{paths}]"), "key_file = 7".into(), "keyfile = \"swarm.key\"".into()];
    let errors = section(&wrong.join("\n")).decode::<Config>().unwrap_err();
    let text = errors.to_string();
    let (head, tail) = text.split_once("  4. ").unwrap();
    assert_eq!(
        head,
        "21 problems in the configuration:\n  \
         1. protector.psk.key_file: invalid type: integer `7`, expected path string [set in code]\n    \
         The `swarm.key` of the network: what is dialled with, and accepted. No default; a relative path starts at \
         the working directory.\n  \
         2. protector.psk.keyfile: unknown key [set in code]\n    \
         did you mean `key_file`? keys here: accept, key_file\n  \
         3. protector.psk.key_file: there is no key file [set in code]\n    \
         the path of a key file, such as \"swarm.key\"\n"
    );
    assert!(tail.starts_with(
        "protector.psk.accept[0]: \"\" is no path [set in code]\n    \
         the path of a key file, such as \"swarm.key\"\n"
    ));
    assert!(tail.ends_with(
        "21. protector.psk.accept: 17 key files are too many [set in code]\n    allowed: up to 16"
    ));
}

#[tokio::test]
async fn every_mistake_of_a_file_is_told_and_nothing_that_is_in_it() {
    let errors =
        (PLUGIN.build)(&section(include_str!("../testdata/invalid.toml")), &skep_testkit::build_cx());
    let text = errors.unwrap_err().to_string();
    let a_path = "give the path of the network's `swarm.key`; a relative one starts at the working directory";
    let a_key = "allowed: 32 bytes and the end of the file, as 64 digits after `/base16/`, as 44 characters after \
                 `/base64/`, as they are after `/bin/`";
    assert_eq!(
        text,
        format!(
            "6 problems in the configuration:\n  \
             1. protector.psk.key_file: testdata/junk.key, line 3: the key is not in base16 [set in code]\n    \
             {a_key}\n  \
             2. protector.psk.accept[0]: testdata/missing.key cannot be read: No such file or directory (os error 2) \
             [set in code]\n    {a_path}\n  \
             3. protector.psk.accept[1]: testdata/cut.key, line 3: the key has 62 characters instead of 64 \
             [set in code]\n    {a_key}\n  \
             4. protector.psk.accept[2]: testdata/base32.key, line 2: the encoding is not known [set in code]\n    \
             allowed: `/base16/`, `/base64/` or `/bin/`\n  \
             5. protector.psk.accept[3]: testdata/valid.toml, line 1: this is no `swarm.key` [set in code]\n    \
             allowed: `/key/swarm/psk/1.0.0/`\n  \
             6. protector.psk.accept[4]: testdata is no regular file [set in code]\n    {a_path}"
        )
    );
    assert!(!text.contains("secret"));
}

#[test]
fn the_readme_has_every_key() {
    let readme = include_str!("../README.md");
    let schema = (PLUGIN.schema)();
    for key in schema.get("properties").unwrap().as_object().unwrap().keys() {
        assert!(readme.contains(&format!("| `{key}` |")), "no row for {key}");
    }
    assert_eq!(PLUGIN.origin.config_file, Config::FILE);
}
