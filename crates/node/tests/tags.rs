//! Tags and protections of a running node: over reconnects, over a restart, and when peers come and go.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use skep::{
    Swarm, SwarmBuilder,
    api::{
        CloseReason, Code, ConfigSection, Multiaddr, PeerId, Side,
        config::DurationOrNever,
        peerstore::{PeerStore, Ttl},
        tags::{Bump, CommonTags, Decay, Tags},
    },
    policies::peerstore::{memory, redb},
    swarm::Settings,
    transport_memory::MemoryHub,
};
use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use support::{
    layers,
    sim::{Sim, listener, on},
};
use tokio::time::sleep;

const GRACE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const NAME: &str = "skep/tags";

/// A node and another that it connects to.
struct Scene {
    node: Swarm,
    peer: Swarm,
    at: Multiaddr,
}

impl Scene {
    async fn with(settings: Settings) -> Self {
        let hub = MemoryHub::new();
        let (peer, at) = listener(&hub).await;
        let node = on(&Sim::new(&hub)).settings(settings).build().unwrap();
        Self { node, peer, at }
    }

    async fn connect(&self) -> skep::SwarmConn {
        self.node.dial_addr(&self.at).await.unwrap()
    }
}

fn settings(persist: bool) -> Settings {
    Settings { persist_tags: persist, ..Settings::default() }
}

fn memory_store(keys: serde_json::Value) -> Arc<dyn PeerStore> {
    let serde_json::Value::Object(table) = keys else { panic!("{keys}") };
    let section = ConfigSection::from_table("peerstore.memory", table);
    (memory::PLUGIN.build)(&section, layers().build_cx()).unwrap()
}

/// A node that keeps its tags in a store.
fn keeping(store: &Arc<dyn PeerStore>) -> Swarm {
    let builder = on(&Sim::new(&MemoryHub::new()));
    builder.peerstore("kept", Arc::clone(store)).settings(settings(true)).build().unwrap()
}

