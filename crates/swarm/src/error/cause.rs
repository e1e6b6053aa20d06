//! What ended an attempt, or kept an address from being tried.

use skep_api::{
    Multiaddr, PeerId,
    error::{Fault, Kind, Retry},
    gate::Denial,
    muxer::MuxerError,
    protector::ProtectorError,
    resolver::ResolveError,
    resources::LimitExceeded,
    security::SecurityError,
    transport::TransportError,
};
use std::time::Duration;

/// What ended an attempt, or kept an address from being tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The transport failed.
    #[error(transparent)]
    Transport(TransportError),
    /// The link is not one of this private network.
    #[error(transparent)]
    Protector(ProtectorError),
    /// The security upgrade failed.
    #[error(transparent)]
    Security(SecurityError),
    /// The muxer could not be agreed on.
    #[error(transparent)]
    Muxer(MuxerError),
    /// The name could not be resolved.
    #[error(transparent)]
    Resolve(ResolveError),
    /// A limit of this node on connections.
    #[error(transparent)]
    Limit(LimitExceeded),
    /// Too many dials wait already.
    #[error("too many dials wait already: {0}")]
    Overloaded(LimitExceeded),
    /// A gate of this node said no, at the named checkpoint.
    #[error("refused at checkpoint `{checkpoint}` by gate `{gate}`: {denial}")]
    Denied {
        /// The gate.
        gate: String,
        /// Where it was asked.
        checkpoint: &'static str,
        /// What it said.
        #[source]
        denial: Denial,
    },
    /// The deadline passed.
    #[error("no result within {}", short(.0))]
    TimedOut(Duration),
    /// The peer is this node.
    #[error("the address is this node's own")]
    OwnAddress,
    /// The node shuts down.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// A plugin panicked.
    #[error("a plugin panicked while dialling")]
    Panicked,
    /// The caller wanted no dial, and there is no connection.
    #[error("there is no connection, and `no_dial` was asked for")]
    NotConnected,
    /// Nothing is known of where the peer is.
    #[error("no address of the peer is known")]
    NoAddresses,
    /// All addresses of the peer failed a short while ago.
    #[error("all addresses of the peer failed last time ({last}); the next dial is due in {}", short(.left))]
    PeerBackoff {
        /// How long it is still left alone.
        left: Duration,
        /// The code of the failure that got furthest.
        last: &'static str,
    },
    /// The address failed a short while ago.
    #[error("failed {}, last with `{last}`; the next try is due in {}", times(*failures), short(.left))]
    Backoff {
        /// How long it is still left alone.
        left: Duration,
        /// Failures in a row.
        failures: u32,
        /// The code of the last failure.
        last: &'static str,
    },
    /// Hardly any dial over this kind of path has succeeded lately.
    #[error("{successes} of the last {window} dials over {path} succeeded: the path swallows them")]
    BlackHole {
        /// `UDP` or `IPv6`.
        path: &'static str,
        /// How many of the last dials succeeded.
        successes: usize,
        /// How many dials that is judged by.
        window: usize,
    },
    /// No transport of the stack serves the address.
    #[error("no transport serves this address; transports here: {0}")]
    NoTransport(String),
    /// An address at which nobody can be reached, such as one for listening.
    #[error("{0} cannot be dialled")]
    Undialable(&'static str),
    /// A loopback address of a peer that is on another host.
    #[error("a loopback address of a peer on another host")]
    ForeignLoopback,
    /// An address that is not routed in public.
    #[error("not a public address, and this node dials public ones only")]
    PrivateAddress,
    /// An address that a better one with the same IP and port stands for.
    #[error("{0} leads to the same place")]
    Duplicate(Multiaddr),
    /// Through a relay, where a direct connection was asked for.
    #[error("leads through a relay, and `force_direct` was asked for")]
    Relayed,
    /// Through a relay, and there is such a connection already.
    #[error("leads through a relay, and there is a connection through a relay already")]
    RelayedAlready,
    /// The address names another peer than the one wanted.
    #[error("the address is one of {0}")]
    OtherPeer(PeerId),
    /// Others were ranked before it.
    #[error("{0} addresses were ranked before it, which is as many as one dial tries")]
    TooManyAddresses(usize),
}

