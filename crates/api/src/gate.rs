//! Gates: who may connect, asked at fixed points of the road.

use crate::{Code, Multiaddr, PeerId, rate::RateLimitError, security::Role};
use std::{any::Any, borrow::Cow, fmt, net::IpAddr};

/// Decides whether a connection may go on.
///
/// Gates of a stack are asked in order; the first denial wins, and nothing later can overturn it. A gate that the
/// profile lists in `[stack] shadow_gates` is asked and counted like the others, and its denials have no effect.
///
/// # Obligations
///
/// * G1. `check` does not block, and what it says follows from the question, the node's counts that come with it, the
///   rules, and for a limiter from what it was asked before: the same history gets the same answers.
/// * G2. A denial says why, in words that an operator understands, and names the rule, the key of the
///   configuration first.
/// * G3. A rule that cannot be understood is a configuration error, never a rule that is skipped.
/// * G4. Addresses are judged as given: they are resolved already, and a gate does no lookups.
/// * G5. What it remembers of peers and hosts is bounded.
/// * G6. A gate that has no opinion at a checkpoint allows; checkpoints may be added.
/// * G7. What a limiter allows is not used up at [`Checkpoint::Again`].
pub trait Gate: Any + fmt::Debug + Send + Sync {
    /// Judges one step of one connection.
    fn check(&self, point: &Checkpoint<'_>, cx: &GateCx<'_>) -> Verdict;
}

/// Where on the road of a connection a gate is asked, and what is known there.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Checkpoint<'a> {
    /// Before anything is done to dial a peer: no name has been resolved.
    PeerDial {
        /// The peer that is wanted.
        peer: &'a PeerId,
    },
    /// Before an address is dialled. `peer` is unknown when only an address was given.
    AddrDial {
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
    /// The peer has opened a stream, and its protocol is agreed on; nothing has been read from it.
    Stream {
        /// Who it is.
        peer: &'a PeerId,
        /// From where.
        remote: &'a Multiaddr,
        /// The protocol, one of this node's.
        protocol: &'a str,
    },
    /// A registered connection is judged again, because rules have changed. What a limiter allows is not used up.
    Again {
        /// This node's side.
        role: Role,
        /// Who it is.
        peer: &'a PeerId,
        /// From where.
        remote: &'a Multiaddr,
    },
}

impl<'a> Checkpoint<'a> {
    /// The stable words of all checkpoints.
    pub const NAMES: [&'static str; 7] =
        ["peer_dial", "addr_dial", "link", "peer", "ready", "stream", "again"];

    /// The stable word of the checkpoint.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::PeerDial { .. } => "peer_dial",
            Self::AddrDial { .. } => "addr_dial",
            Self::Link { .. } => "link",
            Self::Peer { .. } => "peer",
            Self::Ready { .. } => "ready",
            Self::Stream { .. } => "stream",
            Self::Again { .. } => "again",
        }
    }

    /// The address of the peer's end, where there is one.
    #[must_use]
    pub fn remote(&self) -> Option<&'a Multiaddr> {
        match self {
            Self::PeerDial { .. } => None,
            Self::AddrDial { addr, .. } => Some(addr),
            Self::Link { remote, .. }
            | Self::Peer { remote, .. }
            | Self::Ready { remote, .. }
            | Self::Stream { remote, .. }
            | Self::Again { remote, .. } => Some(remote),
        }
    }

    /// The peer, where it is known.
    #[must_use]
    pub fn peer(&self) -> Option<&'a PeerId> {
        match self {
            Self::AddrDial { peer, .. } => *peer,
            Self::Link { .. } => None,
            Self::PeerDial { peer }
            | Self::Peer { peer, .. }
            | Self::Ready { peer, .. }
            | Self::Stream { peer, .. }
            | Self::Again { peer, .. } => Some(peer),
        }
    }

    /// This node's side of the connection; `None` for a stream, which is of no side.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::PeerDial { .. } | Self::AddrDial { .. } => Some(Role::Dialer),
            Self::Link { .. } => Some(Role::Listener),
            Self::Peer { role, .. } | Self::Ready { role, .. } | Self::Again { role, .. } => Some(*role),
            Self::Stream { .. } => None,
        }
    }
}

/// What comes with a question beside the checkpoint.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct GateCx<'a> {
    /// How many connections the node has, and from where.
    pub census: &'a dyn Census,
}

impl<'a> GateCx<'a> {
    /// A context with this census.
    #[must_use]
    pub fn new(census: &'a dyn Census) -> Self {
        Self { census }
    }
}

/// The node's connections by address, the one that is judged left out. When a connection is judged again, only those are
/// counted that are older: so of too many the newest go.
pub trait Census: fmt::Debug + Send + Sync {
    /// Connections of this direction that are registered or in their handshake, with IPs that begin with the first `bits`
    /// of `ip`. Counting may stop at `enough`.
    fn connections(&self, role: Role, ip: IpAddr, bits: u8, enough: usize) -> usize;

    /// Of the inbound ones, those in their handshake.
    fn handshakes(&self, ip: IpAddr, bits: u8, enough: usize) -> usize;
}

/// The census of a node without connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Census for Nobody {
    fn connections(&self, _: Role, _: IpAddr, _: u8, _: usize) -> usize {
        0
    }
    fn handshakes(&self, _: IpAddr, _: u8, _: usize) -> usize {
        0
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
#[non_exhaustive]
pub struct Denial {
    /// The rule, as the configuration has it, such as `deny = 10.0.0.0/8`: the key first. Metrics count by the key.
    pub rule: String,
    /// Why, in words.
    pub reason: Cow<'static, str>,
    /// The code that the peer is told, where it can be told one.
    pub code: Code,
    /// The rate that was exceeded, where that is why.
    pub rate: Option<Box<RateLimitError>>,
}

impl Denial {
    /// A denial with the code [`Code::GATED`].
    pub fn new(rule: impl Into<String>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { rule: rule.into(), reason: reason.into(), code: Code::GATED, rate: None }
    }

    /// A denial because of a rate, with the code [`Code::RATE_LIMITED`].
    pub fn too_fast(rule: impl Into<String>, rate: RateLimitError) -> Self {
        let reason = Cow::Owned(rate.to_string());
        Self { rule: rule.into(), reason, code: Code::RATE_LIMITED, rate: Some(Box::new(rate)) }
    }

    /// Tells the peer this code instead.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// The key of the rule: its first word.
    #[must_use]
    pub fn key(&self) -> &str {
        self.rule.split([' ', '=']).next().unwrap_or_default()
    }
}

impl std::error::Error for Denial {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.rate.as_deref().map(|rate| rate as _)
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (rule: {})", self.reason, self.rule)
    }
}
