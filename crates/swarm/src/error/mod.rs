//! Why a connection did not come to be: where on the road it ended, by which plugin, and the cause.

mod cause;
pub(crate) mod codes;

pub use crate::dial::{AddrOutcome, AddrReport, DialError, DialReport, SwarmDialAllFailedError};
pub use cause::Cause;

use skep_api::{Code, Multiaddr, PeerId};
use std::fmt;

/// The step of the road at which an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Before anything was tried.
    Filter,
    /// Names to addresses.
    Resolve,
    /// Waiting for room among the dials of this node.
    Queue,
    /// The transport's dial or accept.
    Connect,
    /// What keeps the link within a private network.
    Protector,
    /// The security handshake, its negotiation included.
    Security,
    /// Who the peer is.
    Peer,
    /// The muxer, its negotiation included.
    Muxer,
    /// A gate's decision, or a limit on the connections to one peer.
    Gate,
}

impl Stage {
    /// Every stage, in the order of the road.
    pub(crate) const ALL: [Self; 9] = [
        Self::Filter,
        Self::Resolve,
        Self::Queue,
        Self::Connect,
        Self::Protector,
        Self::Security,
        Self::Peer,
        Self::Muxer,
        Self::Gate,
    ];

    /// The stable word of the stage.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Resolve => "resolve",
            Self::Queue => "queue",
            Self::Connect => "connect",
            Self::Protector => "protector",
            Self::Security => "security",
            Self::Peer => "peer",
            Self::Muxer => "muxer",
            Self::Gate => "gate",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One address that was tried, or passed over.
#[derive(Debug, thiserror::Error)]
#[error("{stage}{}{plugin}: {cause}", if plugin.is_empty() { "" } else { " " })]
pub struct AttemptError {
    /// Where it ended.
    pub stage: Stage,
    /// The plugin that ended it; empty where it was the framework itself.
    pub plugin: String,
    /// Why.
    #[source]
    pub cause: Cause,
}

impl AttemptError {
    pub(crate) fn new(stage: Stage, plugin: impl Into<String>, cause: Cause) -> Self {
        Self { stage, plugin: plugin.into(), cause }
    }

    /// What the peer is told, where this is the denial of a gate.
    pub(crate) fn close_code(&self) -> Code {
        match &self.cause {
            Cause::Denied { denial, .. } => denial.code,
            _ => Code::GATED,
        }
    }
}

/// A stream that could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NewStreamError {
    /// There is no connection to the peer.
    #[error("not connected to {0}; dial it first")]
    NotConnected(PeerId),
    /// There is a limited connection only, and the caller wants neither that nor a dial.
    #[error("only connected to {0} through a relay; allow a limited connection, or a dial")]
    OnlyLimited(PeerId),
    /// There was no connection, and none could be made.
    #[error("no connection to {peer}")]
    Dial {
        /// The peer.
        peer: PeerId,
        /// What became of each address.
        #[source]
        source: DialError,
    },
    /// The connection could not carry it.
    #[error("no stream to {peer}")]
    Failed {
        /// The peer.
        peer: PeerId,
        /// Why.
        #[source]
        source: skep_api::protocol::ProtocolError,
    },
}

/// An address that could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr}")]
pub struct ListenError {
    /// The address asked for.
    pub addr: Multiaddr,
    /// Why.
    #[source]
    pub cause: Cause,
}
