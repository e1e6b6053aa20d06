//! Handshakes that fail, many of them, of all kinds and in both directions: descriptors, tasks, permits and memory are
//! what they were before.
//!
//! By hand: `SKEP_TEST_HANDSHAKES=100000 cargo test --release -p skep --test handshakes`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use skep::{
    DialOptions, Swarm,
    api::{
        ConfigSection, Multiaddr, PeerId,
        config::DurationText,
        multiaddr::Protocol,
        security::Role,
        transport::{Link, Transport},
    },
    swarm::{
        DialSettings, RetryConfig, Settings,
        events::{Event, Events},
    },
    transport_memory::{Config, MemoryHub, MemoryTransport},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::{
    alloc::System,
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use support::{
    from_env, layers,
    meter::{Guards, Metered},
    strangers::{BAD, Manner, Tools},
};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinHandle,
    time::{sleep, timeout},
};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The heap and the descriptors are those of the process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Failures before the first look: tables that keep failures have grown, and lazy things are made.
const WARM: u64 = 400;
/// What may be left on the heap for each failure beyond, in bytes: less than a single allocation.
const PER_FAILURE: f64 = 16.0;
/// How many of each kind at once.
const SAME: usize = 4;
/// How long nodes wait for who is silent.
const PATIENCE: Duration = Duration::from_millis(30);
/// In so many parts, after each of which it is looked at what is left.
const PARTS: u64 = 4;
const HANG: Duration = Duration::from_secs(120);

/// What a process has at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    tasks: usize,
    of_the_node: usize,
    permits: usize,
    pending: usize,
    guards: usize,
    sockets: usize,
}

struct Scene {
    node: Swarm,
    at: Multiaddr,
    events: Events,
    /// Handshakes that have failed with the node as the listener.
    inbound: u64,
    net: Arc<Metered<dyn Transport>>,
    guards: Guards,
    stranger: Tools,
    /// Where strangers listen, and the node itself; who is expected there, if it matters.
    places: Vec<(Multiaddr, Option<PeerId>)>,
    doors: Vec<JoinHandle<()>>,
}

impl Scene {
    async fn new(transport: Arc<dyn Transport>, at: &str) -> Self {
        let (guards, builder) = (Guards::default(), layers());
        let net = Metered::new(transport, &guards);
        // Who is silent is given up soon, where time is real.
        let settings = Settings { upgrade_timeout: DurationText(PATIENCE), ..Settings::default() };
        let dial = DialSettings {
            local_timeout: DurationText(PATIENCE),
            public_timeout: DurationText(PATIENCE),
            backoff_entries: 64,
            negative_entries: 64,
            // As fast as it goes.
            max_per_second: 100_000,
            ..DialSettings::default()
        };
        let node = builder
            .transport("net", Arc::clone(&net) as _)
            .resources("guards", Arc::new(guards.clone()))
            .settings(settings)
            .dial(dial)
            .retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .build()
            .unwrap();
        let bound = node.listen(&at.parse().unwrap()).await.unwrap()[0].clone();
        let stranger = Tools::of(&layers());
        let (mut places, mut doors) = (vec![(bound.clone(), None)], Vec::new());
        for manner in BAD.into_iter().chain([Manner::Good]) {
            let (addr, door) = stranger.listen(&net.inner, at, manner).await;
            // With another muxer it is the peer that is expected; all others are not.
            places.push((addr, (manner == Manner::OtherMuxer).then_some(stranger.peer)));
            doors.push(door);
        }
        Self { events: node.events(), inbound: 0, node, at: bound, net, guards, stranger, places, doors }
    }