async fn end(node: &Swarm) {
    let report = node.shutdown(SECOND * 10).await;
    assert!(report.forced.is_empty(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_keeps_protections_and_the_tags_of_the_grace_period() {
    let scene = Scene::with(settings(false)).await;
    let id = scene.peer.peer_id();
    scene.node.protect(&id, "app").unwrap();
    scene.node.tag_peer(&id, "dht", 5).unwrap();
    scene.node.tag_peer(&id, CommonTags::BOOTSTRAP, 50).unwrap();
    sleep(GRACE - SECOND).await;
    let conn = scene.connect().await;
    let info = scene.node.tag_info(&id).unwrap();
    assert_eq!((info.value(), info.temp, info.connections.contains(&conn.id())), (55, false, true));
    sleep(GRACE * 10).await;
    assert_eq!(scene.node.tag_info(&id).unwrap().value(), 55);
    conn.close(Code::NONE).await;
    let info = scene.node.tag_info(&id).unwrap();
    assert_eq!((info.value(), info.temp, info.connections.len()), (55, true, 0));
    sleep(GRACE - SECOND).await;
    assert_eq!(scene.node.tag_info(&id).unwrap().value(), 55);
    sleep(SECOND).await;
    let info = scene.node.tag_info(&id).unwrap();
    assert_eq!((info.value(), info.protected_by.len()), (50, 1));
    assert_eq!(scene.node.protected_peers(), [id]);
    assert_eq!(scene.node.clear_peer(&id), 1);
    assert!(scene.node.is_protected(&id, Some("app")) && !scene.node.unprotect(&id, "app"));
    assert_eq!(scene.node.tag_info(&id), None);
    sleep(SECOND).await;
    assert_eq!(scene.node.metrics().tasks, 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_ends_a_protection_the_idle_time_runs_from_there() {
    let idle = SECOND * 30;
    let settings = Settings { idle_timeout: DurationOrNever(Some(idle)), ..Settings::default() };
    let scene = Scene::with(settings).await;
    let (id, conn) = (scene.peer.peer_id(), scene.connect().await);
    let tags: Arc<dyn Tags> = Arc::new(scene.node.tags());
    tags.protect(&id, "service").unwrap();
    sleep(idle * 3).await;
    assert!(!tags.unprotect(&id, "service"));
    sleep(idle - SECOND).await;
    assert!(conn.is_live(), "{:?}", conn.close_reason());
    sleep(SECOND * 2).await;
    let reason = conn.close_reason().unwrap();
    assert!(
        matches!(reason, CloseReason::Closed { by: Side::Local, code: Code::GARBAGE_COLLECTED, .. }),
        "{reason}"
    );
}

#[tokio::test(start_paused = true)]
async fn decaying_tags_count_for_a_node() {
    let scene = Scene::with(settings(false)).await;
    let (id, _conn) = (scene.peer.peer_id(), scene.connect().await);
    let decay = Decay::ExpireWhenInactive(GRACE * 2);
    let tag = scene.node.register_decaying_tag("heard-of", SECOND, decay, Bump::SumUnbounded).unwrap();
    tag.bump(&id, 7).unwrap();
    sleep(GRACE).await;
    tag.bump(&id, 1).unwrap();
    assert_eq!(scene.node.metrics().tagged_peers, 1);
    sleep(GRACE * 2 - SECOND).await;
    assert_eq!(scene.node.tagged_peers(1)[0].1.tags["heard-of"], 8);
    sleep(SECOND).await;
    assert_eq!((scene.node.tagged_peers(1), scene.node.metrics().tagged_peers), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn peers_that_come_and_go_leave_no_tags() {
    let scene = Scene::with(settings(false)).await;
    let id = scene.peer.peer_id();
    for _ in 0..50 {
        let conn = scene.connect().await;
        scene.node.tag_peer(&id, "dht", 5).unwrap();
        scene.peer.tag_peer(&scene.node.peer_id(), "dht", 5).unwrap();
        scene.node.tag_peer(&PeerId::random(), "dht", 5).unwrap();
        conn.close(Code::NONE).await;
        sleep(SECOND * 3).await;
        assert!(scene.node.metrics().tagged_peers <= 21, "{:?}", scene.node.metrics());
    }
    sleep(GRACE).await;
    let tagged = [&scene.node, &scene.peer].map(|node| node.metrics().tagged_peers);
    // The other one listens.
    assert_eq!((tagged, scene.node.metrics().tasks, scene.peer.metrics().tasks), ([0, 0], 0, 1));
}

/// What two nodes do, one after the other, that keep their tags in a store.
async fn tags_survive(first: &Arc<dyn PeerStore>, second: impl AsyncFnOnce() -> Arc<dyn PeerStore>) {
    let (a, b, c) = (PeerId::random(), PeerId::random(), PeerId::random());
    let node = keeping(first);
    node.protect(&a, "app").unwrap();
    node.tag_peer(&a, CommonTags::KEEP_ALIVE, 100).unwrap();
    node.tag_peer(&b, "dht", -5).unwrap();
    node.tag_peer(&c, "dht", 5).unwrap();
    node.untag_peer(&c, "dht");
    let decaying = node.register_decaying_tag("falls", SECOND, Decay::Fixed(1), Bump::SumUnbounded).unwrap();
    decaying.bump(&c, 1_000).unwrap();
    let before = [a, b].map(|peer| node.tag_info(&peer).unwrap());
    end(&node).await;
    drop(node);
    let again = keeping(&second().await);
    for (peer, before) in [a, b].iter().zip(before) {
        let after = again.tag_info(peer).unwrap();
        assert_eq!((after.tags, after.protected_by), (before.tags, before.protected_by));
    }
    assert_eq!((again.tag_info(&c), again.metrics().tagged_peers), (None, 2));
    end(&again).await;
}

#[tokio::test(start_paused = true)]
async fn tags_survive_a_restart_in_a_store_of_memory() {
    let store = memory_store(serde_json::json!({}));
    tags_survive(&store, async || Arc::clone(&store)).await;
}

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[tokio::test]
async fn tags_survive_a_restart_in_a_file() {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("skep-tags-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = Folder(std::env::temp_dir().join(name));
    fs::create_dir(&folder.0).unwrap();
    let open = |builder: &SwarmBuilder, file: &str| {
        let path = folder.0.join(file).display().to_string();
        let serde_json::Value::Object(table) = serde_json::json!({ "path": path }) else { panic!() };
        let section = ConfigSection::from_table("peerstore.redb", table);
        (redb::PLUGIN.build)(&section, builder.build_cx()).unwrap()
    };
    let builder = layers();
    let first = open(&builder, "peers.redb");
    tags_survive(&first, async || {
        first.flush().await.unwrap();
        // As after a crash: the file is open still, so what is in it is read from a copy.
        fs::copy(folder.0.join("peers.redb"), folder.0.join("copy.redb")).unwrap();
        open(&builder, "copy.redb")
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_changes_is_written_soon_and_not_at_each_change() {
    let store = memory_store(serde_json::json!({}));
    let node = keeping(&store);
    let peer = PeerId::random();
    let kept = || store.metadata(&peer, NAME).map(|bytes| String::from_utf8(bytes).unwrap());
    for n in 0..100 {
        node.tag_peer(&peer, "dht", n).unwrap();
        assert_eq!(kept(), None);
    }
    node.protect(&peer, "app").unwrap();
    sleep(SECOND * 6).await;
    assert_eq!(kept().unwrap(), r#"{"v":1,"tags":{"dht":99},"protected_by":["app"]}"#);
    // The grace period ends, and this is a change, too.
    sleep(GRACE).await;
    assert_eq!(kept().unwrap(), r#"{"v":1,"tags":{},"protected_by":["app"]}"#);
    node.unprotect(&peer, "app");
    sleep(SECOND * 6).await;
    assert_eq!((kept(), store.peers(), node.metrics().tasks), (None, vec![], 0));
    end(&node).await;
}

#[tokio::test(start_paused = true)]
async fn damaged_tags_are_left_out() {
    let store = memory_store(serde_json::json!({}));
    let (bad, good) = (PeerId::random(), PeerId::random());
    store.set_metadata(&bad, NAME, Some(b"{\"v\":1,\"tags\":{\"dht\"")).unwrap();
    store.set_metadata(&good, NAME, Some(br#"{"v":1,"tags":{"dht":5},"protected_by":[]}"#)).unwrap();
    store.set_metadata(&good, "another", Some(b"kept")).unwrap();
    let node = keeping(&store);
    assert_eq!((node.tag_info(&bad), node.tag_info(&good).unwrap().value()), (None, 5));
    node.tag_peer(&bad, "dht", 1).unwrap();
    node.untag_peer(&good, "dht");
    end(&node).await;
    assert_eq!(store.metadata(&bad, NAME).unwrap(), br#"{"v":1,"tags":{"dht":1},"protected_by":[]}"#);
    assert_eq!(
        (store.metadata(&good, NAME), store.metadata(&good, "another")),
        (None, Some(b"kept".to_vec()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_no_more_harms_nobody() {
    let store = memory_store(serde_json::json!({ "max_metadata_per_peer": 64 }));
    let (much, little) = (PeerId::random(), PeerId::random());
    let node = keeping(&store);
    node.protect(&much, &"x".repeat(100)).unwrap();
    node.protect(&little, "x").unwrap();
    sleep(SECOND * 6).await;
    assert_eq!((store.metadata(&much, NAME), store.metadata(&little, NAME).is_some()), (None, true));
    assert!(node.is_protected(&much, None));
    end(&node).await;
}

#[tokio::test(start_paused = true)]
async fn tags_are_not_kept_unless_it_is_asked_for() {
    let scene = Scene::with(settings(false)).await;
    let (store, peer) = (scene.node.peerstore().unwrap(), PeerId::random());
    store.add_addrs(&peer, &["/ip4/192.0.2.1/tcp/1".parse().unwrap()], Ttl::Permanent);
    store.set_metadata(&peer, NAME, Some(br#"{"v":1,"tags":{"dht":5},"protected_by":[]}"#)).unwrap();
    scene.node.tag_peer(&peer, "other", 1).unwrap();
    sleep(SECOND * 6).await;
    end(&scene.node).await;
    assert_eq!(store.metadata(&peer, NAME).unwrap(), br#"{"v":1,"tags":{"dht":5},"protected_by":[]}"#);
    let error = support::with_tcp(layers()).settings(settings(true)).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 problem in the configuration:\n  1. swarm.persist_tags: there is no peer store to keep tags in [default]\n    \
         set `[stack] peerstore`, or leave it at false"
    );
}
