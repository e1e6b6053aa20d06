//! How dials fail, and where connections are dialled from.
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod ends;

use ends::{connect_at, connection, listen, multiaddr_of, muxed, socket_of, transport};
use skep_api::{
    Multiaddr,
    error::{Kind, Retry},
    transport::{TransportError, TransportErrorKind},
};
use std::error::Error;
use tokio::net::UdpSocket;

async fn failed_dial(table: &str, addr: &str) -> TransportError {
    let addr: Multiaddr = addr.parse().expect("a multiaddr");
    transport(table).dial(&addr).await.expect_err("the dial must fail")
}

#[tokio::test]
async fn other_forms_are_unsupported() {
    let error = failed_dial("", "/ip4/127.0.0.1/tcp/1").await;
    assert_eq!(error.kind(), TransportErrorKind::Unsupported);
    assert_eq!(
        error.to_string(),
        "this transport does not serve the address: /ip4/127.0.0.1/tcp/1: \
         not of the form /ip4|ip6/<address>/udp/<port>/quic-v1"
    );
}

#[tokio::test]
async fn wildcards_and_port_zero_are_not_dialled() {
    for addr in ["/ip4/0.0.0.0/udp/4001/quic-v1", "/ip6/::/udp/4001/quic-v1", "/ip4/127.0.0.1/udp/0/quic-v1"]
    {
        let error = failed_dial("", addr).await;
        assert_eq!(error.kind(), TransportErrorKind::AddressUnavailable, "{addr}");
        assert_eq!(error.kind().retry(), Retry::Permanent);
        assert!(error.source().is_some());
    }
}

#[tokio::test]
async fn a_silent_address_times_out() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = multiaddr_of(silent.local_addr().unwrap());
    let error = failed_dial("handshake_timeout = \"300ms\"", &addr.to_string()).await;
    assert_eq!(error.kind(), TransportErrorKind::TimedOut);
    assert_eq!(
        error.to_string(),
        format!("no answer in time: {addr}: no connection within 300ms (`handshake_timeout`)")
    );
    assert!(error.source().is_some());
}

#[tokio::test]
async fn a_connection_that_is_turned_away_is_refused() {
    for drops in [false, true] {
        let node = transport("");
        let (mut listener, addr) = listen(&node).await;
        let accept = async {
            let incoming = listener.accept().await.expect("accept");
            if drops { drop(incoming) } else { incoming.refuse() }
        };
        let dialer = transport("");
        let (dialed, ()) = tokio::join!(dialer.dial(&addr), accept);
        let error = dialed.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Refused, "{error}");
        assert!(error.source().unwrap().is::<quinn::ConnectionError>());
    }
}

/// A server that knows another version alone (RFC 9000, section 6).
#[tokio::test]
async fn a_peer_without_version_1_fails_the_handshake() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = multiaddr_of(server.local_addr().unwrap());
    let negotiate = async {
        let mut initial = vec![0; 2_048];
        let (_, from) = server.recv_from(&mut initial).await.unwrap();
        let dcid = initial[6..6 + usize::from(initial[5])].to_vec();
        let at = 6 + dcid.len();
        let scid = initial[at + 1..at + 1 + usize::from(initial[at])].to_vec();
        let mut answer = vec![0x80, 0, 0, 0, 0];
        for id in [&scid, &dcid] {
            answer.push(u8::try_from(id.len()).unwrap());
            answer.extend_from_slice(id);
        }
        answer.extend_from_slice(&0x6b33_43cf_u32.to_be_bytes());
        server.send_to(&answer, from).await.unwrap();
    };
    let dialer = transport("");
    let (dialed, ()) = tokio::join!(dialer.dial(&addr), negotiate);
    let error = dialed.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Handshake, "{error}");
    let source = error.source().unwrap().downcast_ref::<quinn::ConnectionError>();
    assert_eq!(source, Some(&quinn::ConnectionError::VersionMismatch));
}

