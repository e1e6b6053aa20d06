//! Composing a node by hand: trait objects in, a running swarm out. No profile is needed.

mod error;
mod layers;

pub use error::BuildError;

use crate::{
    assemble::Assembly,
    dial::{DialSettings, Dialer, RetryConfig},
    gates::GateChain,
    handlers::Handlers,
    live::{Assembled, Live},
    meters::{self, Meters},
    permits::Permits,
    prune::{self, Pruning},
    services::Services,
    settings::Settings,
    stack::Stack,
    swarm::{Inner, Swarm},
    tags::TagStore,
    tasks::Tasks,
};
use skep_api::{BuildCx, Keypair, metrics::Sink, random::Random};
use std::sync::{
    Arc, Mutex, RwLock,
    atomic::{AtomicU64, AtomicUsize},
};
use tokio::{runtime::Handle, sync::Semaphore};

/// Collects the layers of a node.
#[derive(Debug)]
pub struct SwarmBuilder {
    cx: BuildCx,
    tasks: Tasks,
    stack: Stack,
    settings: Settings,
    dial: DialSettings,
    retry: RetryConfig,
    handler_runtime: Option<Handle>,
    assembled: Option<Assembled>,
}

impl SwarmBuilder {
    /// A node with this identity and no layers yet.
    #[must_use]
    pub fn new(identity: Keypair) -> Self {
        let tasks = Tasks::default();
        let cx = BuildCx::new(identity, tasks.scope());
        Self {
            cx,
            tasks,
            stack: Stack::default(),
            settings: Settings::default(),
            dial: DialSettings::default(),
            retry: RetryConfig::default(),
            handler_runtime: None,
            assembled: None,
        }
    }

    /// Sets where the node and its plugins keep their metrics. Plugins learn of it from [`SwarmBuilder::build_cx`], so
    /// this comes before they are built. Each node has a sink of its own.
    #[must_use]
    pub fn metrics(mut self, sink: Sink) -> Self {
        self.cx = self.cx.with_metrics(sink);
        self
    }

    /// What plugins of this node are built with.
    #[must_use]
    pub fn build_cx(&self) -> &BuildCx {
        &self.cx
    }

    /// Takes what a profile gave: layers and settings. Such a node can be [reloaded](Swarm::reload).
    #[must_use]
    pub fn assembly(mut self, assembly: &Assembly) -> Self {
        self.stack = assembly.stack.clone();
        self.settings = assembly.settings.clone();
        self.dial = assembly.dial.clone();
        self.retry = assembly.retry.clone();
        self.assembled = Some(Assembled::of(assembly));
        self
    }

    /// Replaces the source of chance, by one with a seed, say. This comes before plugins are built.
    #[must_use]
    pub fn random(mut self, random: Random) -> Self {
        self.cx = self.cx.with_random(random);
        self
    }

    /// Replaces all layers, such as by those that a profile gave.
    #[must_use]
    pub fn stack(mut self, stack: Stack) -> Self {
        self.stack = stack;
        self
    }

    /// Replaces the swarm's own settings.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Replaces the settings of the dialler.
    #[must_use]
    pub fn dial(mut self, dial: DialSettings) -> Self {
        self.dial = dial;
        self
    }

    /// Replaces how an address is tried again within one dial.
    #[must_use]
    pub fn retry(mut self, retry: RetryConfig) -> Self {
        self.retry = retry;
        self
    }

    /// Runs protocol handlers, and notifees, on a runtime of their own. One that blocks its thread then holds up others of
    /// these at most, never the node: connections, handshakes, and what only watches a connection, such as ping
    /// ([`keeps_alive`](skep_api::protocol::ProtocolHandler::keeps_alive) is false), stay where they are. It costs the threads, and one thread waking
    /// another for each message that a handler waits for. The runtime must outlive the node.
    #[must_use]
    pub fn handler_runtime(mut self, runtime: Handle) -> Self {
        self.handler_runtime = Some(runtime);
        self
    }

    /// Starts the node, on the runtime that this is called on. It binds nothing by itself, and dials what its services
    /// want. A persistent peer store reads its file here.
    ///
    /// # Errors
    /// [`BuildError`] if the layers cannot carry a connection.
    pub fn build(self) -> Result<Swarm, BuildError> {
        error::check(&self.stack, &self.settings)?;
        self.settings.check()?;
        self.settings.check_store(self.stack.peerstore.is_some())?;
        if let Some(store) = &self.stack.peerstore {
            store.object.open().map_err(|e| BuildError::PeerStore(store.name.clone(), e))?;
        }
        let handlers = Handlers::default();
        for protocol in &self.stack.protocols {
            handlers.add(&protocol.object, protocol.object.limits())?;
        }
        let stream_room = Arc::new(Semaphore::new(self.settings.max_outbound_streams_total as usize));
        let inbound_room = Arc::new(Semaphore::new(self.settings.max_inbound_streams_total as usize));
        let sink = self.cx.metrics.clone();
        let meters = Meters::new(&sink, &self.stack);
        let live = live(self.stack, Arc::new(self.settings), &meters, None);
        let settings = Arc::clone(&live.settings);
        let tags = TagStore::new(settings.tag_grace.0);
        let kept = live.stack.peerstore.clone().filter(|_| settings.persist_tags);
        tags.attach(self.tasks.clone(), kept);
        let swarm = Swarm(Arc::new(Inner {
            local_peer: self.cx.identity.peer_id(),
            identity: self.cx.identity.clone(),
            permits: Permits::new(&settings),
            dialer: Dialer::new(self.dial, self.retry, self.tasks.clone(), self.cx.random.clone()),
            live: RwLock::new(Arc::new(live)),
            counted: Arc::default(),
            draining: self.tasks.cancelled().child_token(),
            tasks: self.tasks,
            hearers: Tasks::default(),
            handlers,
            meters,
            handler_runtime: self.handler_runtime,
            connections: Mutex::default(),
            listeners: Mutex::default(),
            total: AtomicUsize::new(0),
            tags,
            stream_room,
            inbound_room,
            events: Arc::default(),
            services: Services::default(),
            assembled: Mutex::new(self.assembled.map(Arc::new)),
            build_cx: self.cx,
            sink: sink.clone(),
            reloading: Arc::default(),
            next_id: AtomicU64::new(1),
            pruning: Pruning::default(),
        }));
        meters::watch(&sink, &swarm);
        prune::watch(&swarm.0);
        let node = Arc::downgrade(&swarm.0);
        swarm.0.tags.before_unprotecting(move |peer| {
            // It is idle from now on, not since it was used last. First: no check of idleness may come in between.
            for conn in node.upgrade().iter().flat_map(|node| node.to(peer)) {
                conn.0.life.touch();
            }
        });
        for service in &swarm.stack().services {
            swarm.0.start_service(service.clone());
        }
        Ok(swarm)
    }
}

/// What a node runs with, of layers and settings that were checked.
pub(crate) fn live(stack: Stack, settings: Arc<Settings>, meters: &Meters, before: Option<&Live>) -> Live {
    let given = Arc::new(stack);
    let mut stack = Stack::clone(&given);
    meters.decorate(&mut stack);
    let gates = GateChain::new(&stack, |gate| meters.gate(gate), before.map(|live| &*live.gates));
    Live { given, stack: Arc::new(stack), settings, gates: Arc::new(gates) }
}
