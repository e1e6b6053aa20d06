//! Peers come, say who they are, and go, for ever others: a node keeps what it is to keep of them, and no more.
//!
//! By hand: `SKEP_TEST_PEERS=100000 cargo test --release -p skep --test churn -- --nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use skep::{
    DialOptions, Swarm, SwarmConn,
    api::{Code, ConfigSection, Keypair, Multiaddr, PeerId, config::DurationText, multiaddr::Protocol},
    swarm::{
        DialSettings, SwarmBuilder,
        events::{EventKinds, Events},
    },
    transport_memory::{Config, MemoryHub, MemoryTransport},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::{alloc::System, sync::Arc, time::Duration};
use support::{
    from_env,
    meter::{Guards, Metered},
};
use tokio::{
    runtime::{Builder, Handle},
    time::sleep,
};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Peers before the heap is looked at first: all tables have reached their caps.
const FIRST: u64 = 1_000;
/// How much more there may be after all others.
const MORE: f64 = 0.05;
/// Longer than anything is remembered of a peer that is gone.
const QUIET: Duration = Duration::from_secs(2 * 3600);
/// Peers at the same time; more than the pruner lets be.
const AT_ONCE: u64 = 24;
const HIGH: i64 = 20;
const MAX_PEERS: usize = 400;
const MAX_LEFT_ALONE: usize = 64;
/// Events that a subscriber may be behind.
const QUEUE: usize = 1024;

