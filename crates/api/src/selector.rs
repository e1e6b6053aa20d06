//! Connection selectors: which connection carries a new stream.

use crate::{Multiaddr, PeerId, security::Role};
use std::{fmt, time::Duration};

/// Chooses among the live connections to a peer.
///
/// # Obligations
///
/// * E1. The answer is the id of one of the connections given, or `None` if there are none.
/// * E2. `select` does not block, and what it remembers is bounded.
/// * E3. A limited connection is chosen only if all are limited.
pub trait ConnectionSelector: fmt::Debug + Send + Sync + 'static {
    /// The id of the connection that should carry a new stream.
    fn select(&self, connections: &[ConnectionView]) -> Option<u64>;
}

/// A snapshot of one connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionView {
    /// Unique within the node's life, rising with each connection.
    pub id: u64,
    /// The peer.
    pub peer: PeerId,
    /// This node's side.
    pub role: Role,
    /// The peer's address, from the socket.
    pub remote: Multiaddr,
    /// Limited in bytes or time, as a relayed connection is.
    pub limited: bool,
    /// Open streams, both directions.
    pub streams: usize,
    /// Of these, those of protocols that keep the connection alive: not ping's, nor those without a protocol yet.
    pub busy: usize,
    /// The last measured round-trip time.
    pub latency: Option<Duration>,
    /// How long it has been open.
    pub age: Duration,
    /// Streams opened on it so far, by this node.
    pub opened: u64,
    /// Of these, those that could not be opened, or that ended by a reset of the peer or with the connection.
    pub failed: u64,
}

impl ConnectionView {
    /// A view of a direct connection with nothing measured yet.
    #[must_use]
    pub fn new(id: u64, peer: PeerId, role: Role, remote: Multiaddr) -> Self {
        let (latency, age) = (None, Duration::ZERO);
        Self {
            id,
            peer,
            role,
            remote,
            limited: false,
            streams: 0,
            busy: 0,
            latency,
            age,
            opened: 0,
            failed: 0,
        }
    }
}
