//! Handshakes with a peer that is honest, and with peers that are not.

use crate::{
    Outcome, against, cx, noise, other,
    peer::{Peer, Session, field, muxers, proof},
    wire,
};
use skep_api::{
    ConfigSection, Keypair,
    error::chain,
    security::{Role, SecurityErrorKind},
};
use skep_security_noise::PLUGIN;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ROLES: [Role; 2] = [Role::Dialer, Role::Listener];

fn kind(outcome: Outcome) -> SecurityErrorKind {
    outcome.map(|secured| secured.verified().peer()).unwrap_err().kind()
}

/// Runs the peer's side until the message that carries its proof, and sends that payload.
async fn send_proof(mut peer: Peer, role: Role, payload: Vec<u8>) -> Peer {
    if role == Role::Dialer {
        peer.receive().await;
    } else {
        peer.send(b"").await;
        peer.receive().await;
    }
    peer.send(&payload).await;
    peer
}

#[tokio::test]
async fn an_honest_peer_is_known_and_data_passes_both_ways() {
    for role in ROLES {
        let (io, theirs) = wire();
        let peer = Peer::new(other(role), theirs);
        let (id, proof) = (peer.identity.public().to_peer_id(), peer.proof());
        let instance = noise();
        let ours = async {
            let mut stream = instance.secure(io, cx(role, Some(id), &[])).await.unwrap().into_parts().0;
            stream.write_all(b"ours").await.unwrap();
            stream.flush().await.unwrap();
            let mut got = [0; 6];
            stream.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"theirs");
        };
        let theirs = async {
            let (mut session, _) = peer.shake(other(role), &proof).await;
            assert_eq!(session.receive().await, b"ours");
            let frame = session.frame(b"theirs");
            session.io.write_all(&frame).await.unwrap();
        };
        tokio::join!(ours, theirs);
    }
}

#[tokio::test]
async fn a_signature_over_another_static_key_is_refused() {
    for role in ROLES {
        let (outcome, _) = against(role, async |peer| {
            let wrong = proof(&peer.identity, &peer.identity, &[7; 32]);
            send_proof(peer, role, wrong).await
        })
        .await;
        assert_eq!(kind(outcome), SecurityErrorKind::BadSignature, "{role}");
    }
}

#[tokio::test]
async fn a_signature_by_another_key_is_refused() {
    for role in ROLES {
        let (outcome, _) = against(role, async |peer| {
            let claimed = Keypair::generate_ed25519();
            let wrong = proof(&claimed, &peer.identity, &peer.static_public);
            send_proof(peer, role, wrong).await
        })
        .await;
        assert_eq!(kind(outcome), SecurityErrorKind::BadSignature, "{role}");
    }
}

#[tokio::test]
async fn a_payload_that_proves_nothing_is_refused() {
    let cases = [
        (Vec::new(), SecurityErrorKind::BadIdentity),
        (field(1, b"no key"), SecurityErrorKind::BadIdentity),
        (field(1, &Keypair::generate_ed25519().public().encode_protobuf()), SecurityErrorKind::BadSignature),
        (b"\xff\xff\xff".to_vec(), SecurityErrorKind::Malformed),
    ];
    for (payload, expected) in cases {
        for role in ROLES {
            let script = async |peer| send_proof(peer, role, payload.clone()).await;
            let (outcome, _) = against(role, script).await;
            assert_eq!(kind(outcome), expected, "{role} {payload:?}");
        }
    }
}

#[tokio::test]
async fn a_dialler_does_not_tell_a_wrong_peer_who_it_is() {
    let (io, theirs) = wire();
    let peer = Peer::new(Role::Listener, theirs);
    let payload = peer.proof();
    let stranger = Keypair::generate_ed25519().public().to_peer_id();
    let instance = noise();
    let (outcome, rest) = tokio::join!(instance.secure(io, cx(Role::Dialer, Some(stranger), &[])), async {
        let mut peer = send_proof(peer, Role::Dialer, payload).await;
        let mut rest = Vec::new();
        peer.io.read_to_end(&mut rest).await.unwrap();
        rest
    });
    assert_eq!(kind(outcome), SecurityErrorKind::WrongPeer);
    assert!(rest.is_empty());
}

#[tokio::test]
async fn both_ends_learn_that_the_wrong_peer_was_dialled() {
    let (dialer, listener) = (noise(), noise());
    let (a, b) = skep_testkit::duplex(skep_testkit::DuplexConfig::default());
    let stranger = Keypair::generate_ed25519().public().to_peer_id();
    let (dialed, accepted) = tokio::join!(
        dialer.secure(a, cx(Role::Dialer, Some(stranger), &[])),
        listener.secure(b, cx(Role::Listener, None, &[]))
    );
    assert_eq!(kind(dialed), SecurityErrorKind::WrongPeer);
    let error = accepted.unwrap_err();
    assert_eq!(error.kind(), SecurityErrorKind::Io);
    assert_eq!(error.detail(), "the peer closed the connection before its handshake message 3");
}

