//! A model of a node, for tests of services: deterministic, in paused time, without a network.
//!
//! Peers are scripted: whether a dial reaches one ([`Reach`]), and what it does with streams ([`Streams`]). What the
//! service asks for is logged ([`Dialled`], [`Opened`], [`Closed`]), and what happens to the node by itself is a method
//! here: [`FakeNode::connect`], [`FakeNode::disconnect`], [`FakeNode::miss`]. The peer store, [`FakeStore`] unless
//! another is given, hears of connections as that of a real node does.
//!
//! ```
//! # use skep_testkit::node::{FakeNode, Reach, peer, addr};
//! # use skep_api::{peerstore::Ttl, service::{DialManner, DialPriority, NodeControl}};
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! let node = FakeNode::new();
//! node.know(&peer(1), &[addr("/ip4/192.0.2.1/tcp/1")], Ttl::Permanent);
//! node.set_reach(&peer(1), Reach::UP);
//! assert!(node.dial(&peer(1), DialManner::of(DialPriority::User)).await.is_ok());
//! assert_eq!(node.dials_of(&peer(1)).len(), 1);
//! # });
//! ```

mod changes;
mod control;
mod log;
mod store;
mod stream;
mod tags;
mod tasks;

pub use log::{Closed, Dialled, Opened, Outcome};
pub use store::FakeStore;
pub use stream::Streams;
pub use tags::FakeTags;

