//! Gates that count and limiters, in real nodes: what they see, and what those are told whom they turn away.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use skep::{
    Swarm,
    api::{
        Code, ConfigSection, Keypair, Multiaddr, PeerId, Plugin, gate::Gate, multiaddr::Protocol,
        plugin::layer, rate::RateLimitError, stream::StreamError,
    },
    policies::gate::{ip_filter::IpFilter, prefix_limit, rate_limit},
    swarm::{SwarmBuilder, error::Cause, events::Event},
};
use std::{error::Error, sync::Arc, time::Duration};
use support::{ECHO, event, layers, layers_with, listen, tcp_node, with_tcp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn gate(plugin: &Plugin<layer::Gate>, builder: &SwarmBuilder, table: &str) -> Arc<dyn Gate> {
    let table: serde_json::Value = serde_json::from_str(table).unwrap();
    let section =
        ConfigSection::from_table(format!("gate.{}", plugin.name), table.as_object().unwrap().clone());
    (plugin.build)(&section, builder.build_cx()).unwrap()
}

fn gated(plugin: &Plugin<layer::Gate>, table: &str) -> SwarmBuilder {
    let builder = with_tcp(layers());
    let gate = gate(plugin, &builder, table);
    builder.gate(plugin.name, gate)
}

async fn address(node: &Swarm) -> Multiaddr {
    listen(node, "/ip4/127.0.0.1/tcp/0").await
}

/// The denial of the next inbound connection that fails: checkpoint, and what the gate has said.
async fn denied(node: &mut skep::swarm::events::Events) -> (String, String) {
    event(node, |e| match e {
        Event::InboundFailed { error, .. } => match &error.cause {
            Cause::Denied { checkpoint, denial, .. } => Some((checkpoint.to_string(), denial.to_string())),
            other => panic!("{other}"),
        },
        _ => None,
    })
    .await
}

/// Waits until the node has registered the peer, whose own end may stand before.
async fn registered(events: &mut skep::swarm::events::Events, peer: &Swarm) {
    let id = peer.peer_id();
    event(events, |e| matches!(e, Event::Connected { peer, .. } if peer == id).then_some(())).await;
}

#[tokio::test]
async fn a_prefix_has_so_many_connections_and_one_more_when_one_goes() {
    let table = r#"{ "inbound_v4": [{ "bits": 8, "max": 2 }], "exempt": [] }"#;
    let node = gated(&prefix_limit::PLUGIN, table).build().unwrap();
    let (addr, mut events) = (address(&node).await, node.events());
    let peers = [tcp_node(), tcp_node(), tcp_node()];
    for peer in &peers[..2] {
        peer.dial_addr(&addr).await.unwrap();
        registered(&mut events, peer).await;
    }
    peers[2].dial_addr(&addr).await.unwrap_err();
    let (checkpoint, why) = denied(&mut events).await;
    assert_eq!(checkpoint, "link");
    assert!(why.contains("127.0.0.0/8") && why.contains("inbound_v4"), "{why}");
    let first = node.connection(&peers[0].peer_id()).unwrap();
    first.close(Code::NONE).await;
    peers[2].dial_addr_with(&addr, skep::swarm::DialOptions::default().ignore_backoff()).await.unwrap();
    registered(&mut events, &peers[2]).await;
    assert_eq!(node.metrics().connections, 2);
}

/// Of many that come at the same moment, as many get in as there is room for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_come_at_once_are_counted_once() {
    let table = r#"{ "inbound_v4": [{ "bits": 32, "max": 5 }], "exempt": [] }"#;
    let node = gated(&prefix_limit::PLUGIN, table).build().unwrap();
    let addr = address(&node).await;
    let peers: Vec<_> = (0..20).map(|_| tcp_node()).collect();
    let dials = peers.iter().map(|peer| peer.dial_addr(&addr));
    let dialled = futures::future::join_all(dials).await;
    assert_eq!(dialled.iter().filter(|dial| dial.is_ok()).count(), 5);
    while node.metrics().connections < 5 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(node.metrics().connections, 5);
}

