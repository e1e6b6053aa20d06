//! Why a connection did not come to be: a tree with a leaf for each address.

use skep_api::{
    Multiaddr, PeerId,
    error::{Fault, Kind, Retry},
    gate::Denial,
    muxer::MuxerError,
    resolver::ResolveError,
    resources::LimitExceeded,
    security::SecurityError,
    transport::TransportError,
};
use std::{fmt, time::Duration};

/// The step of the road at which an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Before anything was tried.
    Filter,
    /// Names to addresses.
    Resolve,
    /// The transport's dial or accept.
    Connect,
    /// The security handshake, its negotiation included.
    Security,
    /// Who the peer is.
    Peer,
    /// The muxer, its negotiation included.
    Muxer,
    /// A gate's decision.
    Gate,
}

impl Stage {
    /// The stable word of the stage.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
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

/// What ended an attempt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The transport failed.
    #[error(transparent)]
    Transport(TransportError),
    /// The security upgrade failed.
    #[error(transparent)]
    Security(SecurityError),
    /// The muxer could not be agreed on.
    #[error(transparent)]
    Muxer(MuxerError),
    /// The name could not be resolved.
    #[error(transparent)]
    Resolve(ResolveError),
    /// A limit of this node.
    #[error(transparent)]
    Limit(LimitExceeded),
    /// A gate of this node said no, at the named checkpoint.
    #[error("refused at checkpoint `{checkpoint}`: {denial}")]
    Denied {
        /// Where it was asked.
        checkpoint: &'static str,
        /// What it said.
        denial: Denial,
    },
    /// The deadline passed.
    #[error("no result within {0:?}")]
    TimedOut(Duration),
    /// The peer is this node.
    #[error("the address is this node's own")]
    OwnAddress,
    /// No transport of the stack serves the address.
    #[error("no transport serves this address; transports here: {0}")]
    NoTransport(String),
    /// The node shuts down.
    #[error("the node is shutting down")]
    ShuttingDown,
}

impl Cause {
    /// The stable word, fit for a metric label.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Transport(e) => e.kind().code(),
            Self::Security(e) => e.kind().code(),
            Self::Muxer(e) => e.kind().code(),
            Self::Resolve(e) => e.kind().code(),
            Self::Limit(_) => "local_limit",
            Self::Denied { .. } => "denied",
            Self::TimedOut(_) => "deadline",
            Self::OwnAddress => "own_address",
            Self::NoTransport(_) => "no_transport",
            Self::ShuttingDown => "shutting_down",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Transport(e) => e.kind().advice(),
            Self::Security(e) => e.kind().advice(),
            Self::Muxer(e) => e.kind().advice(),
            Self::Resolve(e) => e.kind().advice(),
            Self::Limit(_) => "wait for connections to end, or raise the key named",
            Self::Denied { .. } => "change the gate's rule if the peer should be reachable",
            Self::TimedOut(_) => {
                "the peer or the path is slow or silent; give the dial more time, or check the address"
            }
            Self::OwnAddress => "give the address of another node",
            Self::NoTransport(_) => "add a transport for it to `[stack] transports`",
            Self::ShuttingDown => "dial before shutting down",
        }
    }

    /// Who is at fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Transport(e) => e.kind().fault(),
            Self::Security(e) => e.kind().fault(),
            Self::Muxer(e) => e.kind().fault(),
            Self::Resolve(e) => e.kind().fault(),
            Self::TimedOut(_) => Fault::Network,
            _ => Fault::Local,
        }
    }

    /// Whether a retry can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Transport(e) => e.kind().retry(),
            Self::Security(e) => e.kind().retry(),
            Self::Muxer(e) => e.kind().retry(),
            Self::Resolve(e) => e.kind().retry(),
            Self::Limit(_) | Self::TimedOut(_) => Retry::Later,
            _ => Retry::Permanent,
        }
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
}

/// An address and how its attempt ended.
#[derive(Debug)]
pub struct Attempt {
    /// The address, resolved.
    pub addr: Multiaddr,
    /// Why there is no connection.
    pub error: AttemptError,
    /// From the start of this attempt to its end; zero where nothing was tried.
    pub elapsed: Duration,
}

/// A dial that gave no connection: every address, with what happened to it.
#[derive(Debug)]
pub struct DialError {
    /// The peer that was wanted, where it was known.
    pub peer: Option<PeerId>,
    /// One leaf per address, in the order of the attempts.
    pub attempts: Vec<Attempt>,
    /// From the call to its end.
    pub elapsed: Duration,
}

impl DialError {
    /// The attempt that got furthest on the road: the one whose cure is the most likely to help.
    #[must_use]
    pub fn furthest(&self) -> Option<&Attempt> {
        self.attempts.iter().max_by_key(|attempt| attempt.error.stage)
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Some(peer) => write!(f, "no connection to {peer}")?,
            None => f.write_str("no connection")?,
        }
        match self.attempts.as_slice() {
            [] => f.write_str(": no address to dial"),
            [only] => write!(f, ": {}: {}", only.addr, only.error),
            many => write!(f, ": all {} addresses failed", many.len()),
        }
    }
}

impl std::error::Error for DialError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.furthest().map(|attempt| &attempt.error as _)
    }
}

/// A stream that could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NewStreamError {
    /// There is no connection to the peer.
    #[error("not connected to {0}; dial it first")]
    NotConnected(PeerId),
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
