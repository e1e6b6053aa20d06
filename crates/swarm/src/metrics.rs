//! The numbers of a node. As metrics for a sink they are in `meters`.

use crate::{connection::SwarmConn, swarm::Swarm};
use skep_api::security::Role;
use std::sync::PoisonError;

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
    /// Of these, those that still shake hands with a peer that dialled.
    pub pending_inbound: usize,
    /// Subscribers to events.
    pub subscribers: usize,
    /// Events that wait for the slowest subscriber.
    pub waiting_events: usize,
    /// Events that subscribers were too slow for.
    pub missed_events: u64,
    /// Peers with tags or protections.
    pub tagged_peers: usize,
    /// Tasks that run.
    pub tasks: usize,
    /// Tasks that have panicked since the start.
    pub panics: u64,
}

impl Swarm {
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
            pending_inbound: self.0.permits.pending_inbound(),
            subscribers: self.0.events.len(),
            waiting_events: self.0.events.longest(),
            tagged_peers: self.0.tags.len(),
            missed_events: self.0.events.missed(),
            tasks: self.0.tasks.running().saturating_add(self.0.hearers.running()),
            panics: self.0.tasks.panics(),
        }
    }
}