#[tokio::test]
async fn a_host_that_connects_too_fast_is_turned_away_before_the_handshake() {
    let table = r#"{ "inbound_per_host": 1, "inbound_burst": 2, "exempt": [] }"#;
    let node = gated(&rate_limit::PLUGIN, table).build().unwrap();
    let (addr, mut events) = (address(&node).await, node.events());
    let peers = [tcp_node(), tcp_node(), tcp_node(), tcp_node()];
    let dials = peers.iter().map(|peer| peer.dial_addr(&addr));
    let dialled = futures::future::join_all(dials).await;
    assert!(dialled.iter().any(Result::is_err));
    let (checkpoint, why) = denied(&mut events).await;
    assert_eq!(checkpoint, "link");
    assert!(why.contains("127.0.0.1") && why.contains("gate.rate_limit.inbound_per_host"), "{why}");
}

/// The error says when it may be tried again, as data.
#[tokio::test]
async fn a_dial_that_comes_too_soon_says_when_it_may() {
    let node =
        gated(&rate_limit::PLUGIN, r#"{ "dials_per_host": 1, "dials_per_host_burst": 1, "exempt": [] }"#);
    let node = node.build().unwrap();
    let peers = [tcp_node(), tcp_node()];
    node.dial_addr(&address(&peers[0]).await).await.unwrap();
    let error = node.dial_addr(&address(&peers[1]).await).await.unwrap_err();
    let mut source: Option<&(dyn Error + 'static)> = Some(&error);
    let rate = loop {
        let error = source.expect("a rate is among the causes");
        if let Some(rate) = error.downcast_ref::<RateLimitError>() {
            break rate;
        }
        source = error.source();
    };
    assert_eq!((rate.consumed_points, rate.remaining_points), (1, 0));
    assert_eq!(rate.key, "gate.rate_limit.dials_per_host");
    assert!(rate.retry_after > Duration::ZERO && rate.retry_after <= Duration::from_secs(1));
}

#[tokio::test]
async fn streams_that_come_too_fast_are_reset_with_a_code() {
    let table = format!(r#"{{ "protocols": {{ "{ECHO}": {{ "streams": 1, "burst": 2 }} }}, "exempt": [] }}"#);
    let node = gated(&rate_limit::PLUGIN, &table).build().unwrap();
    let (addr, peer) = (address(&node).await, tcp_node());
    let conn = peer.dial_addr(&addr).await.unwrap();
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        let mut stream = conn.open_stream(&[ECHO.into()]).await.unwrap();
        let _ = stream.write_all(b"x").await;
        let _ = stream.finish().await;
        let mut back = Vec::new();
        outcomes.push(match stream.read_to_end(&mut back).await {
            Ok(_) => None,
            Err(e) => Some(e.get_ref().and_then(|e| e.downcast_ref::<StreamError>()).cloned().unwrap()),
        });
    }
    assert_eq!(outcomes[..2], [None, None]);
    assert!(
        matches!(outcomes[3], Some(StreamError::Reset { code, .. }) if code == Code::RATE_LIMITED),
        "{outcomes:?}"
    );
    // The connection goes on.
    assert!(conn.is_live());
}

/// Rules of a running node, from code.
#[tokio::test]
async fn rules_change_while_the_node_runs() {
    let builder = with_tcp(layers_with(SwarmBuilder::new(Keypair::generate_ed25519())));
    let filter = gate(&skep::policies::gate::ip_filter::PLUGIN, &builder, "{}");
    let node = builder.gate("ip_filter", filter).build().unwrap();
    let (addr, peer, mut events) = (address(&node).await, tcp_node(), node.events());
    peer.dial_addr(&addr).await.unwrap();
    registered(&mut events, &peer).await;
    let id: PeerId = peer.peer_id();
    let filter = node.gate::<IpFilter>("ip_filter").unwrap();
    assert!(filter.add_deny_peer(id));
    assert!(node.connection(&id).is_some(), "what stands is judged when that is asked for");
    let rechecked = node.recheck_gates().await;
    assert_eq!((rechecked.judged, rechecked.closed.len()), (1, 1));
    // No name is looked up for one that is denied.
    let unknown: Multiaddr = "/dns4/nowhere.invalid/tcp/1".parse().unwrap();
    let error = node.dial_addr(&unknown.with(Protocol::P2p(id))).await.unwrap_err();
    let told = skep::api::error::chain(&error);
    assert!(
        told.contains("checkpoint `peer_dial` by gate `ip_filter`") && told.contains("deny_peers"),
        "{told}"
    );
    assert!(filter.remove_deny_peer(&id));
    peer.dial_addr_with(&addr, skep::swarm::DialOptions::default().ignore_backoff()).await.unwrap();
}