#[tokio::test]
async fn what_is_not_noise_is_named_so() {
    let (outcome, ()) = against(Role::Listener, async |mut peer| {
        peer.io.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    })
    .await;
    assert_eq!(
        chain(&outcome.unwrap_err()),
        "the peer's handshake is malformed: handshake message 1 announces 18245 bytes, at most 16384 are allowed"
    );
    let (outcome, ()) = against(Role::Listener, async |mut peer| {
        peer.io.write_all(b"\0\x04junk").await.unwrap();
    })
    .await;
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), SecurityErrorKind::Malformed);
    assert_eq!(error.detail(), "handshake message 1 is too short");
}

#[tokio::test]
async fn a_message_is_not_read_beyond_its_bound() {
    // The longest message of zeros is a legal first message; its key is then found to be a point of small order.
    let (outcome, ()) = against(Role::Listener, async |mut peer| {
        peer.io.write_all(&16_384_u16.to_be_bytes()).await.unwrap();
        for _ in 0..16_384 {
            peer.io.write_all(&[0]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut answer = Vec::new();
        peer.io.read_to_end(&mut answer).await.unwrap();
        assert!(answer.is_empty());
    })
    .await;
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), SecurityErrorKind::Malformed);
    assert_eq!(error.detail(), "handshake message 2 leads to a key that is all zeros");
}

#[tokio::test]
async fn a_handshake_cut_anywhere_is_an_error() {
    for cut in 0..34 {
        let (outcome, ()) = against(Role::Listener, async |mut peer| {
            let message = peer.message(b"");
            peer.io.write_all(&message[..cut]).await.unwrap();
        })
        .await;
        assert_eq!(kind(outcome), SecurityErrorKind::Io, "message 1 at {cut}");
    }
    for role in ROLES {
        let mut len = usize::MAX;
        let mut cut = 0;
        while cut < len {
            let (outcome, whole) = tamper(role, |message| message.truncate(cut)).await;
            assert_eq!(kind(outcome), SecurityErrorKind::Io, "{role} at {cut}");
            (len, cut) = (whole, cut + 1);
        }
    }
}

#[tokio::test]
async fn a_handshake_changed_anywhere_is_an_error() {
    for role in ROLES {
        let (mut len, mut at) = (usize::MAX, 0);
        while at < len {
            let (outcome, whole) = tamper(role, |message| message[at] ^= 1 << (at % 8)).await;
            // A changed length leads to one of the other two.
            let kinds = [SecurityErrorKind::Decrypt, SecurityErrorKind::Malformed, SecurityErrorKind::Io];
            let found = kind(outcome);
            assert!(kinds.contains(&found), "{role} at {at}: {found:?}");
            assert!(at < 2 || found == SecurityErrorKind::Decrypt, "{role} at {at}: {found:?}");
            (len, at) = (whole, at + 1);
        }
    }
}

/// The peer's message with its proof, changed; then the end of file. Also returns the length of the message.
async fn tamper(role: Role, change: impl FnOnce(&mut Vec<u8>)) -> (Outcome, usize) {
    against(role, async |mut peer| {
        if role == Role::Dialer {
            peer.receive().await;
        } else {
            peer.send(b"").await;
            peer.receive().await;
        }
        let payload = peer.proof();
        let mut message = peer.message(&payload);
        let len = message.len();
        change(&mut message);
        peer.io.write_all(&message).await.unwrap();
        len
    })
    .await
}

#[tokio::test]
async fn the_muxer_is_settled_if_both_sides_offer_one() {
    let cases: [(Vec<u8>, Option<&str>); 4] = [
        (muxers(&["/b", "/a"]), Some("/a")),
        (muxers(&["/c"]), None),
        (muxers(&[]), None),
        (Vec::new(), None),
    ];
    for (offer, expected) in cases {
        let (io, theirs) = wire();
        let peer = Peer::new(Role::Listener, theirs);
        let payload = [peer.proof(), offer].concat();
        let instance = noise();
        let ours = async {
            let secured = instance.secure(io, cx(Role::Dialer, None, &["/a", "/b"])).await.unwrap();
            assert_eq!(secured.early_muxer(), expected);
            secured.into_parts().0.flush().await.unwrap();
        };
        let ((), (_, sent)): ((), (Session, Vec<u8>)) =
            tokio::join!(ours, peer.shake(Role::Listener, &payload));
        assert!(sent.ends_with(&muxers(&["/a", "/b"])));
    }
}

#[tokio::test]
async fn a_node_without_early_muxer_neither_offers_nor_takes_one() {
    let table = serde_json::Map::from_iter([("early_muxer".to_string(), false.into())]);
    let section = ConfigSection::from_table("security.noise", table);
    let instance = (PLUGIN.build)(&section, &skep_testkit::build_cx()).unwrap();
    let (io, theirs) = wire();
    let peer = Peer::new(Role::Dialer, theirs);
    let payload = [peer.proof(), muxers(&["/a"])].concat();
    let (secured, (_, sent)) = tokio::join!(
        instance.secure(io, cx(Role::Listener, None, &["/a"])),
        peer.shake(Role::Dialer, &payload)
    );
    assert_eq!(secured.unwrap().early_muxer(), None);
    assert!(!sent.windows(2).any(|w| w == b"/a"));
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let text = format!("{:?}", noise());
    assert_eq!(
        text,
        "Noise { identity: Identity { .. }, pool: Pool { max_idle: 64, .. }, early_muxer: true }"
    );
}
