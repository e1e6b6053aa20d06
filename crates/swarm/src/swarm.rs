//! The node: a cheap handle with async methods. Nobody has to drive it.

use crate::{
    connection::SwarmConn,
    dial::{DialOptions, DialState, Dialed, Dialer, Forget, Target},
    error::{DialError, ListenError, NewStreamError},
    events::{Event, Events},
    handlers::{HandlerError, Handlers},
    listen::Bound,
    meters::Meters,
    net_stream::NetStream,
    permits::Permits,
    settings::Settings,
    stack::Stack,
    tasks::Tasks,
};
use skep_api::{
    Code, Multiaddr, NodeView, PeerId, PublicKey, context::NodeIdentity, peerstore::PeerStore,
    protocol::ProtocolHandler, security::Role,
};
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64},
    },
};
use tokio::sync::broadcast;

/// A running node. Cheap to clone; the node ends with [`Swarm::shutdown`].
#[derive(Clone, Debug)]
pub struct Swarm(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) identity: NodeIdentity,
    pub(crate) local_peer: PeerId,
    pub(crate) stack: Stack,
    pub(crate) settings: Settings,
    pub(crate) tasks: Tasks,
    pub(crate) permits: Permits,
    pub(crate) dialer: Dialer,
    pub(crate) handlers: Handlers,
    pub(crate) meters: Arc<Meters>,
    pub(crate) connections: Mutex<HashMap<PeerId, Vec<SwarmConn>>>,
    pub(crate) listeners: Mutex<Vec<Bound>>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) next_id: AtomicU64,
    pub(crate) pruning: AtomicBool,
}

/// Counters of a node at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Registered connections.
    pub connections: usize,
    /// Of these, those that peers dialled.
    pub inbound: usize,
    /// Of these, those that this node dialled.
    pub outbound: usize,
    /// Peers with at least one connection.
    pub peers: usize,
    /// Open streams.
    pub streams: usize,
    /// Connection permits in use, handshakes included.
    pub permits: usize,
    /// Tasks that run.
    pub tasks: usize,
    /// Tasks that have panicked since the start.
    pub panics: u64,
}

