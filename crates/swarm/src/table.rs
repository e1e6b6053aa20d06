//! The table of connections, as the rest of the node asks it.

use crate::{connection::SwarmConn, swarm::Inner};
use skep_api::PeerId;
use std::{
    cmp::Reverse,
    sync::{PoisonError, atomic::Ordering},
};

impl Inner {
    pub(crate) fn all(&self) -> Vec<SwarmConn> {
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.values().flatten().cloned().collect()
    }

    /// A number that nothing else of this node has.
    pub(crate) fn new_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn total(&self) -> usize {
        self.total.load(Ordering::Acquire)
    }

    pub(crate) fn to(&self, peer: &PeerId) -> Vec<SwarmConn> {
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.get(peer).cloned().unwrap_or_default()
    }

    /// The best live connection to a peer: direct before limited, then the most streams, then the newest.
    pub(crate) fn best(&self, peer: &PeerId) -> Option<SwarmConn> {
        self.best_of(peer, |_| true)
    }

    /// The same among those that `which` takes.
    pub(crate) fn best_of(&self, peer: &PeerId, which: impl Fn(&SwarmConn) -> bool) -> Option<SwarmConn> {
        best_first(self.to(peer)).into_iter().find(|conn| which(conn))
    }

    /// The connection that the selector names for a new stream, among the live ones that `which` takes. For this alone:
    /// a selector may count what it has named.
    pub(crate) fn select(&self, peer: &PeerId, which: impl Fn(&SwarmConn) -> bool) -> Option<SwarmConn> {
        let mut connections = best_first(self.to(peer));
        connections.retain(which);
        let live = self.live();
        if let (Some(selector), true) = (&live.stack.selector, connections.len() > 1) {
            let views: Vec<_> = connections.iter().map(SwarmConn::view).collect();
            let chosen = selector.object.select(&views);
            if let Some(chosen) = connections.iter().find(|conn| Some(conn.id()) == chosen) {
                return Some(chosen.clone());
            }
        }
        connections.into_iter().next()
    }
}

/// The live ones among them: direct before limited, then the most streams, then the newest.
pub(crate) fn best_first(mut connections: Vec<SwarmConn>) -> Vec<SwarmConn> {
    connections.retain(SwarmConn::is_live);
    if connections.len() > 1 {
        let rank = |conn: &SwarmConn| (conn.is_limited(), Reverse(conn.num_streams()), Reverse(conn.id()));
        connections.sort_by_cached_key(rank);
    }
    connections
}
