//! Why a dial fails, one fixture for each cause: the stage, the plugin, the code and the advice are part of what users
//! rely on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use async_trait::async_trait;
use skep::{
    DialError, DialOptions, Swarm, SwarmBuilder,
    api::{
        BoxIo, ConfigSection, Keypair, Multiaddr, PeerId,
        error::{Fault, Retry},
        multiaddr::Protocol,
        muxer::{Muxed, Muxer},
        security::{Role, SecureCx, Secured, SecurityError, SecurityErrorKind, Upgrader},
    },
    swarm::Settings,
    transport_memory::MemoryHub,
};
use std::{sync::Arc, time::Duration};
use support::{
    layers, listen,
    sim::{Route, Sim, on, public},
    tcp_node, tcp_node_with, with_tcp,
};
use tokio::{io::AsyncReadExt, net::TcpListener};

const LOOPBACK: &str = "/ip4/127.0.0.1/tcp/0";

/// A failure as a row: stage, plugin, code, who is at fault, whether a retry helps.
#[track_caller]
fn row(error: &DialError) -> String {
    let fault = |fault| match fault {
        Fault::Local => "local",
        Fault::Remote => "remote",
        Fault::Network => "network",
    };
    let retry = |retry| match retry {
        Retry::Permanent => "permanent",
        Retry::Later => "later",
        Retry::Soon => "soon",
    };
    let cause = error.cause().unwrap();
    let (stage, plugin) = match error.report() {
        None => ("-", "-"),
        Some(report) => {
            assert_eq!(report.addrs.len(), 1, "{report:?}");
            let leaf = report.addrs[0].outcome.error().unwrap();
            (leaf.stage.name(), if leaf.plugin.is_empty() { "-" } else { leaf.plugin.as_str() })
        }
    };
    format!("{stage} {plugin} {} {} {}", cause.code(), fault(cause.fault()), retry(cause.retry()))
}

/// The failure's row and advice are as given.
#[track_caller]
fn pinned(error: &DialError, expected: &str, advice: &str) {
    assert_eq!(row(error), expected, "{error:?}");
    assert_eq!(error.cause().unwrap().advice(), advice);
}

fn port_of(listener: &TcpListener) -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port()).parse().unwrap()
}

async fn failure(node: &Swarm, addr: &Multiaddr) -> DialError {
    node.dial_addr(addr).await.unwrap_err()
}

fn with_hosts(builder: SwarmBuilder, table: serde_json::Value) -> SwarmBuilder {
    let serde_json::Value::Object(table) = table else { unreachable!() };
    let section = ConfigSection::from_table("resolver.static", table);
    let cx = builder.build_cx().clone();
    builder.resolver("static", (skep::policies::resolver::r#static::PLUGIN.build)(&section, &cx).unwrap())
}

#[tokio::test]
async fn names() {
    let node = with_hosts(with_tcp(layers()), serde_json::json!({})).build().unwrap();
    let error = failure(&node, &"/dns4/nowhere.test/tcp/1".parse().unwrap()).await;
    let advice = "check the spelling, and the record type that the address asks for";
    pinned(&error, "resolve static name_not_found remote later", advice);
    let error = failure(&tcp_node(), &"/dns4/nowhere.test/tcp/1".parse().unwrap()).await;
    pinned(&error, "resolve - no_resolver local permanent", "set `[stack] resolver = \"dns\"`");
}

#[tokio::test]
async fn a_name_that_leads_to_another_peer() {
    let (wanted, other) = (PeerId::random(), PeerId::random());
    let record = format!("/ip4/127.0.0.1/tcp/1/p2p/{other}");
    let table = serde_json::json!({ "dnsaddr": { "boot.test": [record] } });
    let node = with_hosts(with_tcp(layers()), table).build().unwrap();
    let error = failure(&node, &format!("/dnsaddr/boot.test/p2p/{wanted}").parse().unwrap()).await;
    let advice = "check the spelling, and the record type that the address asks for";
    pinned(&error, "resolve static name_not_found remote later", advice);
}

#[tokio::test]
async fn refused() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = port_of(&free);
    drop(free);
    let advice = "check that the peer runs and listens on this address and port";
    pinned(&failure(&tcp_node(), &addr).await, "connect tcp refused remote later", advice);
}

#[tokio::test]
async fn silent_after_connecting() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = DialOptions::default().timeout(Duration::from_millis(200));
    let error = tcp_node().dial_addr_with(&port_of(&silent), options).await.unwrap_err();
    let advice =
        "the peer or the path is slow, silent or full; give the dial more time, or check the address";
    pinned(&error, "security noise deadline network later", advice);
}