impl Swarm {
    /// This node's peer id.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.0.local_peer
    }

    /// The layers it is made of.
    #[must_use]
    pub fn stack(&self) -> &Stack {
        &self.0.stack
    }

    /// Binds an address. Returns the addresses that can be dialled: port resolved, wildcard expanded.
    ///
    /// # Errors
    /// [`ListenError`] with the system's error as its cause.
    pub async fn listen(&self, addr: &Multiaddr) -> Result<Vec<Multiaddr>, ListenError> {
        self.0.listen(addr).await
    }

    /// Ends a listener, by the address asked for or one it is bound to. Its connections stay.
    /// Whether there was one.
    #[must_use = "false means that nothing listens there"]
    pub fn remove_listener(&self, addr: &Multiaddr) -> bool {
        self.0.unlisten(addr)
    }

    /// Addresses that are bound now.
    #[must_use]
    pub fn listen_addrs(&self) -> Vec<Multiaddr> {
        NodeView::listen_addrs(&*self.0)
    }

    /// Connects to a peer at the addresses that the peer store has, or gives a connection that exists.
    ///
    /// Addresses are resolved, filtered, shown to the gates, ranked and raced; the first that leads to a connection
    /// ends the dial. Whoever dials a peer that is being dialled joins that dial. Dropping the future ends the dial
    /// and closes its sockets, unless others wait for it.
    ///
    /// # Errors
    /// [`DialError`] with what became of each address.
    pub async fn dial_peer(&self, peer: PeerId) -> Result<SwarmConn, DialError> {
        Ok(self.dial_peer_with(peer, DialOptions::default()).await?.connection)
    }

    /// [`Swarm::dial_peer`] with options, and with the report of a successful dial, too.
    ///
    /// # Errors
    /// [`DialError`] with what became of each address.
    pub async fn dial_peer_with(&self, peer: PeerId, options: DialOptions) -> Result<Dialed, DialError> {
        self.0.dial(Target::Peer(peer), options).await
    }

    /// Connects to an address, or gives a connection that exists to the peer the address names. An address without
    /// `/p2p/…` takes whoever answers. Otherwise as [`Swarm::dial_peer`].
    ///
    /// # Errors
    /// [`DialError`] with what became of the address, and of those it resolved to.
    pub async fn dial_addr(&self, addr: &Multiaddr) -> Result<SwarmConn, DialError> {
        Ok(self.dial_addr_with(addr, DialOptions::default()).await?.connection)
    }

    /// [`Swarm::dial_addr`] with options, and with the report of a successful dial, too.
    ///
    /// # Errors
    /// [`DialError`] with what became of the address, and of those it resolved to.
    pub async fn dial_addr_with(&self, addr: &Multiaddr, options: DialOptions) -> Result<Dialed, DialError> {
        self.0.dial(Target::Addr(addr.clone()), options).await
    }

    /// What the dialler does at this moment, and which addresses, peers and paths it leaves alone.
    #[must_use]
    pub fn dial_state(&self) -> DialState {
        self.0.dialer.state()
    }

    /// Lets the dialler forget failures. How many addresses and peers those were.
    pub fn forget_failures(&self, what: &Forget) -> usize {
        self.0.dialer.forget(what)
    }

    /// Says that this host's network has changed: what failed before may work now. Changes of the host's addresses
    /// are noticed without it, at the next dial.
    pub fn network_changed(&self) {
        self.0.dialer.forget(&Forget::All);
    }

    /// The peer store, where the node has one.
    #[must_use]
    pub fn peerstore(&self) -> Option<Arc<dyn PeerStore>> {
        self.0.stack.peerstore.as_ref().map(|store| Arc::clone(&store.object))
    }

    /// Opens a stream on the best connection to a peer, for the first of `protocols` that the peer takes.
    ///
    /// # Errors
    /// [`NewStreamError::NotConnected`] without a connection, otherwise what the connection says.
    pub async fn new_stream(&self, peer: PeerId, protocols: &[String]) -> Result<NetStream, NewStreamError> {
        let conn = self.connection(&peer).ok_or(NewStreamError::NotConnected(peer))?;
        conn.open_stream(protocols).await
    }

    /// The connection to a peer that the selector prefers; the newest without a selector.
    #[must_use]
    pub fn connection(&self, peer: &PeerId) -> Option<SwarmConn> {
        self.0.best(peer)
    }

    /// A snapshot of the live connections, in no order.
    #[must_use]
    pub fn connections(&self) -> Vec<SwarmConn> {
        let mut all = self.0.all();
        all.retain(SwarmConn::is_live);
        all
    }

    /// Closes all connections to a peer, in parallel.
    pub async fn close_peer(&self, peer: &PeerId, code: Code) {
        let connections = self.0.to(peer);
        futures::future::join_all(connections.iter().map(|conn| conn.close(code))).await;
    }

    /// Serves the protocol ids of a handler from now on.
    ///
    /// # Errors
    /// [`HandlerError`] for an id that is not possible or is taken.
    pub fn add_handler(&self, handler: Arc<dyn ProtocolHandler>) -> Result<(), HandlerError> {
        self.0.handlers.add(&handler)
    }

    /// Refuses a protocol id from now on. Whether it was served.
    #[must_use = "false means that the protocol was not served"]
    pub fn remove_handler(&self, protocol: &str) -> bool {
        self.0.handlers.remove(protocol)
    }

    /// Subscribes to events from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.0.events.subscribe())
    }

    /// Counters at this moment.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let all = self.0.all();
        let inbound = all.iter().filter(|conn| conn.info().role == Role::Listener).count();
        Metrics {
            connections: all.len(),
            inbound,
            outbound: all.len().saturating_sub(inbound),
            peers: self.0.connections.lock().unwrap_or_else(PoisonError::into_inner).len(),
            streams: all.iter().map(SwarmConn::num_streams).sum(),
            permits: self.0.permits.in_use(),
            tasks: self.0.tasks.running(),
            panics: self.0.tasks.panics(),
        }
    }
}

impl Inner {
    pub(crate) fn emit(&self, event: Event) {
        // An error means that nobody listens.
        let _ = self.events.send(event);
    }
}

impl NodeView for Inner {
    fn public_key(&self) -> PublicKey {
        self.identity.keypair().public()
    }

    fn listen_addrs(&self) -> Vec<Multiaddr> {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().flat_map(|bound| bound.addrs.clone()).collect()
    }

    fn protocols(&self) -> Vec<String> {
        self.handlers.snapshot().protocols().map(|id| id.to_string()).collect()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Swarm").field("peer", &self.local_peer).finish_non_exhaustive()
    }
}
