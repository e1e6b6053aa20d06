//! One node of the simulation: what a profile would give it, put together in code.

use crate::{
    Failure, Plan,
    muxer::SimMuxer,
    net::{Net, address_of},
    peers::{AskForPeers, Peers},
    plan::Marks,
    transport::SimTransport,
};
use skep::{
    Swarm, SwarmBuilder,
    api::{
        BuildCx, ConfigErrors, ConfigSection, Keypair, PeerId, config::DurationText, multiaddr::Protocol,
        random::Random,
    },
    policies::{
        self,
        pruner::watermark::{self, Watermark},
        service::{
            auto_connect::{self, AutoConnector},
            reconnect::{self, Reconnector},
        },
    },
    swarm::{
        BuildError, Settings,
        events::{Event, EventKinds, Events},
    },
    transport_memory::{self, MemoryHub, MemoryTransport},
};
use std::sync::Arc;

/// What all nodes of a simulation share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) net: Net,
    pub(crate) hub: MemoryHub,
    keys: Vec<Keypair>,
    random: Random,
}

/// A node that runs, and the events of its connections.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) swarm: Swarm,
    pub(crate) events: Events,
}

impl World {
    pub(crate) fn new(plan: &Plan) -> Result<Self, Failure> {
        let random = Random::seeded(plan.seed);
        let keys = (0..plan.nodes).map(|node| key(node, &random)).collect::<Result<_, _>>()?;
        Ok(Self { plan: plan.clone(), net: Net::new(plan.nodes), hub: MemoryHub::new(), keys, random })
    }

    pub(crate) fn random(&self) -> &Random {
        &self.random
    }

    pub(crate) fn peers(&self) -> Vec<PeerId> {
        self.keys.iter().map(|key| key.public().to_peer_id()).collect()
    }

    /// The bootstrap nodes as others are told of them, without one of them.
    fn bootstrap(&self, without: usize) -> Vec<String> {
        let nodes =
            self.keys.iter().enumerate().take(self.plan.bootstrap).filter(|(node, _)| *node != without);
        let addr = |(node, key): (usize, &Keypair)| {
            address_of(node).with(Protocol::P2p(key.public().to_peer_id())).to_string()
        };
        nodes.map(addr).collect()
    }

    /// Starts a node.
    pub(crate) async fn start(&self, node: usize) -> Result<Node, Failure> {
        let no_key = || Failure::Key { node, detail: "there is none".into() };
        let key = self.keys.get(node).ok_or_else(no_key)?.clone();
        let random = Random::seeded(below(&self.random, u64::MAX));
        let builder = SwarmBuilder::new(key).random(random);
        let builder = self.layers(node, builder).map_err(|source| Failure::Plugin { node, source })?;
        let swarm = builder.build().map_err(|source: BuildError| Failure::Build { node, source })?;
        let events = swarm.events_of(EventKinds::CONNECTIONS);
        swarm.listen(&address_of(node)).await.map_err(|source| Failure::Listen { node, source })?;
        Ok(Node { swarm, events })
    }

