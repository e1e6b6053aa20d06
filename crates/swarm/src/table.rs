//! The table of connections, as the rest of the node asks it.

use crate::{connection::SwarmConn, swarm::Inner};
use skep_api::PeerId;
use std::sync::{PoisonError, atomic::Ordering};

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

    pub(crate) fn best(&self, peer: &PeerId) -> Option<SwarmConn> {
        self.best_of(peer, |_| true)
    }

    /// The connection that the selector prefers among the live ones that `which` takes.
    pub(crate) fn best_of(&self, peer: &PeerId, which: impl Fn(&SwarmConn) -> bool) -> Option<SwarmConn> {
        let mut connections = self.to(peer);
        connections.retain(|conn| conn.is_live() && which(conn));
        let newest = connections.last().cloned();
        let (Some(selector), true) = (&self.stack.selector, connections.len() > 1) else { return newest };
        let views: Vec<_> = connections.iter().map(SwarmConn::view).collect();
        let chosen = selector.object.select(&views);
        connections.into_iter().find(|conn| Some(conn.id()) == chosen).or(newest)
    }
}
