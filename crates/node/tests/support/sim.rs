//! A simulated network: addresses that work, refuse, swallow everything, on the clock that tests pause.

use super::layers;
use async_trait::async_trait;
use skep::{
    Swarm, SwarmBuilder,
    api::{
        ConfigSection, Multiaddr, address,
        multiaddr::Protocol,
        transport::{
            Incoming, Link, Listener, Transport, TransportCapabilities, TransportError, TransportErrorKind,
        },
    },
    transport_memory::{Config, MemoryHub, MemoryTransport},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// What is at an address.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// The node that listens at this address of the hub, after so long.
    Leads(Multiaddr, Duration),
    /// A refusal, after so long.
    Refuses(Duration),
    /// A host that cannot be reached, after so long.
    Unreachable(Duration),
    /// A panic of the transport.
    Panics,
}

/// A network, as one node sees it. Addresses without a route swallow everything.
#[derive(Debug)]
pub(crate) struct Sim {
    memory: MemoryTransport,
    /// How late listeners accept.
    late: Duration,
    routes: Mutex<HashMap<Multiaddr, Route>>,
    counts: Mutex<Counts>,
}

/// What was dialled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Sockets that are connecting now.
    pub(crate) open: usize,
    /// The most there were.
    pub(crate) peak: usize,
    /// Those to one address, now, and the most there were.
    pub(crate) to_one: HashMap<Multiaddr, usize>,
    pub(crate) peak_to_one: usize,
    /// All there were, by address.
    pub(crate) by_addr: HashMap<Multiaddr, usize>,
}

impl Counts {
    pub(crate) fn total(&self) -> usize {
        self.by_addr.values().sum()
    }
}

impl Sim {
    pub(crate) fn new(hub: &MemoryHub) -> Arc<Self> {
        Self::with_latency(hub, Duration::ZERO)
    }

    /// One whose links take so long, one way.
    pub(crate) fn with_latency(hub: &MemoryHub, latency: Duration) -> Arc<Self> {
        Self::late(hub, latency, Duration::ZERO)
    }

    /// One whose listeners accept so much after a dial, too.
    pub(crate) fn late(hub: &MemoryHub, latency: Duration, late: Duration) -> Arc<Self> {
        let config = Config { latency: skep::api::config::DurationText(latency), ..Config::default() };
        Arc::new(Self {
            memory: MemoryTransport::new(hub.clone(), config),
            late,
            routes: Mutex::default(),
            counts: Mutex::default(),
        })
    }

    pub(crate) fn route(&self, addr: &Multiaddr, route: Route) {
        self.routes.lock().unwrap().insert(addr.clone(), route);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts.lock().unwrap().clone()
    }

    fn count(&self, addr: &Multiaddr) -> Connecting<'_> {
        let mut counts = self.counts.lock().unwrap();
        counts.open += 1;
        counts.peak = counts.peak.max(counts.open);
        *counts.by_addr.entry(addr.clone()).or_default() += 1;
        let to_one = counts.to_one.entry(addr.clone()).or_default();
        *to_one += 1;
        counts.peak_to_one = (*to_one).max(counts.peak_to_one);
        Connecting(self, addr.clone())
    }
}

struct Connecting<'a>(&'a Sim, Multiaddr);

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        let mut counts = self.0.counts.lock().unwrap();
        counts.open -= 1;
        *counts.to_one.get_mut(&self.1).unwrap() -= 1;
    }
}

#[async_trait]
impl Transport for Sim {
    fn supports(&self, addr: &Multiaddr) -> bool {
        let first = addr.iter().next();
        matches!(first, Some(Protocol::Ip4(_) | Protocol::Ip6(_))) || self.memory.supports(addr)
    }

    fn capabilities(&self) -> TransportCapabilities {
        TransportCapabilities::raw_stream()
    }

    async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError> {
        let addr = address::without_peer(addr);
        let _connecting = self.count(&addr);
        if self.memory.supports(&addr) {
            return self.memory.dial(&addr).await;
        }
        let route = self.routes.lock().unwrap().get(&addr).cloned();
        let fail = |kind| Err(TransportError::new(kind, addr.to_string()));
        match route {
            None => std::future::pending().await,
            Some(Route::Refuses(after)) => {
                tokio::time::sleep(after).await;
                fail(TransportErrorKind::Refused)
            }
            Some(Route::Panics) => panic!("on purpose"),
            Some(Route::Unreachable(after)) => {
                tokio::time::sleep(after).await;
                fail(TransportErrorKind::Unreachable)
            }
            Some(Route::Leads(to, after)) => {
                tokio::time::sleep(after).await;
                match self.memory.dial(&to).await? {
                    Link::Raw(mut raw) => {
                        raw.remote = addr;
                        Ok(Link::Raw(raw))
                    }
                    link => Ok(link),
                }
            }
        }
    }

    async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
        let inner = self.memory.listen(addr).await?;
        Ok(Box::new(Late { inner, by: self.late, waiting: None }))
    }
}

/// Accepts late.
#[derive(Debug)]
struct Late {
    inner: Box<dyn Listener>,
    by: Duration,
    waiting: Option<(Box<dyn Incoming>, Instant)>,
}

#[async_trait]
impl Listener for Late {
    fn local_addrs(&self) -> Vec<Multiaddr> {
        self.inner.local_addrs()
    }

    async fn accept(&mut self) -> Result<Box<dyn Incoming>, TransportError> {
        if self.waiting.is_none() {
            let incoming = self.inner.accept().await?;
            self.waiting = Some((incoming, Instant::now() + self.by));
        }
        let due = self.waiting.as_ref().map(|(_, due)| *due).unwrap();
        tokio::time::sleep_until(due).await;
        Ok(self.waiting.take().unwrap().0)
    }
}

/// A node on the network, with a ranker and a peer store, without identify: what it knows is what it is told.
pub(crate) fn on(sim: &Arc<Sim>) -> SwarmBuilder {
    on_with(sim, layers())
}

/// The same over other layers.
pub(crate) fn on_with(sim: &Arc<Sim>, builder: SwarmBuilder) -> SwarmBuilder {
    let cx = builder.build_cx().clone();
    let smart = skep::policies::ranker::smart::PLUGIN;
    let store = skep::policies::peerstore::memory::PLUGIN;
    builder
        .transport("sim", Arc::clone(sim) as _)
        .ranker("smart", (smart.build)(&ConfigSection::empty("ranker.smart"), &cx).unwrap())
        .peerstore("memory", (store.build)(&ConfigSection::empty("peerstore.memory"), &cx).unwrap())
}

/// A node that listens on the hub, and where.
pub(crate) async fn listener(hub: &MemoryHub) -> (Swarm, Multiaddr) {
    let node = on(&Sim::new(hub)).build().unwrap();
    let addr = node.listen(&"/memory/0".parse().unwrap()).await.unwrap()[0].clone();
    (node, addr)
}

/// The n-th public address, in the order in which the ranker has them.
pub(crate) fn public(n: usize) -> Multiaddr {
    format!("/ip4/203.0.{}.{}/tcp/4001", 100 + n / 100, 100 + n % 100).parse().unwrap()
}