#[tokio::test]
async fn dials_start_from_the_listening_port() {
    let (ours, theirs) = (transport(""), transport(""));
    let (_our_listener, our_addr) = listen(&ours).await;
    let (mut their_listener, their_addr) = listen(&theirs).await;
    let (first, accepted) = connect_at(&ours, &mut their_listener, &their_addr).await;
    assert_eq!(*first.local(), our_addr);
    assert_eq!(*accepted.remote(), our_addr);
    // QUIC tells connections apart by their ids, so that any number has the same two ends.
    let (second, _accepted) = connect_at(&ours, &mut their_listener, &their_addr).await;
    assert_eq!(*second.local(), our_addr);
}

#[tokio::test]
async fn without_port_reuse_dials_share_a_port_of_their_own() {
    let (ours, theirs) = (transport("port_reuse = false"), transport(""));
    let (_our_listener, our_addr) = listen(&ours).await;
    let (mut their_listener, their_addr) = listen(&theirs).await;
    let (first, accepted) = connect_at(&ours, &mut their_listener, &their_addr).await;
    assert_ne!(*first.local(), our_addr);
    assert_eq!(accepted.remote(), first.local());
    let (second, _accepted) = connect_at(&ours, &mut their_listener, &their_addr).await;
    assert_eq!(second.local(), first.local());
}

#[tokio::test]
async fn a_listener_on_another_address_of_the_host_is_not_dialled_from() {
    let (ours, theirs) = (transport(""), transport(""));
    let elsewhere = "/ip4/127.0.0.2/udp/0/quic-v1".parse().expect("a multiaddr");
    let _our_listener = ours.listen(&elsewhere).await.expect("listen");
    let (mut their_listener, their_addr) = listen(&theirs).await;
    let (dialed, _accepted) = connect_at(&ours, &mut their_listener, &their_addr).await;
    // What the system reaches it from.
    assert_eq!(socket_of(dialed.local()).ip(), std::net::Ipv4Addr::LOCALHOST);
}

#[tokio::test]
async fn the_socket_of_dials_stays_for_a_while_after_the_last_of_them() {
    let (ours, theirs) = (transport(""), transport(""));
    let (mut their_listener, their_addr) = listen(&theirs).await;
    let (dialed, _accepted) = connect_at(&ours, &mut their_listener, &their_addr).await;
    let local = dialed.local().clone();
    drop(dialed);
    let (again, _accepted) = connect_at(&ours, &mut their_listener, &their_addr).await;
    assert_eq!(*again.local(), local);
    drop(again);
    let port = socket_of(&local).port();
    assert!(std::net::UdpSocket::bind(("0.0.0.0", port)).is_err(), "the port is in use");
    tokio::time::pause();
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    while std::net::UdpSocket::bind(("0.0.0.0", port)).is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
#[tokio::test]
async fn a_dial_to_the_own_listener_arrives() {
    let node = transport("");
    let (mut listener, addr) = listen(&node).await;
    let (dialed, accepted) = connect_at(&node, &mut listener, &addr).await;
    assert_eq!((dialed.local(), dialed.remote()), (&addr, &addr));
    assert_eq!(accepted.remote(), &addr);
    assert!(muxed(dialed).muxed.verified().peer() == muxed(accepted).muxed.verified().peer());
}

#[tokio::test]
async fn a_connection_outlives_its_listener_and_the_next_one_takes_the_address_over() {
    let (ours, theirs) = (transport(""), transport(""));
    let (mut listener, addr) = listen(&theirs).await;
    let (dialed, accepted) = connect_at(&ours, &mut listener, &addr).await;
    let (dialed, accepted) = (connection(dialed), connection(accepted));
    let error = theirs.listen(&addr).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::AddressInUse);
    drop(listener);
    // Others find the address taken, for the connection is there.
    let error = ours.listen(&addr).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::AddressInUse);
    let mut again = theirs.listen(&addr).await.unwrap();
    let (_second, _accepted) = connect_at(&ours, &mut again, &addr).await;
    let mut stream = dialed.conn.open().await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"x").await.unwrap();
    let mut stream = accepted.conn.accept().await.unwrap();
    assert_eq!(tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap(), b'x');
}
