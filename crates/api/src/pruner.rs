//! Pruners: which connections go when there are too many.

use crate::selector::ConnectionView;
use std::{fmt, time::Duration};

/// Chooses connections to close.
///
/// It sees a snapshot, never the swarm, and acts on nothing by itself.
///
/// # Obligations
///
/// * P1. Only ids of the snapshot are returned, each at most once.
/// * P2. Nothing is returned while the number of connections is at or below the low mark.
/// * P3. Protected connections are never returned.
/// * P4. Equal snapshots give equal answers.
pub trait Pruner: fmt::Debug + Send + Sync + 'static {
    /// The connections to close, the least valuable first, each with a reason for the log and the peer.
    fn select(&self, snapshot: &[PruneCandidate]) -> Vec<Victim>;

    /// The number of connections at which the pruner wants to be asked.
    fn high_mark(&self) -> usize;
}

/// A connection as a pruner sees it.
#[derive(Clone, Debug)]
pub struct PruneCandidate {
    /// The connection.
    pub connection: ConnectionView,
    /// How long it has been open.
    pub age: Duration,
    /// The sum of the peer's tags; more is worth more.
    pub value: i64,
    /// Somebody asked for it to be kept.
    pub protected: bool,
}

/// A connection that a pruner wants closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// Which one: [`ConnectionView::id`].
    pub id: u64,
    /// Why this one.
    pub reason: String,
}