    fn layers(&self, node: usize, builder: SwarmBuilder) -> Result<SwarmBuilder, ConfigErrors> {
        let cx = builder.build_cx().clone();
        let marks = self.plan.marks_of(node);
        let section = ConfigSection::empty;
        let store = (policies::peerstore::memory::PLUGIN.build)(&section("peerstore.memory"), &cx)?;
        let yamux = (skep::muxer_yamux::PLUGIN.build)(&section("muxer.yamux"), &cx)?;
        let peers = Peers { store: Arc::clone(&store), random: cx.random.clone() };
        let ask = AskForPeers { enough: usize_of(marks.target), random: cx.random.clone() };
        let pruner = watermark::Config {
            low: marks.low,
            high: marks.high,
            grace: DurationText::secs(30),
            ..watermark::Config::default()
        };
        let builder = builder
            .settings(settings(marks))
            .transport("memory", Arc::new(self.transport(node, &cx)))
            .security("noise", (skep::security_noise::PLUGIN.build)(&section("security.noise"), &cx)?)
            .muxer("yamux", Arc::new(SimMuxer(yamux)))
            .protocol("ping", (skep::protocols::ping::PLUGIN.build)(&section("protocol.ping"), &cx)?)
            .protocol(
                "identify",
                (skep::protocols::identify::PLUGIN.build)(&section("protocol.identify"), &cx)?,
            )
            .protocol("peers", Arc::new(peers))
            .peerstore("memory", store)
            .pruner("watermark", Arc::new(Watermark::new(&pruner)))
            .ranker("smart", (policies::ranker::smart::PLUGIN.build)(&section("ranker.smart"), &cx)?)
            .selector("best", (policies::selector::best::PLUGIN.build)(&section("selector.best"), &cx)?)
            .service("ask_for_peers", Arc::new(ask));
        self.services(node, marks, builder, &cx)
    }

    fn services(
        &self,
        node: usize,
        marks: Marks,
        builder: SwarmBuilder,
        cx: &BuildCx,
    ) -> Result<SwarmBuilder, ConfigErrors> {
        let auto_connect = auto_connect::Config {
            target: marks.target,
            bootstrap: self.bootstrap(node),
            bootstrap_until: 2,
            ..auto_connect::Config::default()
        };
        // Bootstrap nodes hold on to each other: two halves that have enough peers each have no other reason to meet.
        let holds_on = self.plan.bridge && node < self.plan.bootstrap;
        let peers = if holds_on { self.bootstrap(node) } else { Vec::new() };
        let reconnect = reconnect::Config { peers, ..reconnect::Config::default() };
        let wrong = |problems: skep::api::Problems, name| problems.at(&ConfigSection::empty(name));
        let auto_connect =
            AutoConnector::new(&auto_connect, cx).map_err(|p| wrong(p, "service.auto_connect"))?;
        let reconnect = Reconnector::new(&reconnect, cx).map_err(|p| wrong(p, "service.reconnect"))?;
        Ok(builder.service("auto_connect", Arc::new(auto_connect)).service("reconnect", Arc::new(reconnect)))
    }

    /// A link with 10 to 80 ms each way.
    fn transport(&self, node: usize, cx: &BuildCx) -> SimTransport {
        let latency = DurationText::millis(below(&cx.random, 71).saturating_add(10));
        let config = transport_memory::Config { latency, ..transport_memory::Config::default() };
        SimTransport::new(MemoryTransport::new(self.hub.clone(), config), self.net.clone(), node)
    }
}

impl Node {
    /// Connections that the node has pruned since it was asked last.
    pub(crate) fn pruned(&mut self) -> u64 {
        use skep::api::{CloseReason, Code, Side};
        let mut pruned = 0_u64;
        while let Some(event) = self.events.try_next() {
            if let Event::Disconnected { reason: CloseReason::Closed { by: Side::Local, code, .. }, .. } =
                event
                && code == Code::GARBAGE_COLLECTED
            {
                pruned = pruned.saturating_add(1);
            }
        }
        pruned
    }
}

fn settings(marks: Marks) -> Settings {
    Settings { max_connections: marks.cap, outbound_reserve: marks.cap / 4, ..Settings::default() }
}

fn key(node: usize, random: &Random) -> Result<Keypair, Failure> {
    let secret: Vec<u8> = (0..32).map(|_| u8::try_from(random.below(256)).unwrap_or_default()).collect();
    Keypair::ed25519_from_bytes(secret).map_err(|e| Failure::Key { node, detail: e.to_string() })
}

fn below(random: &Random, bound: u64) -> u64 {
    u64::try_from(random.below(usize_of(bound))).unwrap_or_default()
}

fn usize_of(n: impl TryInto<usize>) -> usize {
    n.try_into().unwrap_or(usize::MAX)
}