use changes::Subscribers;
use skep_api::{
    CloseReason, Keypair, Multiaddr, PeerId,
    address::without_peer,
    peerstore::{PeerStore, Ttl},
    security::Role,
    selector::ConnectionView,
    service::{Change, NodeControl},
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use stream::Pipe;
use tasks::Counted;
use tokio::time::Instant;

/// Changes that wait for one subscriber, if nothing else is said.
const QUEUE: usize = 256;

/// How a dial to a peer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// With a connection, after so long.
    After(Duration),
    /// With this code, after so long; addresses were tried.
    Fails(&'static str, Duration),
    /// With `timed_out` when the time of the dial is over: the peer does not answer.
    Never,
    /// With this code, at once, and nothing was tried.
    NotTried(&'static str),
}

impl Reach {
    /// A connection after twenty milliseconds.
    pub const UP: Self = Self::After(Duration::from_millis(20));
    /// The host is there and nobody listens.
    pub const REFUSES: Self = Self::Fails("refused", Duration::from_millis(20));
}

/// The node.
pub struct FakeNode {
    key: Keypair,
    started: Instant,
    tasks: Arc<Counted>,
    tags: Arc<FakeTags>,
    store: Option<Arc<dyn PeerStore>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    connections: BTreeMap<u64, Held>,
    last_id: u64,
    reach: HashMap<PeerId, Reach>,
    streams: HashMap<PeerId, Streams>,
    subscribers: Subscribers,
    dials: Vec<Dialled>,
    most_dialling: usize,
    opens: Vec<Opened>,
    closes: Vec<Closed>,
    ended: bool,
}

#[derive(Debug)]
struct Held {
    view: ConnectionView,
    since: Instant,
    streams: Option<Streams>,
    pipes: Vec<Weak<Pipe>>,
}

impl FakeNode {
    /// A node without connections, with an empty [`FakeStore`]. No peer can be reached until it is said.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::with(Some(Arc::new(FakeStore::default())))
    }

    /// The same with this peer store, or with none.
    #[must_use]
    pub fn with(store: Option<Arc<dyn PeerStore>>) -> Arc<Self> {
        Arc::new(Self {
            key: key(0),
            started: Instant::now(),
            tasks: Arc::default(),
            tags: Arc::default(),
            store,
            state: Mutex::new(State {
                connections: BTreeMap::new(),
                last_id: 0,
                reach: HashMap::new(),
                streams: HashMap::new(),
                subscribers: Subscribers::new(QUEUE),
                dials: Vec::new(),
                most_dialling: 0,
                opens: Vec::new(),
                closes: Vec::new(),
                ended: false,
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts addresses of a peer into the peer store, if there is one.
    pub fn know(&self, peer: &PeerId, addrs: &[Multiaddr], ttl: Ttl) {
        if let Some(store) = &self.store {
            store.add_addrs(peer, addrs, ttl);
        }
    }

    /// Says how dials to a peer end that begin from now on; without a word it is `NotTried("no_addresses")`.
    pub fn set_reach(&self, peer: &PeerId, reach: Reach) {
        self.lock().reach.insert(*peer, reach);
    }

    /// Says what a peer does with streams, those that are open included; without a word it echoes after ten
    /// milliseconds.
    pub fn set_streams(&self, peer: &PeerId, streams: Streams) {
        let mut state = self.lock();
        state.streams.insert(*peer, streams);
        for held in state.connections.values().filter(|held| held.view.peer == *peer) {
            held.script(streams);
        }
    }

    /// The same for one connection. It goes before what is said of the peer.
    pub fn set_streams_on(&self, connection: u64, streams: Streams) {
        if let Some(held) = self.lock().connections.get_mut(&connection) {
            held.streams = Some(streams);
            held.script(streams);
        }
    }

    /// Says how many changes wait for a subscriber before it misses some; for those that subscribe later.
    pub fn set_queue(&self, changes: usize) {
        self.lock().subscribers.cap = changes;
    }

    /// A connection is there, whoever made it. Its id.
    pub fn connect(&self, peer: &PeerId, role: Role, remote: Multiaddr) -> u64 {
        let remote = without_peer(&remote);
        let mut state = self.lock();
        state.last_id = state.last_id.saturating_add(1);
        let id = state.last_id;
        let view = ConnectionView::new(id, *peer, role, remote.clone());
        let held = Held { view, since: Instant::now(), streams: None, pipes: Vec::new() };
        state.connections.insert(id, held);
        state.subscribers.tell(&Change::Connected { id, peer: *peer, role });
        drop(state);
        if role == Role::Dialer {
            self.know(peer, &[remote], Ttl::Connected);
        }
        id
    }

    /// A connection ends, whoever ended it. Whether it was there.
    pub fn disconnect(&self, connection: u64, reason: CloseReason) -> bool {
        let mut state = self.lock();
        let Some(held) = state.connections.remove(&connection) else { return false };
        let peer = held.view.peer;
        let last = state.connections.values().all(|other| other.view.peer != peer);
        held.pipes.iter().filter_map(Weak::upgrade).for_each(|pipe| pipe.lose(&reason));
        state.subscribers.tell(&Change::Disconnected { id: connection, peer, reason });
        drop(state);
        if let Some(store) = self.store.as_ref().filter(|_| last) {
            store.reclass(&peer, Ttl::Connected, Ttl::RecentlyConnected);
        }
        true
    }

    /// All connections to a peer end, as if the path had broken.
    pub fn lose(&self, peer: &PeerId) {
        for id in self.ids(peer) {
            self.disconnect(id, CloseReason::Lost { what: "the path broke".into() });
        }
    }

    /// The connections to a peer, the oldest first.
    #[must_use]
    pub fn ids(&self, peer: &PeerId) -> Vec<u64> {
        let state = self.lock();
        state.connections.values().filter(|held| held.view.peer == *peer).map(|held| held.view.id).collect()
    }

    /// Changes what the node says of a connection, such as its streams in use; `age` comes from the clock.
    pub fn change(&self, connection: u64, change: impl FnOnce(&mut ConnectionView)) {
        if let Some(held) = self.lock().connections.get_mut(&connection) {
            change(&mut held.view);
        }
    }

    /// Tells that a peer was discovered, whatever the peer store has.
    pub fn discover(&self, peer: &PeerId) {
        self.lock().subscribers.tell(&Change::Discovered { peer: *peer });
    }

    /// All subscribers miss what waits for them: `connect` and then this is a connection that nobody was told of.
    pub fn miss(&self) {
        self.lock().subscribers.miss();
    }

    /// The node ends: changes end, tasks end, dials fail.
    pub fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.subscribers.end();
        drop(state);
        self.tasks.cancelled.cancel();
    }

    /// How long the node has been there.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Held {
    fn script(&self, streams: Streams) {
        self.pipes.iter().filter_map(Weak::upgrade).for_each(|pipe| pipe.script(streams));
    }
}

impl fmt::Debug for FakeNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeNode").field("peer", &self.local_peer()).finish_non_exhaustive()
    }
}

/// The peer of this number, the same on every run. Number 0 is the node itself.
#[must_use]
pub fn peer(number: u64) -> PeerId {
    key(number).public().to_peer_id()
}

/// An address from its text.
///
/// # Panics
/// If it is none: the test names a wrong one then.
#[must_use]
pub fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap_or_else(|e| panic!("{text:?} is no address: {e}"))
}

fn key(number: u64) -> Keypair {
    let mut secret = [7; 32];
    secret.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    Keypair::ed25519_from_bytes(secret).unwrap_or_else(|e| panic!("any 32 bytes are a key: {e}"))
}

#[cfg(test)]
mod tests;
