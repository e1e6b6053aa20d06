//! What passes on the wire, and that the stream is handed on untouched.

use crate::{ROLES, cx, exchange, kind, plaintext};
use skep_api::{
    Keypair, PeerId,
    security::{Role, SecurityErrorKind},
};
use skep_testkit::{DuplexConfig, duplex, wiretap};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

#[tokio::test]
async fn the_exchange_is_that_of_the_specification() {
    for role in ROLES {
        let (key, theirs) = (Keypair::generate_ed25519(), Keypair::generate_ed25519().public());
        let (io, mut peer) = duplex(DuplexConfig::default());
        peer.write_all(&exchange(&theirs)).await.unwrap();
        let upgrader = plaintext(key.clone());
        let secured = upgrader.secure(io, cx(role, Some(theirs.to_peer_id()))).await.unwrap();
        assert_eq!(secured.verified().peer(), theirs.to_peer_id());
        let (mut io, ..) = secured.into_parts();
        io.flush().await.unwrap();
        let expected = exchange(&key.public());
        let mut sent = vec![0; expected.len()];
        peer.read_exact(&mut sent).await.unwrap();
        assert_eq!(sent, expected, "{role}");
    }
}

#[tokio::test]
async fn data_right_behind_the_exchange_is_not_lost() {
    for role in ROLES {
        let (io, mut peer) = duplex(DuplexConfig::default());
        let mut bytes = exchange(&Keypair::generate_ed25519().public());
        bytes.extend(b"and the first words");
        peer.write_all(&bytes).await.unwrap();
        peer.shutdown().await.unwrap();
        let secured = plaintext(Keypair::generate_ed25519()).secure(io, cx(role, None)).await.unwrap();
        let mut heard = Vec::new();
        secured.into_parts().0.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"and the first words", "{role}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_dialler_does_not_say_who_it_is_before_it_knows_who_answers() {
    let (io, peer, wire) = wiretap(DuplexConfig::default());
    let dialler = plaintext(Keypair::generate_ed25519());
    let waiting = timeout(Duration::from_secs(1), dialler.secure(io, cx(Role::Dialer, None))).await;
    assert!(waiting.is_err());
    assert!(wire.sent_by(Role::Dialer).is_empty());
    drop(peer);

    let (io, mut peer, wire) = wiretap(DuplexConfig::default());
    peer.write_all(&exchange(&Keypair::generate_ed25519().public())).await.unwrap();
    let outcome = dialler.secure(io, cx(Role::Dialer, Some(PeerId::random()))).await;
    assert_eq!(kind(outcome), SecurityErrorKind::WrongPeer);
    assert!(wire.sent_by(Role::Dialer).is_empty());
    assert_eq!(peer.read(&mut [0]).await.unwrap(), 0, "the stream is closed");
}

#[tokio::test(start_paused = true)]
async fn the_listener_speaks_first() {
    let key = Keypair::generate_ed25519();
    let (io, mut peer) = duplex(DuplexConfig::default());
    let listener = plaintext(key.clone());
    let handshake = listener.secure(io, cx(Role::Listener, None));
    let waiting = timeout(Duration::from_secs(1), handshake).await;
    assert!(waiting.is_err());
    let mut sent = Vec::new();
    peer.read_to_end(&mut sent).await.unwrap();
    assert_eq!(sent, exchange(&key.public()));
}
