//! What a listener reports, whom it asks for a proof, and how many it lets wait.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod ends;
mod relay;

use ends::{connect_at, listen, loopback, multiaddr_of, socket_of, transport};
use futures::FutureExt;
use relay::Relay;
use skep_api::transport::{Listener, TransportErrorKind};
use std::sync::Arc;

#[tokio::test]
async fn a_wildcard_stands_for_the_addresses_of_all_interfaces() {
    let node = transport("");
    let mut listener = node.listen(&"/ip4/0.0.0.0/udp/0/quic-v1".parse().unwrap()).await.unwrap();
    let addrs = listener.local_addrs();
    assert_eq!(addrs, listener.local_addrs());
    for addr in &addrs {
        let text = addr.to_string();
        assert!(!text.contains("/0.0.0.0/") && !text.contains("/udp/0/"), "{text}");
    }
    let loopback = addrs.iter().find(|addr| addr.to_string().starts_with("/ip4/127.0.0.1/udp/")).unwrap();
    // A connection knows which of the addresses it came to.
    let (_dialed, accepted) = connect_at(&transport(""), &mut listener, loopback).await;
    assert_eq!(accepted.local(), loopback);
}

#[tokio::test]
async fn an_ipv6_wildcard_leaves_the_ipv4_port_alone() {
    let node = transport("");
    let wildcard = match node.listen(&"/ip6/::/udp/0/quic-v1".parse().unwrap()).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("skipped: this host has no IPv6 ({error})");
            return;
        }
    };
    let addrs: Vec<String> = wildcard.local_addrs().iter().map(ToString::to_string).collect();
    assert!(addrs.iter().all(|addr| addr.starts_with("/ip6/") && !addr.starts_with("/ip6/fe80:")));
    let same = addrs[0].split('/').nth(4).unwrap();
    assert!(node.listen(&format!("/ip4/0.0.0.0/udp/{same}/quic-v1").parse().unwrap()).await.is_ok());
}

#[tokio::test]
async fn addresses_that_cannot_be_bound_are_told_apart() {
    let elsewhere = "/ip4/198.51.100.1/udp/0/quic-v1".parse().unwrap();
    let error = transport("").listen(&elsewhere).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::AddressUnavailable);
    let (_listener, addr) = listen(&transport("")).await;
    let error = transport("").listen(&addr).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::AddressInUse);
    assert_eq!(error.to_string(), format!("the address is in use: {addr}"));
}

/// Connects through a relay that counts how often the listener asks for a proof of the address.
async fn retries(threshold: u32) -> u64 {
    let node = transport(&format!("retry_threshold = {threshold}"));
    let (mut listener, addr) = listen(&node).await;
    let relay = Relay::to(socket_of(&addr));
    let at = multiaddr_of(relay.addr);
    let (dialed, accepted) = connect_at(&transport(""), &mut listener, &at).await;
    assert_eq!(*dialed.remote(), at);
    drop(accepted);
    relay.retries()
}

#[tokio::test]
async fn from_the_threshold_on_addresses_have_to_be_proved() {
    assert_eq!(retries(0).await, 1);
    assert_eq!(retries(1).await, 0);
}

#[tokio::test]
async fn proofs_are_asked_for_while_others_wait_and_no_longer() {
    let node = transport("retry_threshold = 1");
    let (mut listener, addr) = listen(&node).await;
    let relay = Relay::to(socket_of(&addr));
    let waits = tokio::spawn(async move { transport("").dial(&addr).await.map(drop) });
    let first = listener.accept().await.unwrap();
    let at = multiaddr_of(relay.addr);
    let (_dialed, _accepted) = connect_at(&transport(""), &mut listener, &at).await;
    assert_eq!(relay.retries(), 1);
    first.accept().await.map(drop).unwrap();
    drop(waits.await);
    let another = Relay::to(socket_of(&listener.local_addrs()[0]));
    let (_dialed, _accepted) = connect_at(&transport(""), &mut listener, &multiaddr_of(another.addr)).await;
    assert_eq!(another.retries(), 0);
}

/// How many of ten dials are in line after they gave up.
async fn in_line(room: u32) -> usize {
    let node = transport(&format!("max_pending_incoming = {room}\nretry_threshold = 1000"));
    let (mut listener, addr) = listen(&node).await;
    let dials = (0..10).map(|_| {
        let addr = addr.clone();
        tokio::spawn(async move { transport("handshake_timeout = \"500ms\"").dial(&addr).await.map(drop) })
    });
    for dial in futures::future::join_all(dials.collect::<Vec<_>>()).await {
        assert!(dial.expect("the task of a dial").is_err(), "nobody accepts");
    }
    let mut waiting = 0;
    while let Some(incoming) = listener.accept().now_or_never() {
        waiting += 1;
        drop(incoming);
    }
    waiting
}

#[tokio::test]
async fn the_line_is_bounded() {
    assert_eq!(in_line(1).await, 1);
    assert_eq!(in_line(3).await, 3);
    assert_eq!(in_line(64).await, 10);
}

#[tokio::test]
async fn a_line_that_is_full_lets_in_who_comes_again() {
    let node = transport("max_pending_incoming = 1");
    let (mut listener, addr) = listen(&node).await;
    let dials = (0..3).map(|_| {
        let addr = addr.clone();
        tokio::spawn(async move { transport("handshake_timeout = \"30s\"").dial(&addr).await.map(drop) })
    });
    let dials: Vec<_> = dials.collect();
    let mut links = Vec::new();
    while links.len() < 3 {
        let incoming = listener.accept().await.unwrap();
        links.push(incoming.accept().await.unwrap());
    }
    for dial in dials {
        dial.await.unwrap().unwrap();
    }
}

/// The transport may be dropped before its listeners.
#[tokio::test]
async fn a_listener_outlives_its_transport() {
    let node = transport("");
    let mut listener: Box<dyn Listener> = node.listen(&loopback()).await.unwrap();
    let addr = listener.local_addrs().remove(0);
    drop(node);
    let dialer = Arc::clone(&transport(""));
    let (_dialed, _accepted) = connect_at(&dialer, &mut listener, &addr).await;
}
