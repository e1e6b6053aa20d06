//! Resource managers: what a connection or a stream may take, as guards that give it back.
//!
//! The framework takes a [`ConnectionScope`] before a socket is dialled or a byte is spent on one that was accepted,
//! moves it along the road, and drops it when the socket is gone. Streams take a [`StreamScope`] from it. Memory can be
//! reserved from either; the framework reserves none by itself, so that memory is what the manager charges for each
//! connection and stream. No resource is ever given back by a call: only by dropping the guard.

use crate::{Multiaddr, PeerId, security::Role};
use std::fmt;

/// Grants resources and takes them back when a guard is dropped.
///
/// # Obligations
///
/// * U1. A grant covers all scopes it falls under, or nothing is taken.
/// * U2. Dropping a guard gives back exactly what it took, at once, however the guards of one tree are dropped:
///   a stream's may outlive its connection's.
/// * U3. A denial names the scope, the resource, the limit, its current value and the configuration key.
/// * U4. An error inside the manager is a denial: it fails closed.
/// * U5. Nothing is kept for a peer, a protocol or an address that holds nothing, but what a rate needs, bounded.
/// * U6. No method blocks, and none waits for room.
pub trait ResourceManager: fmt::Debug + Send + Sync + 'static {
    /// Takes a connection slot, before a socket is dialled or a byte is spent on one that was accepted.
    ///
    /// # Errors
    /// [`LimitExceeded`] if there is no room.
    fn open_connection(
        &self,
        request: &ConnectionRequest<'_>,
    ) -> Result<Box<dyn ConnectionScope>, LimitExceeded>;

    /// What is in use now, scope by scope, the widest first; at most `max` scopes. Scopes that hold nothing and have
    /// denied nothing may be left out.
    fn usage(&self, max: usize) -> Vec<Usage>;

    /// The limits that apply to every scope of a kind, for printing.
    fn limits(&self) -> Vec<Limit>;
}

/// Who wants a connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionRequest<'a> {
    /// This node's side: `Dialer` for an outbound connection.
    pub role: Role,
    /// The peer's end: of the socket if it was accepted, otherwise the address that is dialled.
    pub remote: &'a Multiaddr,
    /// The peer, where it is known already. It counts as proven only with [`ConnectionScope::set_peer`].
    pub expected: Option<&'a PeerId>,
    /// Whether it needs a file descriptor of its own.
    pub descriptor: bool,
}

impl<'a> ConnectionRequest<'a> {
    /// A connection with a descriptor of its own, to a peer that is not known yet.
    #[must_use]
    pub fn new(role: Role, remote: &'a Multiaddr) -> Self {
        Self { role, remote, expected: None, descriptor: true }
    }
}

/// What one connection holds.
pub trait ConnectionScope: fmt::Debug + Send + Sync + 'static {
    /// Moves the connection from the transient scope to that of its peer, in place: nothing is given back before it
    /// is taken again. Comes once.
    ///
    /// # Errors
    /// [`LimitExceeded`] if the peer has too many already. The connection stays where it was.
    fn set_peer(&mut self, peer: &PeerId) -> Result<(), LimitExceeded>;

    /// Takes a stream slot. `Dialer` for a stream that this node opens.
    ///
    /// # Errors
    /// [`LimitExceeded`] if there is no room.
    fn open_stream(&self, role: Role) -> Result<Box<dyn StreamScope>, LimitExceeded>;

    /// Takes memory. The lower the priority, the more room it leaves to others.
    ///
    /// # Errors
    /// [`LimitExceeded`] if there is no room.
    fn reserve(&self, bytes: u64, priority: Priority) -> Result<Box<dyn MemoryGuard>, LimitExceeded>;
}

/// What one stream holds. A stream begins in the transient scope, until its protocol is known.
pub trait StreamScope: fmt::Debug + Send + Sync + 'static {
    /// Accounts the stream to a protocol, and to the service that owns it, if the configuration has named one. Comes
    /// once.
    ///
    /// # Errors
    /// [`LimitExceeded`] if the protocol, the service, or the peer within one of these has too many already. The
    /// stream stays where it was.
    fn set_protocol(&mut self, protocol: &str) -> Result<(), LimitExceeded>;

    /// Takes memory.
    ///
    /// # Errors
    /// [`LimitExceeded`] if there is no room.
    fn reserve(&self, bytes: u64, priority: Priority) -> Result<Box<dyn MemoryGuard>, LimitExceeded>;
}

/// Memory that was taken. Dropping it gives it back.
pub trait MemoryGuard: fmt::Debug + Send + Sync + 'static {
    /// How much was taken.
    fn bytes(&self) -> u64;
}

/// How much of a memory limit a reservation may fill, as in go-libp2p.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Priority {
    /// Up to 40 % of the limit: what can be done without.
    Low,
    /// Up to 60 %.
    Medium,
    /// Up to 80 %.
    High,
    /// Up to all of it.
    Always,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// Connections in all.
    Connections,
    /// Connections that peers dialled.
    ConnectionsInbound,
    /// Connections that this node dialled.
    ConnectionsOutbound,
    /// Streams in all.
    Streams,
    /// Streams that peers opened.
    StreamsInbound,
    /// Streams that this node opened.
    StreamsOutbound,
    /// Bytes.
    Memory,
    /// File descriptors.
    Descriptors,
    /// Inbound connections in a time span.
    Rate,
}

impl Resource {
    /// All of them, totals before their parts.
    pub const ALL: [Self; 9] = [
        Self::Connections,
        Self::ConnectionsInbound,
        Self::ConnectionsOutbound,
        Self::Streams,
        Self::StreamsInbound,
        Self::StreamsOutbound,
        Self::Memory,
        Self::Descriptors,
        Self::Rate,
    ];

    /// A word, stable enough for a metric label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsInbound => "connections_inbound",
            Self::ConnectionsOutbound => "connections_outbound",
            Self::Streams => "streams",
            Self::StreamsInbound => "streams_inbound",
            Self::StreamsOutbound => "streams_outbound",
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
            Self::Rate => "rate",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One resource of one scope, as it is used now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The scope: `system`, `transient`, `peer 12D3Koo…`, `protocol /ipfs/ping/1.0.0`.
    pub scope: String,
    /// What is counted.
    pub resource: Resource,
    /// How much is in use.
    pub current: u64,
    /// How much may be; `None` for no limit.
    pub limit: Option<u64>,
    /// Requests that were denied for it since the start.
    pub denied: u64,
}

/// A limit, for printing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The kind of scope: `system`, `transient`, `peer`, `protocol`, `ip /32`.
    pub scope: String,
    /// What is counted.
    pub resource: Resource,
    /// How much may be; `None` for no limit.
    pub limit: Option<u64>,
    /// The configuration key.
    pub key: String,
    /// Where the value comes from: `configured`, or what it was derived from.
    pub why: String,
}

/// A limit that would be exceeded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{scope}: {current} of {limit} in use; raise `{key}`")]
pub struct LimitExceeded {
    /// What is limited, such as `connections, system`.
    pub scope: String,
    /// How much is in use.
    pub current: u64,
    /// How much may be.
    pub limit: u64,
    /// The configuration key of the limit.
    pub key: String,
}
