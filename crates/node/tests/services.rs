//! Services in real nodes, over links within the process.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use skep::{
    Swarm, SwarmBuilder,
    api::{Code, Keypair, Multiaddr, multiaddr::Protocol},
    policies::service::{auto_connect::AutoConnector, health::HealthMonitor, reconnect::Reconnector},
    swarm::{
        profile::{Profile, Sources},
        registry::Registry,
    },
};
use std::time::Duration;
use support::memory_node;
use tokio::time::{Instant, sleep};

fn profile(services: &str, more: &str) -> Profile {
    let text = format!("listen = []\n[stack]\ntransports = [\"memory\"]\nservices = {services}\n{more}");
    Profile::load(&Sources::new().text("node.toml", text)).unwrap()
}

fn node(services: &str, more: &str) -> Swarm {
    let registry = Registry::from_inventory(&skep::plugins::expected()).unwrap();
    let builder = SwarmBuilder::new(Keypair::generate_ed25519());
    let assembly = profile(services, more)
        .assemble(&registry, builder.build_cx(), None)
        .unwrap_or_else(|e| panic!("{e}"));
    builder.assembly(&assembly).build().unwrap()
}

fn mistakes(services: &str, more: &str) -> String {
    let registry = Registry::from_inventory(&skep::plugins::expected()).unwrap();
    profile(services, more).check(&registry, None).unwrap_err().to_string()
}

async fn listening() -> (Swarm, Multiaddr) {
    let node = memory_node();
    let addr = node.listen(&"/memory/0".parse().unwrap()).await.unwrap().remove(0);
    let addr = addr.with(Protocol::P2p(node.peer_id()));
    (node, addr)
}

/// Waits in the node's own time, up to an hour of it.
async fn until(what: &str, mut there: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < Duration::from_secs(3600), "{what} does not come");
        sleep(Duration::from_millis(50)).await;
    }
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_node_is_connected_to_as_many_peers_as_it_wants() {
    let mut peers = Vec::new();
    for _ in 0..6 {
        peers.push(listening().await);
    }
    let bootstrap: Vec<_> = peers.iter().map(|(_, addr)| addr.to_string()).collect();
    let node = node(
        r#"["auto_connect"]"#,
        &format!("[service.auto_connect]\ntarget = 4\nbootstrap = {bootstrap:?}\n"),
    );
    until("the target", || node.metrics().peers == 4).await;
    sleep(Duration::from_secs(120)).await;
    assert_eq!(node.metrics().peers, 4);
    assert_eq!(node.service_reports()["auto_connect"]["target"], 4);
    // One that goes is replaced by another.
    let gone = node.connections()[0].peer();
    let (swarm, _) = peers.iter().find(|(peer, _)| peer.peer_id() == gone).unwrap();
    swarm.shutdown(Duration::from_secs(1)).await;
    until("another", || node.metrics().peers == 4 && node.connection(&gone).is_none()).await;
    let service = node.service::<AutoConnector>("auto_connect").unwrap();
    service.clear_all_cooldowns();
    assert!(service.cooldowns().is_empty() && node.service::<Reconnector>("auto_connect").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_to_be_kept_comes_back() {
    let (peer, addr) = listening().await;
    let node = node(r#"["reconnect"]"#, &format!("[service.reconnect]\npeers = [\"{addr}\"]\n"));
    let id = peer.peer_id();
    until("the peer", || node.connection(&id).is_some()).await;
    node.connection(&id).unwrap().close(Code::NONE).await;
    until("the peer again", || node.connection(&id).is_some()).await;
    // It is away for long, and comes back at its address with its key.
    assert!(peer.remove_listener(&without_peer(&addr)).await);
    node.close_peer(&id, Code::NONE).await;
    sleep(Duration::from_secs(1800)).await;
    assert!(node.connection(&id).is_none());
    assert!(node.tag_info(&id).unwrap().tags.contains_key("keep-alive"));
    peer.listen(&without_peer(&addr)).await.unwrap();
    let took = until("the peer once more", || node.connection(&id).is_some()).await;
    assert!(took < Duration::from_secs(400), "{took:?}");
}

fn without_peer(addr: &Multiaddr) -> Multiaddr {
    skep::api::address::without_peer(addr)
}

#[tokio::test(start_paused = true)]
async fn connections_are_pinged_and_what_was_measured_is_kept() {
    let (peer, addr) = listening().await;
    let node = node(r#"["health"]"#, "[service.health]\ninterval = \"1s\"\n");
    node.dial_addr(&addr).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    let service = node.service::<HealthMonitor>("health").unwrap();
    let health = service.health_summary(&peer.peer_id()).unwrap();
    assert_eq!(health.connections.len(), 1);
    assert_eq!(node.service_reports()["health"]["summary"]["healthy"], 1);
    assert!(node.peerstore().unwrap().latency(&peer.peer_id()).is_some());
    assert_eq!(node.metrics().streams, 0);
}

/// Services end with their node, also where nobody says goodbye.
#[tokio::test(start_paused = true)]
async fn a_node_ends_with_its_services() {
    let all = r#"["auto_connect", "reconnect", "health"]"#;
    let first = node(all, "");
    sleep(Duration::from_secs(5)).await;
    let report = first.shutdown(Duration::from_secs(1)).await;
    assert!(report.forced.is_empty(), "{report:?}");
    let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    drop(node(all, ""));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), alive);
}

#[test]
fn what_a_service_needs_is_checked_before_the_node_starts() {
    let one = |text: &str| format!("1 problem in the configuration:\n  1. {text}");
    assert_eq!(
        mistakes(r#"["reconnect"]"#, "peerstore = \"none\"\n"),
        one(
            "service.reconnect: service `reconnect` needs a peer store [default]\n    set `peerstore = \"memory\"` in \
             [stack], or take the service out of `services`"
        )
    );
    assert_eq!(
        mistakes(r#"["auto_connect"]"#, "[service.auto_connect]\ntarget = 97\n"),
        one(
            "service.auto_connect: wants 97 peers, and pruner `watermark` leaves 96 [file node.toml:5]\n    want 96 at \
             most, or raise `low` in [pruner.watermark]"
        )
    );
    assert_eq!(
        mistakes(r#"["auto_connect"]"#, "pruner = \"none\"\n[service.auto_connect]\ntarget = 193\n"),
        one(
            "service.auto_connect: wants 193 peers, and swarm.max_connections is 192 [file node.toml:6]\n    want 192 \
             at most, or raise swarm.max_connections"
        )
    );
    assert_eq!(
        mistakes(r#"["health"]"#, "[swarm]\nmax_connections_per_peer = 1\n"),
        one("service.health: replaces connections, and a peer may have one only [default]\n    set \
             swarm.max_connections_per_peer to 2 or more, or take the service out of `services`")
    );
}
