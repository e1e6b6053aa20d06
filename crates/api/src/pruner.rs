//! Pruners: which connections go when there are too many.

use crate::{
    Multiaddr, PeerId,
    address::{self, Subnet},
    security::Role,
    selector::ConnectionView,
};
use std::{any::Any, collections::BTreeMap, fmt, sync::Arc, time::Duration};

/// Ranks connections by what they are worth.
///
/// It sees a snapshot, never the swarm, and acts on nothing by itself. The node takes peers from the front of the ranking
/// until enough connections would go, and keeps rules of its own that no pruner can break, whatever it returns:
///
/// * a protected peer stays, and so does one with a connection younger than [`Marks::grace`];
/// * a connection with a stream in use stays while there are fewer connections than `[swarm] max_connections`;
/// * peers go as a whole, and a peer of which the ranking leaves out a connection stays;
/// * the longest-lived of the peers that this node dialled stay, as many as `[swarm] outbound_reserve`;
/// * newcomers go before others: peers without value that connected on their own and were of no use yet;
/// * between two rounds there are at least [`Marks::silence`].
///
/// # Obligations
///
/// * P1. Only ids of the snapshot are returned, each at most once.
/// * P2. Equal snapshots give equal answers, in whatever order the connections stand.
/// * P3. The parts of a score say why a connection stands where it does.
/// * P4. Marks are in order: `low` is at most `high`, and they never change.
pub trait Pruner: Any + fmt::Debug + Send + Sync {
    /// The connections that may go, the least valuable first. What is left out is to stay.
    fn rank(&self, snapshot: &Snapshot) -> Vec<Victim>;

    /// When there are too many, and what is spared.
    fn marks(&self) -> Marks;
}

/// When connections are pruned, and what is spared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Connections that are left after a round.
    pub low: usize,
    /// Connections above which there is a round.
    pub high: usize,
    /// How long a new connection is spared.
    pub grace: Duration,
    /// How long there is no other round after one.
    pub silence: Duration,
}

/// The connections of a node at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// All of them.
    pub connections: Vec<PruneCandidate>,
    /// How many are to go.
    pub excess: usize,
    /// The most that there may be.
    pub max_connections: usize,
}

impl Snapshot {
    /// A snapshot.
    #[must_use]
    pub fn new(connections: Vec<PruneCandidate>, excess: usize, max_connections: usize) -> Self {
        Self { connections, excess, max_connections }
    }
}

/// A connection as a pruner sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PruneCandidate {
    /// The connection: its direction, its age, its streams, whether it is limited.
    pub connection: ConnectionView,
    /// The sum of the peer's tags; more is worth more.
    pub value: i64,
    /// The peer's tags.
    pub tags: Arc<BTreeMap<String, i64>>,
    /// Somebody asked for the peer to be kept.
    pub protected: bool,
    /// The protocols of its open streams, each once.
    pub protocols: Vec<Arc<str>>,
    /// Bytes that were written to its streams and have not been sent yet, as far as the muxer tells.
    pub in_flight: u64,
}

impl PruneCandidate {
    /// A candidate of a peer without tags.
    #[must_use]
    pub fn new(connection: ConnectionView) -> Self {
        Self {
            connection,
            value: 0,
            tags: Arc::default(),
            protected: false,
            protocols: Vec::new(),
            in_flight: 0,
        }
    }

    /// The peer.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.connection.peer
    }

    /// How long it has been open.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.connection.age
    }

    /// Whether this node dialled it.
    #[must_use]
    pub fn outbound(&self) -> bool {
        self.connection.role == Role::Dialer
    }

    /// The peer's end, from the socket.
    #[must_use]
    pub fn remote(&self) -> &Multiaddr {
        &self.connection.remote
    }

    /// The network that the peer's end lies in (/24 of IPv4, /48 of IPv6), if it has an IP.
    #[must_use]
    pub fn subnet(&self) -> Option<Subnet> {
        address::ip(self.remote()).map(Subnet::of)
    }
}

/// A connection that a pruner would close.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Victim {
    /// Which one: [`ConnectionView::id`].
    pub id: u64,
    /// What its rank was made of, the most important first, such as `("value", "0")`.
    pub score: Vec<ScorePart>,
}

/// A part of a score: what it is about, and its value.
pub type ScorePart = (&'static str, String);

impl Victim {
    /// A victim with the parts of its score.
    #[must_use]
    pub fn new(id: u64, score: Vec<ScorePart>) -> Self {
        Self { id, score }
    }
}
