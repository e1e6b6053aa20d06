//! Whatever becomes of a connection: the permits in use are the live sockets, and the guards of the resource manager,
//! at every moment, never more than there may be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use proptest::{prelude::*, test_runner::RngSeed};
use skep::{
    DialOptions, NetStream, Swarm, SwarmConn,
    api::{
        Code, Multiaddr,
        multiaddr::Protocol,
        security::Role,
        transport::{Link, RawLink, Transport},
    },
    swarm::Settings,
    transport_memory::{Config, MemoryHub, MemoryTransport},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use support::{
    ECHO, from_env, layers,
    meter::{Closed, Guards, Metered},
    sim::{Route, Sim, public},
    strangers::{BAD, Manner, Tools, muxed_pair, raw_pair},
};
use tokio::task::JoinHandle;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The node dials: the peer, or one of the places where that fails; alone, or joining others.
    Dial {
        place: usize,
        always: bool,
        patience: u64,
    },
    /// The peer dials the node.
    DialledBy,
    /// A stranger dials the node.
    Stranger(Manner),
    /// A caller goes.
    Cancel(usize),
    /// The strangers hang up.
    HangUp,
    /// A connection ends, by the node or by the peer.
    End {
        by_node: bool,
        how: End,
        which: usize,
    },
    /// A byte stream that was made elsewhere.
    Given {
        inbound: bool,
        to: To,
    },
    /// A connection that was made elsewhere.
    Add {
        inbound: bool,
    },
    /// A stream is opened and held.
    Open(usize),
    /// The streams that are held go.
    DropStreams,
    /// The gate is against a step of the road from now on, or none.
    Gate(Option<&'static str>),
    /// So is the resource manager: against connections, against peers.
    Deny(bool, bool),
    Time(u64),
    Drain,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Abort,
    Remove,
    All,
}

/// Who is at the other end of a link that is given to the node.
#[derive(Clone, Copy, Debug)]
enum To {
    Peer,
    Stranger(Manner),
    /// A peer that is not the one who is wanted, where one is.
    Wrong,
}

fn manner() -> impl Strategy<Value = Manner> {
    prop::sample::select(BAD.into_iter().chain([Manner::Good]).collect::<Vec<_>>())
}

fn end() -> impl Strategy<Value = End> {
    prop::sample::select(vec![End::Close, End::Abort, End::Remove, End::All])
}

fn step() -> impl Strategy<Value = Step> {
    let to = prop_oneof![
        2 => Just(To::Peer),
        2 => manner().prop_map(To::Stranger),
        1 => Just(To::Wrong),
    ];
    prop_oneof![
        8 => (0..12_usize, any::<bool>(), 1..20_000_u64)
            .prop_map(|(place, always, patience)| Step::Dial { place, always, patience }),
        3 => Just(Step::DialledBy),
        4 => manner().prop_map(Step::Stranger),
        3 => (0..40_usize).prop_map(Step::Cancel),
        1 => Just(Step::HangUp),
        4 => (any::<bool>(), end(), 0..10_usize)
            .prop_map(|(by_node, how, which)| Step::End { by_node, how, which }),
        3 => (any::<bool>(), to).prop_map(|(inbound, to)| Step::Given { inbound, to }),
        2 => any::<bool>().prop_map(|inbound| Step::Add { inbound }),
        2 => (0..10_usize).prop_map(Step::Open),
        1 => Just(Step::DropStreams),
        2 => prop::sample::select(vec![None, None, Some("dial"), Some("link"), Some("peer"), Some("ready")])
            .prop_map(Step::Gate),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(all, peers)| Step::Deny(all, peers)),
        3 => (0..400_u64).prop_map(Step::Time),
        1 => (4_000..20_000_u64).prop_map(Step::Time),
    ]
}

/// Most stories never come to the drain.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let drained = (prop::collection::vec(step(), 1..30), prop::collection::vec(step(), 1..10));
    let drained = drained.prop_map(|(before, after)| [before, vec![Step::Drain], after].concat());
    prop_oneof![3 => prop::collection::vec(step(), 1..50), 1 => drained]
}

