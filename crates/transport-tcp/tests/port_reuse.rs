//! Dialling from the listening port.
#![cfg(unix)]
#![allow(clippy::expect_used, reason = "helpers of tests")]

use skep_api::{
    Multiaddr,
    transport::{Listener, Transport, TransportErrorKind},
};
use skep_transport_tcp::{Config, TcpTransport};

fn reusing() -> TcpTransport {
    TcpTransport::new(Config { port_reuse: true, ..Config::default() })
}

async fn listen(transport: &TcpTransport) -> (Box<dyn Listener>, Multiaddr) {
    let addr = "/ip4/127.0.0.1/tcp/0".parse().expect("a multiaddr");
    let listener = transport.listen(&addr).await.expect("listen");
    let bound = listener.local_addrs().remove(0);
    (listener, bound)
}

#[tokio::test]
async fn the_peer_sees_the_listening_port() {
    let (ours, theirs) = (reusing(), reusing());
    let (_our_listener, our_addr) = listen(&ours).await;
    let (mut their_listener, their_addr) = listen(&theirs).await;
    let link = ours.dial(&their_addr).await.unwrap();
    assert_eq!(*link.local(), our_addr);
    assert_eq!(*their_listener.accept().await.unwrap().remote_addr(), our_addr);
}

#[tokio::test]
async fn a_second_dial_to_the_same_address_comes_from_another_port() {
    let transport = reusing();
    let (_our_listener, our_addr) = listen(&transport).await;
    let (_their_listener, their_addr) = listen(&reusing()).await;
    let first = transport.dial(&their_addr).await.unwrap();
    let second = transport.dial(&their_addr).await.unwrap();
    assert_eq!(*first.local(), our_addr);
    assert_ne!(*second.local(), our_addr);
}

#[tokio::test]
async fn a_dial_to_the_own_listener_does_not_meet_itself() {
    let transport = reusing();
    let (mut listener, addr) = listen(&transport).await;
    let link = transport.dial(&addr).await.unwrap();
    assert_ne!(*link.local(), addr);
    assert_eq!(listener.accept().await.unwrap().remote_addr(), link.local());
}

#[tokio::test]
async fn the_listening_port_stays_exclusive() {
    let transport = reusing();
    let (_listener, addr) = listen(&transport).await;
    let _link = transport.dial(&listen(&reusing()).await.1).await.unwrap();
    for second in [reusing(), TcpTransport::new(Config::default())] {
        assert_eq!(second.listen(&addr).await.unwrap_err().kind(), TransportErrorKind::AddressInUse);
    }
}

#[tokio::test]
async fn a_listener_on_another_address_of_the_host_is_not_dialled_from() {
    let transport = reusing();
    let elsewhere = "/ip4/127.0.0.2/tcp/0".parse().expect("a multiaddr");
    let _our_listener = transport.listen(&elsewhere).await.expect("listen");
    let (_their_listener, their_addr) = listen(&reusing()).await;
    let link = transport.dial(&their_addr).await.unwrap();
    // What the system reaches it from.
    assert!(link.local().to_string().starts_with("/ip4/127.0.0.1/"), "{}", link.local());
}

#[tokio::test]
async fn without_a_listener_the_system_picks_the_port() {
    let transport = reusing();
    let (listener, our_addr) = listen(&transport).await;
    drop(listener);
    let (_their_listener, their_addr) = listen(&reusing()).await;
    let link = transport.dial(&their_addr).await.unwrap();
    assert_ne!(*link.local(), our_addr);
}
