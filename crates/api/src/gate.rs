//! Gates: who may connect, asked at fixed points of the road.

use crate::{Code, Multiaddr, PeerId, security::Role};
use std::{borrow::Cow, fmt};

/// Decides whether a connection may go on.
///
/// Gates of a stack are asked in order; the first denial wins, and nothing later can overturn it.
///
/// # Obligations
///
/// * G1. `check` is pure and does not block: the same question gets the same answer until the rules change.
/// * G2. A denial says why, in words that an operator understands, and names the rule.
/// * G3. A rule that cannot be understood is a configuration error, never a rule that is skipped.
/// * G4. Addresses are judged as given: they are resolved already, and a gate does no lookups.
pub trait Gate: fmt::Debug + Send + Sync + 'static {
    /// Judges one step of one connection.
    fn check(&self, point: &Checkpoint<'_>) -> Verdict;
}

/// Where on the road of a connection a gate is asked, and what is known there.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Checkpoint<'a> {
    /// Before an address is dialled. `peer` is unknown when only an address was given.
    Dial {
        /// The peer that is wanted.
        peer: Option<&'a PeerId>,
        /// The resolved address.
        addr: &'a Multiaddr,
    },
    /// An inbound connection, before any byte is spent on it.
    Link {
        /// The listener's address.
        local: &'a Multiaddr,
        /// Where it comes from.
        remote: &'a Multiaddr,
    },
    /// The peer has proved who it is; no muxer byte has been read.
    Peer {
        /// This node's side.
        role: Role,
        /// Who it is.
        peer: &'a PeerId,
        /// From where.
        remote: &'a Multiaddr,
    },
    /// The connection is complete and about to be registered.
    Ready {
        /// This node's side.
        role: Role,
        /// Who it is.
        peer: &'a PeerId,
        /// From where.
        remote: &'a Multiaddr,
    },
}

impl Checkpoint<'_> {
    /// The stable word of the checkpoint.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dial { .. } => "dial",
            Self::Link { .. } => "link",
            Self::Peer { .. } => "peer",
            Self::Ready { .. } => "ready",
        }
    }

    /// The address of the peer's end.
    #[must_use]
    pub fn remote(&self) -> &Multiaddr {
        match self {
            Self::Dial { addr, .. } => addr,
            Self::Link { remote, .. } | Self::Peer { remote, .. } | Self::Ready { remote, .. } => remote,
        }
    }

    /// The peer, where it is known.
    #[must_use]
    pub fn peer(&self) -> Option<&PeerId> {
        match self {
            Self::Dial { peer, .. } => *peer,
            Self::Link { .. } => None,
            Self::Peer { peer, .. } | Self::Ready { peer, .. } => Some(peer),
        }
    }
}

/// A gate's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Allow,
    /// Stop here.
    Deny(Denial),
}

/// Why a gate said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The rule, as the configuration has it, such as `deny = 10.0.0.0/8`.
    pub rule: String,
    /// Why, in words.
    pub reason: Cow<'static, str>,
    /// The code that the peer is told, where it can be told one.
    pub code: Code,
}

impl Denial {
    /// A denial with the code [`Code::GATED`].
    pub fn new(rule: impl Into<String>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { rule: rule.into(), reason: reason.into(), code: Code::GATED }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (rule: {})", self.reason, self.rule)
    }
}