fn heap() -> usize {
    let stats = HEAP.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

/// The table of a plugin, with some keys.
fn section(path: &str, keys: serde_json::Value) -> ConfigSection {
    let serde_json::Value::Object(table) = keys else { panic!("{keys}") };
    ConfigSection::from_table(path, table)
}

/// A builder with the layers of a usual node, but no transport yet.
fn usual() -> SwarmBuilder {
    let builder = SwarmBuilder::new(Keypair::generate_ed25519());
    let cx = builder.build_cx().clone();
    let empty = |path: &str| ConfigSection::empty(path);
    let pruner = section("pruner.watermark", serde_json::json!({ "low": 15, "high": HIGH, "grace": "0s" }));
    let store = serde_json::json!({
        "max_peers": MAX_PEERS, "max_addrs": 1_200, "max_addrs_per_peer": 8, "max_records": MAX_PEERS,
    });
    let store = section("peerstore.memory", store);
    use skep::{policies, protocols};
    builder
        .security("noise", (skep::security_noise::PLUGIN.build)(&empty("security.noise"), &cx).unwrap())
        .muxer("yamux", (skep::muxer_yamux::PLUGIN.build)(&empty("muxer.yamux"), &cx).unwrap())
        .protocol("ping", (protocols::ping::PLUGIN.build)(&empty("protocol.ping"), &cx).unwrap())
        .protocol("identify", (protocols::identify::PLUGIN.build)(&empty("protocol.identify"), &cx).unwrap())
        .ranker("smart", (policies::ranker::smart::PLUGIN.build)(&empty("ranker.smart"), &cx).unwrap())
        .selector("best", (policies::selector::best::PLUGIN.build)(&empty("selector.best"), &cx).unwrap())
        .pruner("watermark", (policies::pruner::watermark::PLUGIN.build)(&pruner, &cx).unwrap())
        .peerstore("memory", (policies::peerstore::memory::PLUGIN.build)(&store, &cx).unwrap())
}

/// The node that stays.
struct Scene {
    node: Swarm,
    at: Multiaddr,
    hub: MemoryHub,
    net: Arc<Metered<MemoryTransport>>,
    guards: Guards,
    /// Never reads.
    _slow: Events,
}

/// What became of a peer.
#[derive(Clone, Copy, Debug, Default)]
struct Story {
    identified: u64,
    pinged: u64,
    refused: u64,
}

fn transport(hub: &MemoryHub) -> MemoryTransport {
    MemoryTransport::new(hub.clone(), Config { latency: DurationText::millis(1), ..Config::default() })
}

impl Scene {
    async fn new() -> Self {
        let (hub, guards) = (MemoryHub::new(), Guards::default());
        let net = Metered::new(Arc::new(transport(&hub)), &guards);
        let dial = DialSettings { backoff_entries: 64, negative_entries: 64, ..DialSettings::default() };
        let node = usual()
            .transport("memory", Arc::clone(&net) as _)
            .resources("guards", Arc::new(guards.clone()))
            .dial(dial)
            .build()
            .unwrap();
        let at = node.listen(&"/memory/0".parse().unwrap()).await.unwrap()[0].clone();
        Self { _slow: node.events_of(EventKinds::ALL), node, at, hub, net, guards }
    }

    /// Peers of these numbers, some at the same time.
    async fn visits(&self, numbers: std::ops::Range<u64>) -> Story {
        let mut sum = Story::default();
        let mut next = numbers.start;
        while next < numbers.end {
            let last = (next + AT_ONCE).min(numbers.end);
            for story in futures::future::join_all((next..last).map(|n| self.visit(n))).await {
                sum.identified += story.identified;
                sum.pinged += story.pinged;
                sum.refused += story.refused;
            }
            self.tables_are_bounded();
            next = last;
        }
        sum
    }

    /// One peer's whole life.
    async fn visit(&self, n: u64) -> Story {
        let peer = usual().transport("memory", Arc::new(transport(&self.hub))).build().unwrap();
        let at = peer.listen(&"/memory/0".parse().unwrap()).await.unwrap()[0].clone();
        let (id, mut story) = (peer.peer_id(), Story::default());
        self.node.tag_peer(&id, "visitor", 1).unwrap();
        if let Some((ours, theirs)) = self.meet(&peer, &at, n).await {
            let (identified, _) = tokio::join!(ours.identified(), theirs.identified());
            story.identified += u64::from(identified.is_some());
            story.pinged += u64::from(ping(&ours).await && ping(&theirs).await);
            match n / 2 % 4 {
                0 => ours.close(Code::NONE).await,
                1 => theirs.close(Code::NONE).await,
                2 => ours.abort(Code::NONE).await,
                // By its end.
                _ => {}
            }
        }
        self.node.untag_peer(&id, "visitor");
        let report = peer.shutdown(Duration::from_secs(5)).await;
        assert!(report.forced.is_empty(), "{report:?}");
        // It is not there any more.
        let again = self.node.dial_addr_with(&at.with(Protocol::P2p(id)), DialOptions::default()).await;
        story.refused += u64::from(again.is_err());
        story
    }

    /// Every other peer dials the node, the others are dialled. The two ends of the connection.
    async fn meet(&self, peer: &Swarm, at: &Multiaddr, n: u64) -> Option<(SwarmConn, SwarmConn)> {
        let dials = n.is_multiple_of(2);
        let (from, to, addr) = if dials { (peer, &self.node, &self.at) } else { (&self.node, peer, at) };
        let dialled = from.dial_addr(&addr.clone().with(Protocol::P2p(to.peer_id()))).await.ok()?;
        // A moment later at the other end, if the pruner lets it live.
        sleep(Duration::from_millis(3)).await;
        let accepted = to.connection(&from.peer_id())?;
        Some(if dials { (accepted, dialled) } else { (dialled, accepted) })
    }

    fn tables_are_bounded(&self) {
        let stats = self.node.peerstore().unwrap().stats();
        assert!(stats.peers <= stats.max_peers && stats.max_peers == MAX_PEERS, "{stats:?}");
        assert!(stats.addrs <= stats.max_addrs && stats.records <= stats.max_records, "{stats:?}");
        let (dial, metrics) = (self.node.dial_state(), self.node.metrics());
        assert!(dial.addrs.len() <= MAX_LEFT_ALONE && dial.peers.len() <= MAX_LEFT_ALONE, "{dial:?}");
        assert_eq!((dial.in_flight, dial.outstanding, dial.queued), (0, 0, 0), "{dial:?}");
        assert!(metrics.waiting_events <= QUEUE && metrics.connections as u64 <= AT_ONCE, "{metrics:?}");
        assert_eq!(metrics.tagged_peers, 0);
    }

    /// After a while only the listener is left.
    async fn quiet(&self) -> usize {
        sleep(QUIET).await;
        let metrics = self.node.metrics();
        assert_eq!((metrics.connections, metrics.peers, metrics.streams, metrics.permits), (0, 0, 0, 0));
        assert_eq!((metrics.tasks, metrics.pending_inbound, metrics.panics), (1, 0, 0), "{metrics:?}");
        let counts = (self.net.sockets.now(), self.guards.connections.now(), self.guards.streams.now());
        assert_eq!((counts, Handle::current().metrics().num_alive_tasks()), ((0, 0, 0), 1));
        self.tables_are_bounded();
        let dial = self.node.dial_state();
        assert_eq!((dial.addrs.len(), dial.peers.len()), (0, 0));
        assert_eq!(self.node.peerstore().unwrap().addrs(&PeerId::random()).len(), 0);
        println!("{:?}, heap {}", self.node.peerstore().unwrap().stats(), heap());
        heap()
    }
}

async fn ping(conn: &SwarmConn) -> bool {
    let Ok(mut stream) = conn.open_stream(&[skep::protocols::ping::PROTOCOL.into()]).await else {
        return false;
    };
    let pinged = skep::protocols::ping::ping(&mut stream).await.is_ok();
    stream.finish().await.is_ok() && pinged
}

#[test]
fn nothing_grows_with_the_number_of_peers() {
    let peers = from_env("SKEP_TEST_PEERS", 3_000);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let scene = Scene::new().await;
        let first = scene.visits(0..FIRST).await;
        assert!(first.identified > FIRST / 2 && first.pinged > FIRST / 2, "{first:?}");
        assert!(scene.node.peerstore().unwrap().stats().peers > MAX_PEERS / 2);
        let before = scene.quiet().await;
        let others = scene.visits(FIRST..peers).await;
        assert_eq!(others.refused, peers - FIRST);
        let after = scene.quiet().await;
        let more = after as f64 / before as f64 - 1.0;
        println!(
            "{peers} peers, {others:?}: heap {before} after {FIRST}, {after} in the end, {:+.2} %",
            100.0 * more
        );
        assert!(more < MORE, "the heap has grown by {more}");
        let report = scene.node.shutdown(Duration::from_secs(5)).await;
        assert!(report.forced.is_empty(), "{report:?}");
    });
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
}