    /// So many handshakes fail, at least, in rounds of some of each kind.
    async fn fail(&mut self, many: u64) {
        let round = (SAME * (self.places.len() + BAD.len())) as u64;
        for _ in 0..many.div_ceil(round) {
            let scene = &*self;
            let dials = (0..SAME).flat_map(|_| &scene.places).map(|(addr, peer)| async {
                // Dials of one peer would be one.
                let addr = addr.clone().with(Protocol::P2p(peer.unwrap_or_else(PeerId::random)));
                let options = DialOptions::default().ignore_backoff().always();
                assert!(scene.node.dial_addr_with(&addr, options).await.is_err(), "{addr}");
            });
            let strangers = (0..SAME).flat_map(|_| BAD).map(|manner| async move {
                let Ok(Link::Raw(raw)) = scene.net.inner.dial(&scene.at).await else { panic!("no link") };
                let behave = scene.stranger.clone().behave(raw.io, Role::Dialer, manner);
                // A silent one goes when the node has given it up.
                let _ = timeout(2 * PATIENCE, behave).await;
            });
            tokio::join!(futures::future::join_all(dials), futures::future::join_all(strangers));
            while let Some(event) = self.events.try_next() {
                self.inbound += u64::from(matches!(event, Event::InboundFailed { .. }));
            }
        }
    }

    fn held(&self) -> Held {
        let metrics = self.node.metrics();
        Held {
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
            tasks: Handle::current().metrics().num_alive_tasks(),
            of_the_node: metrics.tasks,
            permits: metrics.permits,
            pending: metrics.pending_inbound,
            guards: self.guards.connections.now(),
            sockets: self.net.sockets.now(),
        }
    }

    /// Waits until it is at rest: what it holds then, and the heap.
    async fn rest(&self, like: Option<Held>) -> (Held, usize) {
        let resting = async {
            loop {
                let before = self.held();
                sleep(Duration::from_millis(50)).await;
                let now = self.held();
                if now == before && like.is_none_or(|like| like == now) {
                    return now;
                }
            }
        };
        match timeout(HANG, resting).await {
            Ok(held) => (held, heap()),
            Err(_) => panic!("{:?} is left, of {like:?} before", self.held()),
        }
    }
}

fn heap() -> usize {
    let stats = HEAP.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

fn nothing_is_left(runtime: &Runtime, transport: impl FnOnce() -> Arc<dyn Transport>, at: &str, many: u64) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    runtime.block_on(async {
        let mut scene = Scene::new(transport(), at).await;
        scene.fail(WARM).await;
        let (before, heap) = scene.rest(None).await;
        assert_eq!((before.permits, before.pending, before.guards, before.sockets), (0, 0, 0, 0));
        // What leaks grows in each part; a pool or a table of the runtime that has grown once does not.
        let part = many / PARTS;
        let mut heaps = vec![heap];
        for _ in 0..PARTS {
            scene.fail(part).await;
            heaps.push(scene.rest(Some(before)).await.1);
        }
        let growth = heaps.windows(2).map(|pair| (pair[1] as f64 - pair[0] as f64) / part as f64);
        let per_failure = growth.fold(f64::MAX, f64::min);
        println!("{many} failures over {at}: heap {heaps:?}, {per_failure:.2} bytes each in the best part");
        assert!(per_failure < PER_FAILURE, "{per_failure} bytes each: {heaps:?}");
        assert!(scene.inbound > many / 3, "only {} were inbound", scene.inbound);
        let report = scene.node.shutdown(Duration::from_secs(10)).await;
        assert!(report.forced.is_empty() && scene.node.metrics().panics == 0, "{report:?}");
        scene.doors.iter().for_each(JoinHandle::abort);
    });
}

#[test]
fn over_tcp() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let tcp = || {
        let section = ConfigSection::empty("transport.tcp");
        (skep::transport_tcp::PLUGIN.build)(&section, layers().build_cx()).unwrap()
    };
    nothing_is_left(&runtime, tcp, "/ip4/127.0.0.1/tcp/0", from_env("SKEP_TEST_HANDSHAKES", 2_000));
}

#[test]
fn over_memory() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let memory = || Arc::new(MemoryTransport::new(MemoryHub::new(), Config::default())) as Arc<dyn Transport>;
    nothing_is_left(&runtime, memory, "/memory/0", from_env("SKEP_TEST_HANDSHAKES", 8_000));
}
