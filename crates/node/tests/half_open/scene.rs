//! A node under a flood of half-open connections, and an honest peer of it.

use crate::{
    held::{Peak, descriptors, peak_of_the_process, rest},
    openers::{AT_ONCE, Opener},
    support::{echo_works, from_env, meter::Guards, serve_tests},
};
use skep::{
    DialOptions, DialSettings, RetryConfig, Swarm, SwarmBuilder,
    api::{
        ConfigSection, Keypair, Multiaddr, Plugin,
        config::DurationText,
        multiaddr::Protocol,
        plugin::{Layer, layer},
    },
    swarm::{
        Settings,
        events::{Event, Events},
    },
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Builder, time::Instant};

/// The heap and the descriptors are those of the process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// How long the node waits for who does not go on, and how many it looks at meanwhile.
const PATIENCE: Duration = Duration::from_millis(250);
const PENDING: u32 = 128;
/// Half-open connections before the first look: tables that keep failures have grown, and lazy things are made.
const WARM: u64 = 2 * AT_ONCE as u64;
/// In so many parts, after each of which it is looked at what is left.
const PARTS: u64 = 4;
/// What may be left on the heap for each, in bytes: less than a single allocation.
const PER_ONE: f64 = 16.0;
/// How often an honest peer may have to come again.
const TRIES: u64 = 20;

/// What the node listens with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Tls,
    WebSocket,
    SharedPort,
    Quic,
}

impl Kind {
    fn builder(self) -> SwarmBuilder {
        let builder = SwarmBuilder::new(Keypair::generate_ed25519());
        let cx = builder.build_cx().clone();
        let transports: &[Plugin<layer::Transport>] = match self {
            Self::Tcp | Self::Tls => &[skep::transport_tcp::PLUGIN],
            Self::WebSocket => &[skep::transport_websocket::PLUGIN],
            Self::SharedPort => &[skep::transport_tcp::PLUGIN, skep::transport_websocket::PLUGIN],
            Self::Quic => &[skep::transport_quic::PLUGIN],
        };
        let security =
            if self == Self::Tls { skep::security_tls::PLUGIN } else { skep::security_noise::PLUGIN };
        let mut builder = builder;
        for transport in transports {
            builder = builder.transport(transport.name, build(*transport, &cx));
        }
        if self != Self::Quic {
            builder = builder
                .security(security.name, build(security, &cx))
                .muxer("yamux", build(skep::muxer_yamux::PLUGIN, &cx));
        }
        builder
    }

    /// Addresses to listen on, where 0 is the port that the first one got.
    fn listen(self) -> &'static [&'static str] {
        match self {
            Self::Tcp | Self::Tls => &["/ip4/127.0.0.1/tcp/0"],
            Self::WebSocket => &["/ip4/127.0.0.1/tcp/0/ws"],
            Self::SharedPort => &["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws"],
            Self::Quic => &["/ip4/127.0.0.1/udp/0/quic-v1"],
        }
    }
}

impl Kind {
    /// What may be on the heap at any moment beyond what is there at rest, in bytes, however many they are; the honest
    /// peer and all openers included, which are in the same process. A full line of QUIC newcomers with what they sent
    /// takes some 45 MiB, with a hundred thousand of them as with two hundred thousand.
    fn most(self) -> usize {
        if self == Self::Quic { 64 << 20 } else { 24 << 20 }
    }
}

fn build<L: Layer>(plugin: Plugin<L>, cx: &skep::api::BuildCx) -> Arc<L::Object> {
    (plugin.build)(&ConfigSection::empty(plugin.name), cx).unwrap()
}

struct Scene {
    kind: Kind,
    node: Swarm,
    guards: Guards,
    events: Events,
    /// Handshakes that have failed.
    failed: u64,
    /// Where the openers go, and where honest peers do.
    at: SocketAddr,
    addrs: Vec<Multiaddr>,
    honest: Swarm,
    peak: Peak,
}

/// What honest peers saw.
#[derive(Debug, Default)]
struct Served {
    /// How often one was served while the flood went on.
    times: u64,
    /// How often one had to try again.
    again: u64,
    /// The longest that one had to wait.
    longest: Duration,
}

