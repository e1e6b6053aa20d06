//! How dials fail, and what the ends of a link are called.
#![allow(clippy::expect_used, reason = "helpers of tests")]

use skep_api::{
    Multiaddr,
    error::{Kind, Retry},
    transport::{Transport, TransportError, TransportErrorKind},
};
use skep_transport_tcp::{Config, TcpTransport};
use std::error::Error;

async fn failed_dial(addr: &str) -> TransportError {
    let addr: Multiaddr = addr.parse().expect("a multiaddr");
    TcpTransport::new(Config::default()).dial(&addr).await.expect_err("the dial must fail")
}

/// A port of this host that nobody listens on: it belongs to a socket that never listens.
fn silent_port() -> (socket2::Socket, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).expect("bind");
    let port = socket.local_addr().ok().and_then(|addr| addr.as_socket()).expect("an address").port();
    (socket, port)
}

#[tokio::test]
async fn a_port_without_a_listener_refuses() {
    let (_socket, port) = silent_port();
    let addr = format!("/ip4/127.0.0.1/tcp/{port}");
    let error = failed_dial(&addr).await;
    assert_eq!(error.kind(), TransportErrorKind::Refused);
    assert_eq!(error.to_string(), format!("the address refused the connection: {addr}"));
    assert!(error.source().unwrap().is::<std::io::Error>());
}

#[tokio::test]
async fn wildcards_and_port_zero_are_not_dialled() {
    for (addr, why) in [
        ("/ip4/0.0.0.0/tcp/4001", "a wildcard address is for listening and cannot be dialled"),
        ("/ip6/::/tcp/4001", "a wildcard address is for listening and cannot be dialled"),
        ("/ip6/::ffff:0.0.0.0/tcp/4001", "a wildcard address is for listening and cannot be dialled"),
        ("/ip4/127.0.0.1/tcp/0", "port 0 is for listening and cannot be dialled"),
    ] {
        let error = failed_dial(addr).await;
        assert_eq!(error.kind(), TransportErrorKind::AddressUnavailable, "{addr}");
        assert_eq!(error.kind().retry(), Retry::Permanent);
        assert_eq!(error.source().unwrap().to_string(), why, "{addr}");
    }
}

#[tokio::test]
async fn other_forms_are_unsupported() {
    let error = failed_dial("/ip4/127.0.0.1/udp/1/quic-v1").await;
    assert_eq!(error.kind(), TransportErrorKind::Unsupported);
    assert_eq!(
        error.to_string(),
        "this transport does not serve the address: /ip4/127.0.0.1/udp/1/quic-v1: \
         not of the form /ip4|ip6/<address>/tcp/<port>"
    );
}

/// Linux drops connection requests while the listener's queue is full, so the dial meets silence.
#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_silent_address_times_out() {
    let (socket, port) = silent_port();
    socket.listen(0).unwrap();
    let target: std::net::SocketAddr = ([127, 0, 0, 1], port).into();
    let fill = |_| {
        let waiting = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        waiting.set_nonblocking(true).unwrap();
        assert!(waiting.connect(&target.into()).is_err(), "a connect that does not block is in progress");
        waiting
    };
    let _queue: Vec<socket2::Socket> = (0..4).map(fill).collect();

    let addr = format!("/ip4/127.0.0.1/tcp/{port}");
    let error = failed_dial(&addr).await;
    assert_eq!(error.kind(), TransportErrorKind::TimedOut);
    assert_eq!(
        error.to_string(),
        format!("no answer in time: {addr}: no connection within 10s (`connect_timeout`)")
    );
    assert!(error.source().is_some());
}

#[tokio::test]
async fn ipv4_in_ipv6_form_is_dialled_and_shown_as_ipv4() {
    let transport = TcpTransport::new(Config::default());
    let mut listener = transport.listen(&"/ip4/127.0.0.1/tcp/0".parse().unwrap()).await.unwrap();
    let bound = listener.local_addrs().remove(0);
    let mapped = bound.to_string().replace("/ip4/127.0.0.1", "/ip6/::ffff:127.0.0.1");
    let link = transport.dial(&mapped.parse().unwrap()).await.unwrap();
    assert_eq!(*link.remote(), bound);
    assert_eq!(listener.accept().await.unwrap().remote_addr(), link.local());
}
