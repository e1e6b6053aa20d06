//! Pruning in real nodes, over links within the process, in paused time.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use skep::{
    NetStream, Swarm,
    api::{Code, ConfigSection, Multiaddr, PeerId, multiaddr::Protocol},
    swarm::{
        Settings,
        events::{Event, Events},
        prune::{PruneReason, PruneRule, PruneVerdict},
    },
};
use std::{collections::BTreeSet, time::Duration};
use support::{ECHO, layers, memory_node};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep},
};

const LOW: usize = 10;
const HIGH: usize = 20;
const CAP: u32 = 40;

/// A node that prunes from 20 connections to 10, and its address.
async fn node() -> (Swarm, Multiaddr) {
    let builder = layers();
    let cx = builder.build_cx().clone();
    let table = serde_json::json!({ "low": LOW, "high": HIGH, "grace": "5s", "silence": "10s" });
    let table = table.as_object().unwrap().clone();
    let pruner = &skep::policies::pruner::watermark::PLUGIN;
    let pruner = (pruner.build)(&ConfigSection::from_table("pruner.watermark", table), &cx).unwrap();
    let memory =
        (skep::transport_memory::PLUGIN.build)(&ConfigSection::empty("transport.memory"), &cx).unwrap();
    let settings = Settings { max_connections: CAP, outbound_reserve: 2, ..Settings::default() };
    let node =
        builder.transport("memory", memory).pruner("watermark", pruner).settings(settings).build().unwrap();
    let addr = node.listen(&"/memory/0".parse().unwrap()).await.unwrap().remove(0);
    let addr = addr.with(Protocol::P2p(node.peer_id()));
    (node, addr)
}

/// So many peers that have connected.
async fn flood(addr: &Multiaddr, count: usize) -> Vec<Swarm> {
    let mut peers = Vec::new();
    for _ in 0..count {
        let peer = memory_node();
        peer.dial_addr(addr).await.unwrap();
        peers.push(peer);
    }
    peers
}

async fn use_stream(peer: &Swarm, node: &PeerId) -> NetStream {
    let mut stream = peer.connection(node).unwrap().open_stream(&[ECHO.into()]).await.unwrap();
    stream.write_all(b"in use").await.unwrap();
    stream.flush().await.unwrap();
    // Until the node has agreed on its protocol.
    sleep(Duration::from_millis(10)).await;
    stream
}

/// What was pruned so far, with the time and the score.
fn pruned(events: &mut Events) -> Vec<(PeerId, String, PruneReason)> {
    let mut pruned = Vec::new();
    while let Some(event) = events.try_next() {
        if let Event::Pruned { peer, score, reason, .. } = event {
            let score: Vec<_> = score.iter().map(|(name, value)| format!("{name} {value}")).collect();
            pruned.push((peer, score.join(", "), reason));
        }
    }
    pruned
}

fn ids(peers: &[Swarm]) -> BTreeSet<PeerId> {
    peers.iter().map(Swarm::peer_id).collect()
}