#[tokio::test(start_paused = true)]
async fn silent_from_the_start_and_unreachable() {
    let sim = Sim::new(&MemoryHub::new());
    let node = on(&sim).build().unwrap();
    let advice =
        "the peer or the path is slow, silent or full; give the dial more time, or check the address";
    pinned(&failure(&node, &public(0)).await, "connect sim deadline network later", advice);
    sim.route(&public(1), Route::Unreachable(Duration::from_millis(5)));
    let advice = "check the route to the address, and whether this host has that address family";
    pinned(&failure(&node, &public(1)).await, "connect sim unreachable network later", advice);
}

#[tokio::test]
async fn reset_within_the_handshake() {
    let rude = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = port_of(&rude);
    let serve = tokio::spawn(async move {
        loop {
            let (mut stream, _) = rude.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            // With data unread, closing is a reset.
            drop(stream);
        }
    });
    let error = failure(&tcp_node(), &addr).await;
    let advice = "the peer closed it: it may be full, refuse this node, or expect another peer id";
    pinned(&error, "security noise security_io network soon", advice);
    assert_eq!(error.report().unwrap().addrs[0].retries, 3);
    serve.abort();
}

#[tokio::test]
async fn another_peer() {
    let a = tcp_node();
    let mut addr = listen(&a, LOOPBACK).await;
    addr.pop();
    let error = failure(&tcp_node(), &addr.with(Protocol::P2p(PeerId::random()))).await;
    let advice = "the address is stale or names the wrong peer id; ask for the peer's current address";
    pinned(&error, "security noise wrong_peer remote permanent", advice);
    assert_eq!(error.report().unwrap().addrs[0].retries, 0, "it would answer the same");
}

/// A security layer that nobody else has.
#[derive(Debug)]
struct Odd;

#[async_trait]
impl Upgrader for Odd {
    fn protocol(&self) -> &'static str {
        "/odd/1"
    }

    async fn secure(&self, _io: BoxIo, _cx: SecureCx) -> Result<Secured<BoxIo>, SecurityError> {
        Err(SecurityError::new(SecurityErrorKind::Malformed, "odd"))
    }
}

/// A muxer that nobody else has.
impl Muxer for Odd {
    fn protocol(&self) -> &'static str {
        "/odd-muxer/1"
    }

    fn mux(&self, _io: BoxIo, _role: Role) -> Muxed {
        panic!("nobody agrees on it")
    }
}

#[tokio::test]
async fn nothing_in_common() {
    let yamux = skep::muxer_yamux::PLUGIN;
    let noise = skep::security_noise::PLUGIN;
    let builder = || SwarmBuilder::new(Keypair::generate_ed25519());
    let a = builder();
    let muxer = (yamux.build)(&ConfigSection::empty("muxer.yamux"), a.build_cx()).unwrap();
    let a = with_tcp(a).security("odd", Arc::new(Odd)).muxer("yamux", muxer).build().unwrap();
    let error = failure(&tcp_node(), &listen(&a, LOOPBACK).await).await;
    let advice = "link and list a security plugin that the peer has (`[stack] security`)";
    pinned(&error, "security noise no_common_security remote permanent", advice);

    let b = builder();
    let security = (noise.build)(&ConfigSection::empty("security.noise"), b.build_cx()).unwrap();
    let b = with_tcp(b).security("noise", security).muxer("odd", Arc::new(Odd)).build().unwrap();
    let error = failure(&tcp_node(), &listen(&b, LOOPBACK).await).await;
    let advice = "link and list a muxer that the peer has (`[stack] muxers`)";
    pinned(&error, "muxer - no_common_muxer remote permanent", advice);
}