impl Scene {
    async fn new(kind: Kind) -> Self {
        let guards = Guards::default();
        let settings = Settings {
            upgrade_timeout: DurationText(PATIENCE),
            max_pending_inbound: PENDING,
            ..Settings::default()
        };
        let node =
            kind.builder().resources("guards", Arc::new(guards.clone())).settings(settings).build().unwrap();
        serve_tests(&node);
        let (mut addrs, mut bound) = (Vec::new(), None);
        for addr in kind.listen() {
            let addr: Multiaddr = addr.parse().unwrap();
            let addr = addr.iter().map(|part| match (part, bound) {
                (Protocol::Tcp(0), Some(SocketAddr::V4(at))) => Protocol::Tcp(at.port()),
                (part, _) => part,
            });
            let addr = node.listen(&addr.collect()).await.unwrap().remove(0);
            bound = bound.or(Some(socket_addr(&addr)));
            addrs.push(addr.with(Protocol::P2p(node.peer_id())));
        }
        let dial = DialSettings { local_timeout: DurationText::secs(30), ..DialSettings::default() };
        let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        let honest = kind.builder().dial(dial).retry(retry).build().unwrap();
        // Dials go from the port of a listener, where a transport does that, rather than each from one of its own.
        honest.listen(&kind.listen()[0].parse().unwrap()).await.unwrap();
        let at = bound.unwrap();
        let events = node.events();
        Self { kind, node, guards, events, failed: 0, at, addrs, honest, peak: Peak::default() }
    }

    /// So many are begun, while honest peers come one after the other.
    async fn flood(&mut self, opener: &Opener, many: u64, served: &mut Served) {
        let (scene, over) = (&*self, AtomicBool::new(false));
        let openers = async {
            opener.open(scene.at, many, 2 * PATIENCE).await;
            over.store(true, Ordering::SeqCst);
        };
        let honest = async {
            for addr in scene.addrs.iter().cycle() {
                let (waited, again) = scene.come(addr).await;
                if over.load(Ordering::SeqCst) {
                    return;
                }
                served.times += 1;
                served.again += again;
                served.longest = served.longest.max(waited);
            }
        };
        let flood = async { tokio::join!(openers, honest) };
        tokio::select! {
            _ = flood => {}
            () = scene.peak.clone().watch() => {}
        }
        while let Some(event) = self.events.try_next() {
            self.failed += u64::from(matches!(event, Event::InboundFailed { .. }));
        }
    }

    /// An honest peer comes, again if need be, and is served: how long it waited, and how often it came again.
    async fn come(&self, addr: &Multiaddr) -> (Duration, u64) {
        let (begun, mut again) = (Instant::now(), 0);
        let conn = loop {
            let options = DialOptions::default().ignore_backoff().always();
            match self.honest.dial_addr_with(addr, options).await {
                Ok(dialed) => break dialed.connection,
                // On a busy machine the patience of the node may be short for an honest peer, too.
                Err(error) => assert!(again < TRIES, "{error:?}"),
            }
            again += 1;
        };
        echo_works(&conn).await;
        self.honest.remove_conn(&conn).await;
        (begun.elapsed(), again)
    }
}

fn socket_addr(addr: &Multiaddr) -> SocketAddr {
    let mut parts = addr.iter();
    match (parts.next(), parts.next()) {
        (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port) | Protocol::Udp(port))) => {
            (IpAddr::V4(ip), port).into()
        }
        other => panic!("{other:?}"),
    }
}

/// The test of one kind.
pub(crate) fn half_open(kind: Kind, opener: &Opener) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let many = from_env("SKEP_TEST_HANDSHAKES", 2_000);
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut scene = Scene::new(kind).await;
        let guards = scene.guards.clone();
        let guards = || guards.connections.now();
        let before = rest(&scene.node, guards, None).await.0;
        assert_eq!((before.permits, before.pending, before.guards), (0, 0, 0));
        scene.flood(opener, WARM, &mut Served::default()).await;
        let heap = rest(&scene.node, guards, Some(before)).await.1;
        let (mut heaps, mut served) = (vec![heap], Served::default());
        scene.peak = Peak::default();
        scene.failed = 0;
        let begun = Instant::now();
        for _ in 0..PARTS {
            scene.flood(opener, many / PARTS, &mut served).await;
            heaps.push(rest(&scene.node, guards, Some(before)).await.1);
        }
        let elapsed = begun.elapsed();
        let growth = heaps.windows(2).map(|pair| (pair[1] as f64 - pair[0] as f64) / (many / PARTS) as f64);
        let per_one = growth.fold(f64::MAX, f64::min);
        let peak = scene.peak.over(heap);
        println!(
            "{:?}: {many} half-open in {elapsed:.1?}; {} failed; heap at most {} KiB over {} KiB, {per_one:.2} bytes \
             left of each in the best part; {} descriptors before, {} after; the process had {:?} KiB at most; \
             {served:?}",
            scene.kind,
            scene.failed,
            peak >> 10,
            heap >> 10,
            before.descriptors,
            descriptors(),
            peak_of_the_process(),
        );
        assert!(per_one < PER_ONE, "{per_one} bytes each: {heaps:?}");
        assert!(peak < kind.most(), "{peak} bytes");
        assert!(served.times > 0, "{served:?}");
        assert!(scene.node.metrics().panics == 0);
    });
}