fn connected(node: &Swarm) -> BTreeSet<PeerId> {
    node.connections().iter().map(|conn| conn.peer()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_of_use_or_protected_stays_and_the_others_are_told() {
    let (node, addr) = node().await;
    let mut events = node.events();
    let useful = flood(&addr, 4).await;
    let [protected, tagged, busy, dialled] = useful.as_slice() else { panic!("four") };
    node.protect(&protected.peer_id(), "test").unwrap();
    node.tag_peer(&tagged.peer_id(), "dht", 5).unwrap();
    let _stream = use_stream(busy, &node.peer_id()).await;
    // One that this node has dialled, and that is worth nothing.
    node.close_peer(&dialled.peer_id(), Code::NONE).await;
    let back = dialled.listen(&"/memory/0".parse().unwrap()).await.unwrap().remove(0);
    node.dial_addr(&back.with(Protocol::P2p(dialled.peer_id()))).await.unwrap();

    let strangers = flood(&addr, 30).await;
    let mut theirs = strangers[29].events();
    // None goes within its grace, though they are too many.
    assert_eq!((node.total_connections(), pruned(&mut events)), (34, vec![]));
    let plan = node.prune_plan(100).unwrap();
    assert_eq!(
        (plan.due, plan.connections, plan.excess, plan.going),
        (Some(PruneReason::HighMark), 34, 24, 0)
    );
    let young = PruneVerdict::Spared(PruneRule::Grace);
    assert!(plan.peers.iter().filter(|peer| peer.verdict == young).count() >= 30, "{plan:?}");

    sleep(Duration::from_secs(20)).await;
    let gone = pruned(&mut events);
    assert_eq!((node.total_connections(), gone.len()), (LOW, 24));
    assert!(connected(&node).is_superset(&ids(&useful)));
    assert!(
        gone.iter()
            .all(|(peer, _, reason)| ids(&strangers).contains(peer) && *reason == PruneReason::HighMark)
    );
    assert!(gone[0].1.contains("value 0") && gone[0].1.contains("inbound"), "{:?}", gone[0]);
    // The newest first: the last to come is told why.
    let reason = loop {
        if let Some(Event::Disconnected { reason, .. }) = theirs.next().await {
            break reason;
        }
    };
    assert!(reason.to_string().contains("garbage_collected"), "{reason}");
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn rounds_are_apart_and_there_are_never_more_than_the_cap() {
    let (node, addr) = node().await;
    let mut events = node.events();
    let (mut peers, mut rounds) = (Vec::new(), Vec::<(Instant, bool)>::new());
    // Whether the node was full since the last round: then there is no silence.
    let mut full = false;
    for _ in 0..400 {
        let peer = memory_node();
        // Beyond the cap it waits at the door.
        let _ = tokio::time::timeout(Duration::from_millis(100), peer.dial_addr(&addr)).await;
        peers.push(peer);
        sleep(Duration::from_millis(200)).await;
        let total = node.total_connections();
        assert!(total <= CAP as usize);
        full |= total + 5 >= CAP as usize;
        if !pruned(&mut events).is_empty() {
            rounds.push((Instant::now(), std::mem::take(&mut full)));
        }
    }
    assert!(rounds.len() >= 4, "{rounds:?}");
    for pair in rounds.windows(2) {
        let apart = pair[1].0 - pair[0].0;
        assert!(apart >= Duration::from_secs(9) || pair[1].1, "{apart:?}");
    }
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn in_an_emergency_streams_and_age_are_no_obstacle_and_protection_is() {
    let (node, addr) = node().await;
    let peers = flood(&addr, 18).await;
    let mut streams = Vec::new();
    for peer in &peers {
        streams.push(use_stream(peer, &node.peer_id()).await);
    }
    for peer in &peers[..12] {
        node.protect(&peer.peer_id(), "test").unwrap();
    }
    // An ordinary round touches none of them.
    assert_eq!(node.prune_now().await, 0);
    assert_eq!(node.emergency_trim().await, 6);
    assert_eq!(connected(&node), ids(&peers[..12]));
    node.shutdown(Duration::from_secs(1)).await;
}

/// A node that is full of strangers still takes those that it knows to be worth it, in either direction.
#[tokio::test(start_paused = true)]
async fn places_are_kept_for_protected_peers() {
    let (node, addr) = node().await;
    let friend = memory_node();
    node.protect(&friend.peer_id(), "test").unwrap();
    let bootstrap = memory_node();
    node.tag_peer(&bootstrap.peer_id(), "bootstrap", 50).unwrap();
    let door = bootstrap.listen(&"/memory/0".parse().unwrap()).await.unwrap().remove(0);
    let mut strangers = Vec::new();
    let mut refused = None;
    for _ in 0..CAP {
        let stranger = memory_node();
        let mut events = stranger.events();
        let dialled = tokio::time::timeout(Duration::from_secs(2), stranger.dial_addr(&addr)).await;
        if !matches!(dialled, Ok(Ok(conn)) if conn.is_live())
            || node.connection(&stranger.peer_id()).is_none()
        {
            while let Some(event) = events.try_next() {
                if let Event::Disconnected { reason, .. } = event {
                    refused = Some(reason.to_string());
                }
            }
            break;
        }
        strangers.push(stranger);
    }
    assert!(strangers.len() < CAP as usize, "there is no end to the places");
    let refused = refused.expect("the one too many is told");
    assert!(refused.contains("resource_limit"), "{refused}");
    friend.dial_addr(&addr).await.unwrap();
    node.dial_addr(&door.with(Protocol::P2p(bootstrap.peer_id()))).await.unwrap();
    assert!(node.connection(&friend.peer_id()).is_some() && node.connection(&bootstrap.peer_id()).is_some());
    node.shutdown(Duration::from_secs(1)).await;
}