#[tokio::test]
async fn a_gate_of_this_node() {
    let builder = with_tcp(layers());
    let serde_json::Value::Object(table) = serde_json::json!({ "deny": ["127.0.0.0/8"] }) else {
        unreachable!()
    };
    let section = ConfigSection::from_table("gate.ip_filter", table);
    let gate = (skep::policies::gate::ip_filter::PLUGIN.build)(&section, builder.build_cx()).unwrap();
    let node = builder.gate("ip_filter", gate).build().unwrap();
    let error = failure(&node, &"/ip4/127.0.0.1/tcp/1".parse().unwrap()).await;
    let advice = "change the gate's rule if the peer should be reachable";
    pinned(&error, "gate ip_filter denied local permanent", advice);
    let text = skep::api::error::chain(&error);
    assert!(text.contains("127.0.0.1 is in a denied network (rule: deny = 127.0.0.0/8)"), "{text}");
}

#[tokio::test]
async fn limits_at_either_end() {
    let full = Settings { max_connections: 1, ..Settings::default() };
    let (a, b) = (tcp_node_with(full.clone()), tcp_node_with(full));
    let at_a = listen(&a, LOOPBACK).await;
    let _first = b.dial_addr(&at_a).await.unwrap();
    let other = tcp_node();
    let error = failure(&b, &listen(&other, LOOPBACK).await).await;
    let advice = "wait for connections to end, or raise the key named";
    pinned(&error, "queue - local_limit local later", advice);

    // A full peer leaves the connection in its queue.
    let options = DialOptions::default().timeout(Duration::from_millis(200));
    let error = other.dial_addr_with(&at_a, options).await.unwrap_err();
    let advice =
        "the peer or the path is slow, silent or full; give the dial more time, or check the address";
    pinned(&error, "security noise deadline network later", advice);
}

#[tokio::test]
async fn addresses_that_cannot_be_dialled() {
    let node = tcp_node();
    let advice = "give the IP and port that the peer can be reached at";
    for addr in ["/ip4/0.0.0.0/tcp/4001", "/ip4/127.0.0.1/tcp/0", "/ip6/::/tcp/4001"] {
        let error = failure(&node, &addr.parse().unwrap()).await;
        pinned(&error, "filter - undialable remote permanent", advice);
    }
    let error = failure(&node, &"/ip4/127.0.0.1/udp/4001/quic-v1".parse().unwrap()).await;
    pinned(&error, "filter - no_transport local permanent", "add a transport for it to `[stack] transports`");
}

#[tokio::test(start_paused = true)]
async fn back_off() {
    let sim = Sim::new(&MemoryHub::new());
    sim.route(&public(0), Route::Refuses(Duration::from_millis(5)));
    let node = on(&sim).build().unwrap();
    failure(&node, &public(0)).await;
    let error = failure(&node, &public(0)).await;
    let advice = "wait, add a new address, dial with `ignore_backoff`, or clear it (`skep backoff clear`)";
    pinned(&error, "filter - backoff network later", advice);
    let text = skep::api::error::chain(&error);
    assert!(text.ends_with("failed once, last with `refused`; the next try is due in 6.0 s"), "{text}");

    let peer = PeerId::random();
    let dial =
        async || node.dial_peer_with(peer, DialOptions::default().addresses([public(0)])).await.unwrap_err();
    assert_eq!(dial().await.code(), "refused");
    pinned(&dial().await, "- - peer_backoff network later", advice);
}

#[tokio::test]
async fn nothing_to_dial() {
    let node = tcp_node();
    let error = node.dial_peer(PeerId::random()).await.unwrap_err();
    pinned(&error, "- - no_addresses local permanent", "add an address to the peer store, or dial one");
    let error = node.dial_peer(node.peer_id()).await.unwrap_err();
    pinned(&error, "- - own_address local permanent", "give the address of another node");
    node.shutdown(Duration::from_secs(5)).await;
    let error = node.dial_peer(PeerId::random()).await.unwrap_err();
    pinned(&error, "- - shutting_down local permanent", "dial before shutting down");
}
