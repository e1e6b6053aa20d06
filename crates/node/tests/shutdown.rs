//! Whenever a node is shut down: in time, with nothing left, and with all that was finished at the peer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use async_trait::async_trait;
use skep::{
    DialOptions, Swarm,
    api::{
        CloseReason, ConfigSection, Multiaddr, PeerId,
        multiaddr::Protocol,
        transport::{Link, Listener, Transport, TransportCapabilities, TransportError},
    },
    swarm::{ShutdownReport, events::Notifee},
    transport_memory::{Config, MemoryHub, MemoryTransport},
};
use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use support::{
    from_env, layers,
    lively::{Lively, Net},
    sim::{Sim, listener, on, public},
};
use tokio::{
    runtime::{Builder, Handle},
    time::{Instant, sleep, timeout},
};

/// What a shutdown may take. Only a node that hangs comes near it.
const LIMIT: Duration = Duration::from_secs(20);
/// What a task that ignores cancellation makes a shutdown take, with a margin for a busy machine.
const SHORT: Duration = Duration::from_secs(2);
const MARGIN: Duration = Duration::from_secs(10);
const HANG: Duration = Duration::from_secs(120);

/// How a node is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Shutdown,
    /// After a drain.
    Drained,
    /// By two at once.
    Twice,
    /// Right after all others have let go of it, in the middle of what they did.
    Alone,
    /// With a plugin that ignores that it is to end.
    Rogue,
}

const WAYS: [Way; 10] = [
    Way::Shutdown,
    Way::Drained,
    Way::Shutdown,
    Way::Twice,
    Way::Shutdown,
    Way::Alone,
    Way::Shutdown,
    Way::Drained,
    Way::Twice,
    Way::Alone,
];

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// One life and end. `pause` is how long the node lives.
async fn round(net: &Net, way: Way, pause: Duration, yields: u32) {
    let mut scene = Lively::new(net, way == Way::Rogue).await;
    sleep(pause).await;
    for _ in 0..yields {
        tokio::task::yield_now().await;
    }
    let (node, limit) = (scene.node.clone(), if way == Way::Rogue { SHORT } else { LIMIT });
    if way == Way::Drained {
        node.drain(Duration::from_millis(3)).await;
    }
    if way == Way::Alone {
        scene.callers.abort_all();
    }
    let finished = scene.ledger.finished();
    let begun = Instant::now();
    let report = if way == Way::Twice {
        tokio::join!(node.shutdown(limit), node.shutdown(limit)).0
    } else {
        node.shutdown(limit).await
    };
    check(&scene, &node, way, &report, begun.elapsed());
    let ledger = Arc::clone(&scene.ledger);
    timeout(HANG, scene.end()).await.expect("all callers come back");
    assert_eq!(
        ledger.missing(&finished),
        Vec::<u64>::new(),
        "transfers that were finished, of {}",
        finished.len()
    );
    // What callers were in the middle of has left nothing behind either.
    let metrics = node.metrics();
    assert_eq!((metrics.tasks, metrics.permits, metrics.panics), (0, 0, 0), "in the end");
}

/// The moment at which the shutdown has returned.
fn check(scene: &Lively, node: &Swarm, way: Way, report: &ShutdownReport, took: Duration) {
    let (forced, limit) = match way {
        Way::Rogue => (BTreeMap::from([("rogue", 1)]), SHORT),
        _ => (BTreeMap::new(), LIMIT),
    };
    let mut named = report.forced.clone();
    if way == Way::Rogue {
        // On a busy machine the rogue leaves it no time to hear the last events.
        named.remove("notifee");
    }
    assert_eq!(named, forced, "{report:?}");
    assert!(report.elapsed <= took && took <= limit + MARGIN, "{way:?} took {took:?}: {report:?}");
    let metrics = node.metrics();
    assert_eq!(
        (metrics.tasks, metrics.connections, metrics.streams),
        (0, 0, 0),
        "tasks, connections, streams"
    );
    assert_eq!(
        (
            metrics.permits,
            scene.net.sockets.now(),
            scene.guards.connections.now(),
            scene.guards.streams.now()
        ),
        (0, 0, 0, 0),
        "permits, sockets, guards"
    );
    assert_eq!(node.listen_addrs(), Vec::<Multiaddr>::new());
    if let Some(Protocol::Tcp(port)) = scene.at.iter().nth(1) {
        TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    }
}

