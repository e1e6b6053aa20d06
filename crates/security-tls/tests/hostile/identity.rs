//! Peers that claim what they cannot prove.

use crate::{
    Outcome, ROLES, cx, kind,
    peer::{Card, Forge, shake},
    tls,
};
use skep_api::{
    Keypair, PeerId,
    security::{Role, SecurityErrorKind},
};
use skep_tls::{HandshakeError, TlsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

fn other(role: Role) -> Role {
    match role {
        Role::Dialer => Role::Listener,
        Role::Listener => Role::Dialer,
    }
}

/// The plugin in `role`, which expects this peer if any, and a peer with these certificates. What the peer has to say
/// comes after it flushed and read, which is when it learns of a refusal.
async fn against(
    role: Role,
    expected: Option<PeerId>,
    card: Option<Card>,
    alpn: &[&str],
) -> (Outcome, std::io::Result<u8>) {
    let (ours, theirs) = duplex(1 << 16);
    let instance = tls();
    let peer = async {
        let mut stream = shake(Box::new(theirs), other(role), card, alpn).await?;
        stream.flush().await.map_err(HandshakeError::Io)?;
        Ok::<TlsStream, HandshakeError>(stream)
    };
    let (outcome, peer) = tokio::join!(
        async {
            let mut secured = instance.secure(Box::new(ours), cx(role, expected, &["/a"])).await?;
            let (mut io, verified, _) = secured.into_parts();
            io.write_all(b"x").await.unwrap();
            io.flush().await.unwrap();
            secured = skep_api::security::Secured::new(verified, io);
            Ok(secured)
        },
        peer
    );
    let heard = match peer {
        Ok(mut stream) => stream.read_u8().await,
        Err(error) => Err(std::io::Error::other(error)),
    };
    (outcome, heard)
}

#[tokio::test]
async fn an_honest_peer_is_known() {
    for role in ROLES {
        let forge = Forge::new();
        let peer = forge.identity.public().to_peer_id();
        let (outcome, heard) = against(role, Some(peer), Some(forge.card()), &["libp2p"]).await;
        assert_eq!(outcome.unwrap().verified().peer(), peer);
        assert_eq!(heard.unwrap(), b'x');
    }
}

#[tokio::test]
async fn what_is_not_proved_is_refused_and_the_peer_hears_of_it() {
    let stranger = || Keypair::generate_ed25519();
    type Change = fn(&mut Forge, Keypair);
    let forges: [(&str, Change, SecurityErrorKind); 8] = [
        ("an empty signature", |forge, _| forge.signature.clear(), SecurityErrorKind::BadSignature),
        ("a flipped bit", |forge, _| forge.signature[9] ^= 1, SecurityErrorKind::BadSignature),
        (
            "another key's signature",
            |forge, other| forge.signature = other.sign(b"whatever").unwrap(),
            SecurityErrorKind::BadSignature,
        ),
        (
            "a third party's id",
            |forge, other| forge.claimed = other.public().encode_protobuf(),
            SecurityErrorKind::BadSignature,
        ),
        ("no key", |forge, _| forge.claimed = b"no key".to_vec(), SecurityErrorKind::BadIdentity),
        (
            "an RSA key of 32768 bits",
            |forge, _| forge.claimed = [&[8, 0, 18, 0x86, 0x20][..], &[7; 4102]].concat(),
            SecurityErrorKind::BadIdentity,
        ),
        (
            "an expired certificate",
            |forge, _| forge.params.not_after = rcgen::date_time_ymd(2020, 1, 1),
            SecurityErrorKind::BadSignature,
        ),
        (
            "a certificate of the future",
            |forge, _| forge.params.not_before = rcgen::date_time_ymd(4000, 1, 1),
            SecurityErrorKind::BadSignature,
        ),
    ];
    for role in ROLES {
        for (what, change, expected) in forges {
            let forge = Forge::new().with(|forge| change(forge, stranger()));
            let (outcome, heard) = against(role, None, Some(forge.card()), &["libp2p"]).await;
            assert_eq!(kind(outcome), expected, "{what}, {role}");
            assert!(heard.is_err(), "{what}, {role}");
        }
    }
}

#[tokio::test]
async fn two_certificates_are_refused() {
    for role in ROLES {
        let mut card = Forge::new().card();
        card.chain.push(Forge::new().der());
        let (outcome, heard) = against(role, None, Some(card), &["libp2p"]).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), SecurityErrorKind::Malformed);
        assert_eq!(error.detail(), "2 certificates were sent, but libp2p wants exactly one");
        assert!(heard.is_err());
    }
}

#[tokio::test]
async fn a_replayed_certificate_is_refused() {
    for role in ROLES {
        let mut card = Forge::new().card();
        let victim = Forge::new();
        let id = victim.identity.public().to_peer_id();
        card.chain = vec![victim.der()];
        let (outcome, heard) = against(role, Some(id), Some(card), &["libp2p"]).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), SecurityErrorKind::BadSignature);
        assert_eq!(error.detail(), "it does not hold the key of its certificate");
        assert!(heard.is_err());
    }
}

#[tokio::test]
async fn a_dialler_without_a_certificate_is_refused() {
    let (outcome, heard) = against(Role::Listener, None, None, &["libp2p"]).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), SecurityErrorKind::BadSignature);
    assert_eq!(error.detail(), "it sent no certificate");
    assert!(heard.is_err());
}

#[tokio::test]
async fn another_peer_than_expected_is_refused() {
    for role in ROLES {
        let (outcome, heard) =
            against(role, Some(PeerId::random()), Some(Forge::new().card()), &["libp2p"]).await;
        assert_eq!(kind(outcome), SecurityErrorKind::WrongPeer);
        let error = heard.unwrap_err().to_string();
        assert!(error.contains("AccessDenied"), "{error}");
    }
}

#[tokio::test]
async fn another_application_protocol_is_refused() {
    for role in ROLES {
        let (outcome, heard) = against(role, None, Some(Forge::new().card()), &["http/1.1"]).await;
        assert_eq!(kind(outcome), SecurityErrorKind::NoCommonProtocol, "{role}");
        assert!(heard.is_err());
    }
}

#[tokio::test]
async fn a_peer_that_names_no_application_protocol_negotiates_its_muxer_later() {
    for role in ROLES {
        let (outcome, heard) = against(role, None, Some(Forge::new().card()), &[]).await;
        assert_eq!(outcome.unwrap().early_muxer(), None);
        assert_eq!(heard.unwrap(), b'x');
    }
}