/// By hand: more, and others.
fn config() -> ProptestConfig {
    let cases = from_env("SKEP_TEST_CASES", 256) as u32;
    let rng_seed = RngSeed::Fixed(from_env("SKEP_TEST_SEED", 1));
    ProptestConfig { rng_seed, failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn a_permit_is_a_socket(steps in steps()) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut scene = Scene::new().await;
            for step in steps {
                scene.step(step).await;
                settle(&scene).await;
                scene.check(step)?;
            }
            scene.end().await
        })?;
        prop_assert_eq!(runtime.metrics().num_alive_tasks(), 0, "tasks of the runtime");
    }
}

/// A node, its counters, and the layers to do by hand what it does.
struct Metre {
    swarm: Swarm,
    net: Arc<Metered<Sim>>,
    guards: Guards,
    gate: Closed,
    tools: Tools,
    max: usize,
}

impl Metre {
    fn new(hub: &MemoryHub, settings: Settings) -> Self {
        let (guards, gate) = (Guards::default(), Closed::default());
        let net = Metered::new(Sim::new(hub), &guards);
        let max = settings.max_connections as usize;
        let builder = layers();
        let tools = Tools::of(&builder);
        let smart = skep::policies::ranker::smart::PLUGIN;
        let ranker =
            (smart.build)(&skep::api::ConfigSection::empty("ranker.smart"), builder.build_cx()).unwrap();
        let swarm = builder
            .transport("sim", Arc::clone(&net) as _)
            .ranker("smart", ranker)
            .resources("guards", Arc::new(guards.clone()))
            .gate("test", Arc::new(gate.clone()))
            .settings(settings)
            .build()
            .unwrap();
        Self { swarm, net, guards, gate, tools, max }
    }

    /// Permits, sockets, guards.
    fn counts(&self) -> [usize; 3] {
        [self.swarm.metrics().permits, self.net.sockets.now(), self.guards.connections.now()]
    }

    fn check(&self, after: &str) -> Result<(), TestCaseError> {
        let [permits, sockets, guards] = self.counts();
        prop_assert_eq!((permits, permits), (sockets, guards), "permits, sockets and guards after {}", after);
        prop_assert!(permits <= self.max, "{} permits after {}", permits, after);
        prop_assert_eq!(self.net.sockets.unguarded(), 0, "sockets without a guard by {}", after);
        let streams = self.swarm.metrics().streams;
        prop_assert_eq!(streams, self.guards.streams.now(), "streams and their guards after {}", after);
        Ok(())
    }
}

struct Scene {
    hub: MemoryHub,
    node: Metre,
    peer: Metre,
    node_at: Multiaddr,
    places: Vec<Multiaddr>,
    stranger: Tools,
    outside: Arc<dyn Transport>,
    doors: Vec<JoinHandle<()>>,
    callers: Vec<JoinHandle<()>>,
    strangers: Vec<JoinHandle<()>>,
    streams: Vec<NetStream>,
}