#[test]
fn at_any_moment_over_tcp() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let net = Net {
            transport: Arc::new(|builder| {
                let section = ConfigSection::empty("transport.tcp");
                (skep::transport_tcp::PLUGIN.build)(&section, builder.build_cx()).unwrap()
            }),
            at: "/ip4/127.0.0.1/tcp/0".parse().unwrap(),
            bulk: 30_000,
        };
        let mut random = fastrand::Rng::with_seed(from_env("SKEP_TEST_SEED", 1));
        let before = (descriptors(), tasks());
        for n in 0..from_env("SKEP_TEST_TCP_POINTS", 200) {
            let way = if n % 50 == 49 { Way::Rogue } else { WAYS[random.usize(0..WAYS.len())] };
            round(&net, way, Duration::from_micros(random.u64(0..12_000)), random.u32(0..50)).await;
            // What the peer and the strangers had goes when their tasks have run.
            let gone = async {
                while (descriptors(), tasks()) != before {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            if timeout(HANG, gone).await.is_err() {
                panic!(
                    "descriptors and tasks: {:?} before, {:?} after point {n}",
                    before,
                    (descriptors(), tasks())
                );
            }
        }
    });
}

#[test]
fn at_any_moment_over_memory() {
    let mut random = fastrand::Rng::with_seed(from_env("SKEP_TEST_SEED", 1));
    for n in 0..from_env("SKEP_TEST_MEMORY_POINTS", 2_000) {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let hub = MemoryHub::new();
        let latency = skep::api::config::DurationText::millis(random.u64(1..4));
        // Little room, so that what is finished is in many places when the end comes.
        let config = Config { latency, capacity: 16 * 1024, ..Config::default() };
        let net = Net {
            transport: Arc::new(move |_| Arc::new(MemoryTransport::new(hub.clone(), config.clone()))),
            at: "/memory/0".parse().unwrap(),
            bulk: 2_000,
        };
        let way = if n % 50 == 49 { Way::Rogue } else { WAYS[random.usize(0..WAYS.len())] };
        runtime.block_on(async {
            round(&net, way, Duration::from_millis(random.u64(0..24)), random.u32(0..400)).await;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(runtime.metrics().num_alive_tasks(), 0, "tasks after point {n}, {way:?}");
    }
}

/// Takes its time over each end of a connection.
#[derive(Default)]
struct Slow(AtomicUsize);

#[async_trait]
impl Notifee for Slow {
    async fn disconnected(&self, _: &Swarm, _: u64, _: PeerId, _: CloseReason) {
        sleep(Duration::from_millis(10)).await;
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_notifee_hears_the_last_event_and_holds_nothing_up() {
    let hub = MemoryHub::new();
    let (node, at) = listener(&hub).await;
    let told = Arc::new(Slow::default());
    node.register_notifee(Arc::clone(&told) as _).forever();
    let peer = on(&Sim::new(&hub)).build().unwrap();
    for _ in 0..3 {
        peer.dial_addr_with(&at, DialOptions::default().always()).await.unwrap();
    }
    let report = node.shutdown(LIMIT).await;
    assert!(report.forced.is_empty() && report.elapsed < Duration::from_secs(1), "{report:?}");
    assert_eq!(told.0.load(Ordering::SeqCst), 3);
    assert!(node.events().next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_drains_dials_nobody() {
    let sim = Sim::new(&MemoryHub::new());
    let node = on(&sim).build().unwrap();
    // A network that swallows everything.
    let (dialling, addr) = (node.clone(), public(0));
    let dial = tokio::spawn(async move { dialling.dial_addr(&addr).await.map(drop) });
    tokio::task::yield_now().await;
    while sim.counts().open == 0 {
        tokio::task::yield_now().await;
    }
    node.drain(Duration::from_secs(1)).await;
    assert_eq!(dial.await.unwrap().unwrap_err().code(), "shutting_down");
    let again = node.dial_addr_with(&public(1), DialOptions::default()).await;
    assert_eq!(again.map(drop).unwrap_err().code(), "shutting_down");
    assert_eq!((sim.counts().open, sim.counts().total()), (0, 1));
}

/// Takes its time to bind.
#[derive(Debug)]
struct Reluctant(MemoryTransport);

#[async_trait]
impl Transport for Reluctant {
    fn supports(&self, addr: &Multiaddr) -> bool {
        self.0.supports(addr)
    }

    fn capabilities(&self) -> TransportCapabilities {
        self.0.capabilities()
    }

    async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError> {
        self.0.dial(addr).await
    }

    async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
        sleep(Duration::from_secs(1)).await;
        self.0.listen(addr).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_bound_while_a_node_drains_is_let_go_of() {
    let hub = MemoryHub::new();
    let transport = || MemoryTransport::new(hub.clone(), Config::default());
    let node = layers().transport("reluctant", Arc::new(Reluctant(transport()))).build().unwrap();
    let (binding, addr) = (node.clone(), "/memory/7".parse::<Multiaddr>().unwrap());
    let listen = tokio::spawn(async move { binding.listen(&"/memory/7".parse().unwrap()).await });
    tokio::task::yield_now().await;
    node.drain(Duration::from_secs(5)).await;
    assert!(listen.await.unwrap().is_err());
    assert!(node.listeners().is_empty());
    transport().listen(&addr).await.expect("the address is free");
}
