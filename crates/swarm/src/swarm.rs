//! The node: a cheap handle with async methods. Nobody has to drive it.

use crate::{
    connection::SwarmConn,
    dial::{DialOptions, DialSettings, DialState, Dialed, Dialer, Forget, Target},
    error::{DialError, ListenError},
    events::{Event, Subscribers},
    gates::Counted,
    handlers::Handlers,
    listen::{Bound, ListenOutcome, ListenerInfo},
    live::{Assembled, Live},
    meters::Meters,
    permits::Permits,
    prune::Pruning,
    services::Services,
    settings::Settings,
    stack::Stack,
    table::best_first,
    tags::TagStore,
    tasks::Tasks,
};
use skep_api::{
    BuildCx, Code, Multiaddr, NodeView, PeerId, PublicKey, context::NodeIdentity, metrics::Sink,
    peerstore::PeerStore, protocol::ProtocolHandler,
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicU64, AtomicUsize},
    },
};
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::sync::CancellationToken;

/// A running node. Cheap to clone; the node ends with [`Swarm::shutdown`].
#[derive(Clone, Debug)]
pub struct Swarm(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) identity: NodeIdentity,
    pub(crate) local_peer: PeerId,
    pub(crate) live: RwLock<Arc<Live>>,
    /// How many connections there are from where.
    pub(crate) counted: Arc<Counted>,
    pub(crate) tasks: Tasks,
    /// Those that hear events to the last one.
    pub(crate) hearers: Tasks,
    pub(crate) permits: Permits,
    pub(crate) dialer: Dialer,
    pub(crate) handlers: Handlers,
    pub(crate) meters: Arc<Meters>,
    /// Where handlers run that do the application's work; with the rest of the node if there is none.
    pub(crate) handler_runtime: Option<Handle>,
    /// In the order of the peers, so that what is done for all of them is done in the same order again.
    pub(crate) connections: Mutex<BTreeMap<PeerId, Vec<SwarmConn>>>,
    /// How many of these there are.
    pub(crate) total: AtomicUsize,
    pub(crate) listeners: Mutex<Vec<Bound>>,
    pub(crate) tags: TagStore,
    /// Room for streams that this node opens.
    pub(crate) stream_room: Arc<Semaphore>,
    /// Room for streams that peers open.
    pub(crate) inbound_room: Arc<Semaphore>,
    /// Fires when the node is to take on nothing new: by a drain, or when shutdown begins.
    pub(crate) draining: CancellationToken,
    pub(crate) events: Arc<Subscribers>,
    pub(crate) services: Services,
    /// What it was assembled from, if it was.
    pub(crate) assembled: Mutex<Option<Arc<Assembled>>>,
    /// What plugins are built with.
    pub(crate) build_cx: BuildCx,
    pub(crate) sink: Sink,
    /// Held during a reload.
    pub(crate) reloading: Arc<tokio::sync::Mutex<()>>,
    pub(crate) next_id: AtomicU64,
    pub(crate) pruning: Pruning,
}

impl Swarm {
    /// This node's peer id.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.0.local_peer
    }

    /// The swarm's own settings.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.0.live().settings)
    }

    /// The layers it is made of, as they were given.
    #[must_use]
    pub fn stack(&self) -> Arc<Stack> {
        Arc::clone(&self.0.live().given)
    }

    /// Binds an address. Returns the addresses that can be dialled: port resolved, wildcard expanded.
    ///
    /// # Errors
    /// [`ListenError`] with the system's error as its cause.
    pub async fn listen(&self, addr: &Multiaddr) -> Result<Vec<Multiaddr>, ListenError> {
        self.0.listen(addr).await
    }

    /// Binds several addresses. One that fails does not keep the others from being bound.
    pub async fn listen_all(&self, addrs: &[Multiaddr]) -> Vec<ListenOutcome> {
        let each = addrs.iter().map(|addr| async move {
            ListenOutcome { asked: addr.clone(), result: self.0.listen(addr).await }
        });
        futures::future::join_all(each).await
    }

    /// Ends a listener, by the address asked for or one it is bound to. Its connections stay. Returns when the socket is
    /// closed, whether there was one.
    #[must_use = "false means that nothing listens there"]
    pub async fn remove_listener(&self, addr: &Multiaddr) -> bool {
        self.0.unlisten(addr).await
    }

    /// The listeners that there are, with what they were asked for.
    #[must_use]
    pub fn listeners(&self) -> Vec<ListenerInfo> {
        self.0.listener_infos()
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

    /// The table `[dial]`, as it is now.
    #[must_use]
    pub fn dial_settings(&self) -> Arc<DialSettings> {
        self.0.dialer.settings()
    }

    /// The protocols that are served.
    #[must_use]
    pub fn handled_protocols(&self) -> Vec<String> {
        NodeView::protocols(&*self.0)
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
        self.0.store()
    }

    /// The best live connection to a peer: direct before limited, then the most streams, then the newest.
    #[must_use]
    pub fn connection(&self, peer: &PeerId) -> Option<SwarmConn> {
        self.0.best(peer)
    }

    /// The live connections, those to one peer together, the best of them first.
    #[must_use]
    pub fn connections(&self) -> Vec<SwarmConn> {
        self.connections_map().into_values().flatten().collect()
    }

    /// The live connections to one peer, the best first: direct before limited, then the most streams, then the newest.
    #[must_use]
    pub fn connections_to(&self, peer: &PeerId) -> Vec<SwarmConn> {
        best_first(self.0.to(peer))
    }

    /// The live connections by peer, the best first.
    #[must_use]
    pub fn connections_map(&self) -> HashMap<PeerId, Vec<SwarmConn>> {
        let mut map: HashMap<_, Vec<_>> = HashMap::new();
        for conn in self.0.all() {
            map.entry(conn.peer()).or_default().push(conn);
        }
        let map = map.into_iter().map(|(peer, connections)| (peer, best_first(connections)));
        map.filter(|(_, connections)| !connections.is_empty()).collect()
    }

    /// The number of registered connections, those that are being closed included. Costs nothing.
    #[must_use]
    pub fn total_connections(&self) -> usize {
        self.0.total()
    }

    /// The registered connection of this id, if there is one.
    #[must_use]
    pub fn connection_by_id(&self, id: u64) -> Option<SwarmConn> {
        self.0.all().into_iter().find(|conn| conn.id() == id)
    }

    /// Closes all connections to a peer, in parallel, each within `[swarm] close_timeout`. Returns when they are gone,
    /// and how many they were.
    pub async fn close_peer(&self, peer: &PeerId, code: Code) -> usize {
        let connections = self.0.to(peer);
        futures::future::join_all(connections.iter().map(|conn| conn.close(code))).await.len()
    }
}

impl Inner {
    /// Where a handler runs, if not with the rest of the node.
    pub(crate) fn runtime_of(&self, handler: &dyn ProtocolHandler) -> Option<&Handle> {
        self.handler_runtime.as_ref().filter(|_| handler.keeps_alive())
    }

    pub(crate) fn emit(&self, event: &Event) {
        self.events.emit(event);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.events.close();
    }
}

impl NodeView for Inner {
    fn public_key(&self) -> PublicKey {
        self.identity.keypair().public()
    }

    fn listen_addrs(&self) -> Vec<Multiaddr> {
        self.listener_infos().into_iter().flat_map(|listener| listener.addrs).collect()
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