impl Cause {
    /// The stable word, fit for a metric label.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Transport(e) => e.kind().code(),
            Self::Protector(e) => e.kind().code(),
            Self::Security(e) => e.kind().code(),
            Self::Muxer(e) => e.kind().code(),
            Self::Resolve(e) => e.kind().code(),
            Self::Limit(_) => "local_limit",
            Self::Overloaded(_) => "overloaded",
            Self::Denied { .. } => "denied",
            Self::TimedOut(_) => "deadline",
            Self::OwnAddress => "own_address",
            Self::ShuttingDown => "shutting_down",
            Self::Panicked => "panicked",
            Self::NotConnected => "not_connected",
            Self::NoAddresses => "no_addresses",
            Self::PeerBackoff { .. } => "peer_backoff",
            Self::Backoff { .. } => "backoff",
            Self::BlackHole { .. } => "black_hole",
            Self::NoTransport(_) => "no_transport",
            Self::Undialable(_) => "undialable",
            Self::ForeignLoopback => "foreign_loopback",
            Self::PrivateAddress => "private_address",
            Self::Duplicate(_) => "duplicate",
            Self::Relayed => "relayed",
            Self::RelayedAlready => "relayed_already",
            Self::OtherPeer(_) => "other_peer",
            Self::TooManyAddresses(_) => "too_many_addresses",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Transport(e) => e.kind().advice(),
            Self::Protector(e) => e.kind().advice(),
            Self::Security(e) => e.kind().advice(),
            Self::Muxer(e) => e.kind().advice(),
            Self::Resolve(e) => e.kind().advice(),
            Self::Limit(_) => "wait for connections to end, or raise the key named",
            Self::Overloaded(_) => "dial less at once, or raise the key named",
            Self::Denied { .. } => "change the gate's rule if the peer should be reachable",
            Self::TimedOut(_) => {
                "the peer or the path is slow, silent or full; give the dial more time, or check the address"
            }
            Self::OwnAddress => "give the address of another node",
            Self::ShuttingDown => "dial before shutting down",
            Self::Panicked => "see the log for the plugin, and report it to its authors",
            Self::NotConnected => "dial without `no_dial`",
            Self::NoAddresses => "add an address to the peer store, or dial one",
            Self::PeerBackoff { .. } | Self::Backoff { .. } => {
                "wait, add a new address, dial with `ignore_backoff`, or clear it (`skep backoff clear`)"
            }
            Self::BlackHole { .. } => {
                "check the firewall and the route for this kind of address; a probe is let through now and then"
            }
            Self::NoTransport(_) => "add a transport for it to `[stack] transports`",
            Self::Undialable(_) => "give the IP and port that the peer can be reached at",
            Self::ForeignLoopback => "give an address that reaches the peer's host",
            Self::PrivateAddress => {
                "set `dial.private_addresses = true` if the peer is in a network of yours"
            }
            Self::Duplicate(_) => "nothing: the other address is tried",
            Self::RelayedAlready => "dial with `allow_limited` to take it",
            Self::Relayed => "dial without `force_direct`, or give a direct address",
            Self::OtherPeer(_) => "give an address of the peer wanted",
            Self::TooManyAddresses(_) => {
                "raise `dial.max_peer_addrs_to_dial`, or remove addresses that are stale"
            }
        }
    }

    /// Who is at fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Transport(e) => e.kind().fault(),
            Self::Protector(e) => e.kind().fault(),
            Self::Security(e) => e.kind().fault(),
            Self::Muxer(e) => e.kind().fault(),
            Self::Resolve(e) => e.kind().fault(),
            Self::TimedOut(_) | Self::PeerBackoff { .. } | Self::Backoff { .. } | Self::BlackHole { .. } => {
                Fault::Network
            }
            Self::ForeignLoopback | Self::Undialable(_) | Self::OtherPeer(_) => Fault::Remote,
            _ => Fault::Local,
        }
    }

    /// Whether a retry can help, and when.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Transport(e) => e.kind().retry(),
            Self::Protector(e) => e.kind().retry(),
            Self::Security(e) => e.kind().retry(),
            Self::Muxer(e) => e.kind().retry(),
            Self::Resolve(e) => e.kind().retry(),
            Self::Denied { denial, .. } if denial.rate.is_some() => Retry::Later,
            Self::Limit(_)
            | Self::Overloaded(_)
            | Self::TimedOut(_)
            | Self::PeerBackoff { .. }
            | Self::Backoff { .. }
            | Self::BlackHole { .. } => Retry::Later,
            _ => Retry::Permanent,
        }
    }
}

fn times(n: u32) -> String {
    if n == 1 { "once".into() } else { format!("{n} times in a row") }
}

/// A duration as exact as anybody waits.
fn short(duration: &Duration) -> String {
    match duration.as_secs_f64() {
        secs if secs < 0.1 => format!("{:.1} ms", secs * 1e3),
        secs => format!("{secs:.1} s"),
    }
}