impl Scene {
    async fn new() -> Self {
        let hub = MemoryHub::new();
        let settings = Settings { max_connections: 6, max_pending_inbound: 3, ..Settings::default() };
        let node = Metre::new(&hub, settings.clone());
        let more = Settings { max_connections: 9, max_connections_per_peer: 6, ..settings };
        let peer = Metre::new(&hub, more);
        let node_at = node.swarm.listen(&"/memory/0".parse().unwrap()).await.unwrap()[0].clone();
        let peer_at = peer.swarm.listen(&"/memory/0".parse().unwrap()).await.unwrap()[0].clone();
        let outside: Arc<dyn Transport> = Arc::new(MemoryTransport::new(hub.clone(), Config::default()));
        let stranger = Tools::of(&layers());
        let with = |addr: Multiaddr, tools: &Tools| addr.with(Protocol::P2p(tools.peer));
        // The peer at once and late, somebody else, nobody, a network that swallows everything, and strangers.
        let (late, refuses, dark) = (public(0), public(1), public(2));
        node.net.inner.route(&late, Route::Leads(peer_at.clone(), Duration::from_millis(120)));
        node.net.inner.route(&refuses, Route::Refuses(Duration::from_millis(60)));
        let mut places = vec![
            with(peer_at.clone(), &peer.tools),
            peer_at.clone(),
            with(late, &peer.tools),
            with(peer_at, &stranger),
            with(node_at.clone(), &peer.tools),
            refuses,
            dark,
        ];
        let mut doors = Vec::new();
        for manner in BAD {
            let (addr, door) = stranger.listen(&outside, "/memory/0", manner).await;
            places.push(with(addr, &stranger));
            doors.push(door);
        }
        let (callers, strangers, streams) = (Vec::new(), Vec::new(), Vec::new());
        Self { hub, node, peer, node_at, places, stranger, outside, doors, callers, strangers, streams }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Dial { place, always, patience } => {
                let (swarm, addr) = (self.node.swarm.clone(), self.places[place].clone());
                self.dial(swarm, addr, always, patience);
            }
            Step::DialledBy => self.dial(self.peer.swarm.clone(), self.node_at.clone(), true, 10_000),
            Step::Stranger(manner) => {
                if let Ok(Link::Raw(raw)) = self.outside.dial(&self.node_at).await {
                    let behave = self.stranger.clone().behave(raw.io, Role::Dialer, manner);
                    self.strangers.push(tokio::spawn(behave));
                }
            }
            Step::Cancel(which) if !self.callers.is_empty() => {
                self.callers.swap_remove(which % self.callers.len()).abort();
            }
            Step::Cancel(_) => {}
            Step::HangUp => self.strangers.drain(..).for_each(|stranger| stranger.abort()),
            Step::End { by_node, how, which } => self.end_one(by_node, how, which),
            Step::Given { inbound, to } => self.give(inbound, to).await,
            Step::Add { inbound } => self.add(inbound).await,
            Step::Open(which) => {
                let connections = self.node.swarm.connections();
                let Some(conn) = pick(&connections, which) else { return };
                self.streams.extend(conn.open_stream(&[ECHO.into()]).await.ok());
            }
            Step::DropStreams => self.streams.clear(),
            Step::Gate(at) => *self.node.gate.0.lock().unwrap() = at,
            Step::Deny(connections, peers) => {
                self.node.guards.deny_connections.store(connections, Ordering::SeqCst);
                self.node.guards.deny_peers.store(peers, Ordering::SeqCst);
            }
            Step::Time(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Step::Drain => {
                self.node.swarm.drain(Duration::from_secs(2)).await;
            }
        }
    }

    fn dial(&mut self, swarm: Swarm, addr: Multiaddr, always: bool, patience: u64) {
        let options = DialOptions::default().timeout(Duration::from_millis(patience)).ignore_backoff();
        let options = if always { options.always() } else { options };
        self.callers.push(tokio::spawn(async move { drop(swarm.dial_addr_with(&addr, options).await) }));
    }

    fn end_one(&mut self, by_node: bool, how: End, which: usize) {
        let swarm = if by_node { self.node.swarm.clone() } else { self.peer.swarm.clone() };
        let Some(conn) = pick(&swarm.connections(), which) else { return };
        self.callers.push(tokio::spawn(async move {
            match how {
                End::Close => conn.close(Code::NONE).await,
                End::Abort => conn.abort(Code::NONE).await,
                End::Remove => drop(swarm.remove_conn(&conn).await),
                End::All => drop(swarm.close_peer(&conn.peer(), Code::NONE).await),
            }
        }));
    }

    /// Gives the node one end of a link.
    async fn give(&mut self, inbound: bool, to: To) {
        let (near, far) = raw_pair(&*self.outside, &"/memory/0".parse().unwrap()).await;
        let (ours, theirs) = if inbound { (far, near) } else { (near, far) };
        let ours = self.node.net.sockets.give(ours);
        let wanted = match to {
            To::Peer => self.peer.tools.peer,
            To::Stranger(_) | To::Wrong => self.stranger.peer,
        };
        self.upgrade(self.node.swarm.clone(), ours, inbound, wanted);
        match to {
            To::Stranger(manner) => {
                let role = if inbound { Role::Dialer } else { Role::Listener };
                let behave = self.stranger.clone().behave(theirs.io, role, manner);
                self.strangers.push(tokio::spawn(behave));
            }
            To::Peer | To::Wrong => {
                let theirs = self.peer.net.sockets.give(theirs);
                self.upgrade(self.peer.swarm.clone(), theirs, !inbound, self.node.tools.peer);
            }
        }
    }

