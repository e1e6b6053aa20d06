//! What a listener reports, and how it turns connections away.
#![allow(clippy::expect_used, reason = "helpers of tests")]

use skep_api::{
    Multiaddr,
    multiaddr::Protocol,
    transport::{Link, Listener, Transport, TransportErrorKind},
};
use skep_transport_tcp::{Config, TcpTransport};
use std::{io::ErrorKind, net::Ipv4Addr};
use tokio::io::AsyncReadExt;

async fn listen(addr: &str) -> Box<dyn Listener> {
    let transport = TcpTransport::new(Config::default());
    transport.listen(&addr.parse().expect("a multiaddr")).await.expect("listen")
}

fn ip_of(part: Protocol<'_>) -> Ipv4Addr {
    match part {
        Protocol::Ip4(ip) => ip,
        other => panic!("an IPv4 address was expected: {other}"),
    }
}

#[tokio::test]
async fn a_wildcard_stands_for_the_addresses_of_all_interfaces() {
    let mut listener = listen("/ip4/0.0.0.0/tcp/0").await;
    let addrs = listener.local_addrs();
    let loopback = addrs.iter().find(|addr| addr.to_string().starts_with("/ip4/127.0.0.1/tcp/")).unwrap();
    assert!(addrs.is_sorted_by_key(|addr| addr.iter().next().map(ip_of)), "{addrs:?}");
    assert_eq!(addrs, listener.local_addrs());
    for addr in &addrs {
        let text = addr.to_string();
        assert!(!text.contains("/0.0.0.0/") && !text.ends_with("/tcp/0"), "{text}");
    }
    // A connection knows which of the addresses it came to.
    let _link = TcpTransport::new(Config::default()).dial(loopback).await.unwrap();
    assert_eq!(listener.accept().await.unwrap().local_addr(), loopback);
}

#[tokio::test]
async fn an_ipv6_wildcard_leaves_out_link_local_addresses_and_the_ipv4_port() {
    let transport = TcpTransport::new(Config::default());
    let wildcard = match transport.listen(&"/ip6/::/tcp/0".parse().unwrap()).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("skipped: this host has no IPv6 ({error})");
            return;
        }
    };
    let addrs: Vec<String> = wildcard.local_addrs().iter().map(ToString::to_string).collect();
    assert!(addrs.iter().any(|addr| addr.starts_with("/ip6/::1/tcp/")), "{addrs:?}");
    assert!(
        addrs.iter().all(|addr| addr.starts_with("/ip6/") && !addr.starts_with("/ip6/fe80:")),
        "{addrs:?}"
    );
    let port = addrs[0].rsplit('/').next().unwrap();
    let ipv4 = transport.listen(&format!("/ip4/0.0.0.0/tcp/{port}").parse().unwrap()).await;
    assert!(ipv4.is_ok(), "the IPv4 side of the port is taken: {ipv4:?}");
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let first = listen("/ip4/127.0.0.1/tcp/0").await;
    let addr = first.local_addrs().remove(0);
    let error = TcpTransport::new(Config::default()).listen(&addr).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::AddressInUse);
    assert_eq!(error.to_string(), format!("the address is in use: {addr}"));
}

#[tokio::test]
async fn an_address_of_another_host_is_unavailable() {
    let elsewhere: Multiaddr = "/ip4/198.51.100.1/tcp/0".parse().unwrap();
    let error = TcpTransport::new(Config::default()).listen(&elsewhere).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::AddressUnavailable);
}

#[tokio::test]
async fn a_refused_connection_is_reset() {
    let mut listener = listen("/ip4/127.0.0.1/tcp/0").await;
    let addr = listener.local_addrs().remove(0);
    let link = TcpTransport::new(Config::default()).dial(&addr).await.unwrap();
    let Link::Raw(mut link) = link else { panic!("TCP links are raw") };
    listener.accept().await.unwrap().refuse();
    let error = link.io.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}
