//! Peers whose handshake must not end well, in both roles, and what is said of them.
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod ends;
mod strangers;

use ends::{listen, multiaddr_of, muxed, transport};
use skep_api::{
    Keypair, PeerId,
    error::chain,
    multiaddr::Protocol,
    security::{SecurityError, SecurityErrorKind},
    transport::{Link, TransportError, TransportErrorKind},
};
use std::error::Error as _;
use strangers::{Flaw, client, server};

/// What was found of the peer, if that is why it failed.
fn verdict(error: &TransportError) -> Option<SecurityErrorKind> {
    error.source().and_then(|source| source.downcast_ref::<SecurityError>()).map(SecurityError::kind)
}

/// What a listener makes of a stranger that dials it.
async fn accept_from(flaw: Flaw) -> Result<Link, TransportError> {
    let node = transport("");
    let (mut listener, addr) = listen(&node).await;
    let (endpoint, config) = client(&Keypair::generate_ed25519(), flaw);
    let dial = endpoint.connect_with(config, ends::socket_of(&addr), "x").expect("a dial");
    let dial = tokio::spawn(dial);
    let accepted = listener.accept().await.expect("accept").accept().await;
    let dialed = dial.await.expect("the dial");
    if let Ok(connection) = dialed {
        assert!(flaw == Flaw::None || accepted.is_err());
        if accepted.is_err() {
            // A client is done before its certificate was looked at, and is told afterwards.
            connection.closed().await;
        }
    }
    accepted
}

/// What a dialler makes of a stranger that it dials.
async fn dial_to(flaw: Flaw) -> Result<Link, TransportError> {
    let endpoint = server(&Keypair::generate_ed25519(), flaw);
    let addr = endpoint.local_addr().expect("an address");
    let serve = tokio::spawn(async move {
        let incoming = endpoint.accept().await.expect("a connection");
        let ended = incoming.await;
        drop((ended, endpoint));
    });
    let dialed = transport("").dial(&multiaddr_of(addr)).await;
    serve.await.expect("the stranger");
    dialed
}

#[tokio::test]
async fn good_strangers_are_taken() {
    assert!(accept_from(Flaw::None).await.is_ok());
    assert!(dial_to(Flaw::None).await.is_ok());
}

#[tokio::test]
async fn a_dialler_without_a_certificate_is_refused() {
    let error = accept_from(Flaw::NoCertificate).await.unwrap_err();
    let expected = (TransportErrorKind::Handshake, Some(SecurityErrorKind::BadSignature));
    assert_eq!((error.kind(), verdict(&error)), expected, "{error}");
    assert!(chain(&error).contains("it sent no certificate"), "{}", chain(&error));
}

#[tokio::test]
async fn bad_certificates_are_refused_by_listeners() {
    for (flaw, kind) in [
        (Flaw::TwoCertificates, SecurityErrorKind::Malformed),
        (Flaw::Expired, SecurityErrorKind::BadSignature),
    ] {
        let error = accept_from(flaw).await.unwrap_err();
        assert_eq!((error.kind(), verdict(&error)), (TransportErrorKind::Handshake, Some(kind)), "{flaw:?}");
    }
}

#[tokio::test]
async fn bad_certificates_are_refused_by_diallers() {
    for (flaw, kind) in [
        (Flaw::TwoCertificates, SecurityErrorKind::Malformed),
        (Flaw::Expired, SecurityErrorKind::BadSignature),
    ] {
        let error = dial_to(flaw).await.unwrap_err();
        assert_eq!((error.kind(), verdict(&error)), (TransportErrorKind::Handshake, Some(kind)), "{flaw:?}");
    }
}

#[tokio::test]
async fn another_application_protocol_is_refused() {
    let error = dial_to(Flaw::OtherProtocol).await.unwrap_err();
    let expected = (TransportErrorKind::Handshake, Some(SecurityErrorKind::NoCommonProtocol));
    assert_eq!((error.kind(), verdict(&error)), expected, "{error}");
    let error = accept_from(Flaw::OtherProtocol).await.unwrap_err();
    assert_eq!((error.kind(), verdict(&error)), expected, "{error}");
}

#[tokio::test]
async fn another_peer_than_the_one_named_is_refused() {
    let (node, dialer) = (transport(""), transport(""));
    let (mut listener, addr) = listen(&node).await;
    let named = addr.clone().with(Protocol::P2p(PeerId::random()));
    let accept = async { listener.accept().await.expect("accept").accept().await };
    let (dialed, accepted) = tokio::join!(dialer.dial(&named), accept);
    let error = dialed.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Handshake);
    assert_eq!(verdict(&error), Some(SecurityErrorKind::WrongPeer));
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
    // The listener hears of it through an alert.
    let error = accepted.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Handshake, "{error}");
    assert!(verdict(&error).is_some(), "{error:?}");
}

#[tokio::test]
async fn each_end_knows_the_other() {
    let (a, b) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let of = |key: &Keypair| {
        let cx = skep_testkit::build_cx_with(key.clone());
        let section = skep_api::ConfigSection::empty("transport.quic");
        (skep_transport_quic::PLUGIN.build)(&section, &cx).expect("a transport")
    };
    let (dialer, node) = (of(&a), of(&b));
    let (mut listener, addr) = listen(&node).await;
    let named = addr.with(Protocol::P2p(b.public().to_peer_id()));
    let (dialed, accepted) = ends::connect_at(&dialer, &mut listener, &named).await;
    assert_eq!(muxed(dialed).muxed.verified().peer(), b.public().to_peer_id());
    assert_eq!(muxed(accepted).muxed.verified().peer(), a.public().to_peer_id());
}