    fn upgrade(&mut self, swarm: Swarm, raw: RawLink, inbound: bool, wanted: skep::api::PeerId) {
        self.callers.push(tokio::spawn(async move {
            drop(match inbound {
                true => swarm.upgrade_inbound_raw_conn(raw).await,
                false => swarm.upgrade_outbound_raw_conn(raw, wanted).await,
            });
        }));
    }

    /// Adds a connection to both nodes.
    async fn add(&mut self, inbound: bool) {
        let (near, far) = raw_pair(&*self.outside, &"/memory/0".parse().unwrap()).await;
        let (dialler, listener) = if inbound { (&self.peer, &self.node) } else { (&self.node, &self.peer) };
        let near = (&dialler.tools, dialler.net.sockets.give(near));
        let far = (&listener.tools, listener.net.sockets.give(far));
        let (near, far) = muxed_pair(near, far).await;
        for (swarm, link, role) in
            [(dialler.swarm.clone(), near, Role::Dialer), (listener.swarm.clone(), far, Role::Listener)]
        {
            self.callers.push(tokio::spawn(async move { drop(swarm.add_conn(link, role).await) }));
        }
    }

    fn check(&self, step: Step) -> Result<(), TestCaseError> {
        let after = format!("{step:?}");
        self.node.check(&format!("{after}, at the node"))?;
        self.peer.check(&format!("{after}, at the peer"))
    }

    /// All goes, and nothing is left.
    async fn end(mut self) -> Result<(), TestCaseError> {
        self.callers.drain(..).for_each(|caller| caller.abort());
        self.strangers.drain(..).for_each(|stranger| stranger.abort());
        self.streams.clear();
        for swarm in [&self.node.swarm, &self.peer.swarm] {
            for conn in swarm.connections() {
                conn.close(Code::NONE).await;
            }
        }
        // Whoever is silent has until the deadline of the handshake.
        tokio::time::sleep(Duration::from_secs(60)).await;
        for metre in [&self.node, &self.peer] {
            metre.check("the end")?;
            prop_assert_eq!(metre.counts(), [0; 3], "permits, sockets and guards in the end");
        }
        for metre in [&self.node, &self.peer] {
            let report = metre.swarm.shutdown(Duration::from_secs(5)).await;
            prop_assert!(report.forced.is_empty(), "{:?}", report);
            let metrics = metre.swarm.metrics();
            prop_assert_eq!((metrics.tasks, metrics.panics, metrics.connections), (0, 0, 0));
            prop_assert_eq!(metre.counts(), [0; 3], "permits, sockets and guards after the end");
        }
        self.doors.drain(..).for_each(|door| door.abort());
        drop(self.hub);
        settle(&self.node).await;
        Ok(())
    }
}

fn pick(connections: &[SwarmConn], which: usize) -> Option<SwarmConn> {
    let mut connections = connections.to_vec();
    connections.sort_by_key(SwarmConn::id);
    (!connections.is_empty()).then(|| connections.swap_remove(which % connections.len()))
}

/// What is to come to rest.
trait Rest {
    fn figures(&self) -> Vec<usize>;
}

impl Rest for Metre {
    fn figures(&self) -> Vec<usize> {
        let metrics = self.swarm.metrics();
        let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        self.counts()
            .into_iter()
            .chain([metrics.tasks, metrics.streams, metrics.connections, alive])
            .collect()
    }
}

impl Rest for Scene {
    fn figures(&self) -> Vec<usize> {
        [self.node.figures(), self.peer.figures()].concat()
    }
}

/// Lets every task run that can run at this moment.
async fn settle(what: &impl Rest) {
    let (mut before, mut still) = (what.figures(), 0);
    while still < 60 {
        tokio::task::yield_now().await;
        let now = what.figures();
        still = if now == before { still + 1 } else { 0 };
        before = now;
    }
}
