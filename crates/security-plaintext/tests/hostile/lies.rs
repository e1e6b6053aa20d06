//! What is refused, and as what.

use crate::{ROLES, against, cx, exchange, field, framed, kind, varint};
use skep_api::{
    Keypair, PeerId,
    security::{SecureCx, SecurityErrorKind, Verifier},
};

#[tokio::test]
async fn an_honest_peer_is_refused_without_consent() {
    for role in ROLES {
        let honest = exchange(&Keypair::generate_ed25519().public());
        let cx = SecureCx::new(role, Verifier::new(None), Vec::new());
        assert_eq!(kind(against(role, cx, &honest).await), SecurityErrorKind::InsecureRefused, "{role}");
    }
}

#[tokio::test]
async fn an_id_that_is_not_that_of_the_key_is_refused() {
    let (key, other) = (Keypair::generate_ed25519().public(), Keypair::generate_ed25519().public());
    let lie = framed(&[field(1, &other.to_peer_id().to_bytes()), field(2, &key.encode_protobuf())].concat());
    for role in ROLES {
        // Whichever of the two is expected.
        for expected in [None, Some(key.to_peer_id())] {
            let outcome = against(role, cx(role, expected), &lie).await;
            assert_eq!(kind(outcome), SecurityErrorKind::BadIdentity, "{role}");
        }
        let outcome = against(role, cx(role, Some(other.to_peer_id())), &lie).await;
        assert_eq!(kind(outcome), SecurityErrorKind::WrongPeer, "{role}");
    }
}

#[tokio::test]
async fn another_peer_than_expected_is_refused() {
    let honest = exchange(&Keypair::generate_ed25519().public());
    for role in ROLES {
        let outcome = against(role, cx(role, Some(PeerId::random())), &honest).await;
        assert_eq!(kind(outcome), SecurityErrorKind::WrongPeer, "{role}");
    }
}

#[tokio::test]
async fn messages_that_say_too_little_or_nonsense_are_refused() {
    let key = Keypair::generate_ed25519().public();
    let (id, encoded) = (key.to_peer_id().to_bytes(), key.encode_protobuf());
    let cases = [
        (framed(&[]), SecurityErrorKind::Malformed, "its exchange has no peer id"),
        (framed(&field(2, &encoded)), SecurityErrorKind::Malformed, "its exchange has no peer id"),
        (framed(&field(1, &id)), SecurityErrorKind::Malformed, "its exchange has no public key"),
        (
            framed(&[field(1, b"no id"), field(2, &encoded)].concat()),
            SecurityErrorKind::Malformed,
            "its exchange has no valid peer id",
        ),
        (
            framed(&[field(1, &id), field(2, b"no key")].concat()),
            SecurityErrorKind::BadIdentity,
            "not a public key",
        ),
        (
            framed(b"\xff\xff\xff"),
            SecurityErrorKind::Malformed,
            "its exchange is not the protobuf it should be",
        ),
    ];
    for (bytes, expected, says) in cases {
        for role in ROLES {
            let error = against(role, cx(role, None), &bytes).await.map(drop).unwrap_err();
            assert_eq!(error.kind(), expected, "{role}: {error}");
            assert!(error.to_string().contains(says), "{role}: {error}");
        }
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_is_refused_at_its_length() {
    let key = vec![7; 2_200];
    let too_long = framed(&[field(1, &PeerId::random().to_bytes()), field(2, &key)].concat());
    let cases = [
        (too_long, "announces 2239 bytes, at most 2176 are allowed"),
        (varint(16_383), "announces 16383 bytes"),
        (varint(1 << 20), "is longer than the 2176 bytes allowed"),
        (varint(usize::MAX), "is longer than the 2176 bytes allowed"),
        (vec![0xff; 100_000], "is longer than the 2176 bytes allowed"),
        (vec![0x80; 11], "is longer than the 2176 bytes allowed"),
        (vec![0x80, 0x00], "the length of its exchange is no varint"),
    ];
    for (bytes, says) in cases {
        for role in ROLES {
            // The end of file would be another error: the length alone decides.
            let bytes = &bytes[..bytes.len().min(60_000)];
            let error = against(role, cx(role, None), bytes).await.map(drop).unwrap_err();
            assert_eq!(error.kind(), SecurityErrorKind::Malformed, "{role}: {error}");
            assert!(error.to_string().contains(says), "{role}: {error}");
        }
    }
}

#[tokio::test]
async fn an_exchange_that_is_cut_anywhere_is_an_error() {
    for key in [Keypair::generate_ed25519(), Keypair::generate_ecdsa()] {
        let honest = exchange(&key.public());
        for role in ROLES {
            for cut in 0..honest.len() {
                let outcome = against(role, cx(role, None), &honest[..cut]).await;
                assert_eq!(kind(outcome), SecurityErrorKind::Io, "{role}, cut at {cut}");
            }
            assert!(against(role, cx(role, None), &honest).await.is_ok(), "{role}");
        }
    }
}
