//! Close and reset codes, and who gave them.
//!
//! The numbers of connection codes are those of the libp2p error code registry
//! (<https://github.com/libp2p/specs/pull/623>), as go-libp2p sends them; the same space serves stream resets.

use std::fmt;

/// A 32-bit application code that ends a connection or a stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u32);

impl Code {
    /// No error: an orderly end.
    pub const NONE: Self = Self(0);
    /// No protocol that the stream was opened for is served.
    pub const PROTOCOL_NEGOTIATION_FAILED: Self = Self(0x1001);
    /// A resource limit would be exceeded.
    pub const RESOURCE_LIMIT: Self = Self(0x1002);
    /// Too many requests in a time span.
    pub const RATE_LIMITED: Self = Self(0x1003);
    /// The other side broke the protocol.
    pub const PROTOCOL_VIOLATION: Self = Self(0x1004);
    /// Pruned to make room for other connections.
    pub const SUPPLANTED: Self = Self(0x1005);
    /// Pruned because there were too many connections.
    pub const GARBAGE_COLLECTED: Self = Self(0x1006);
    /// The node shuts down.
    pub const SHUTDOWN: Self = Self(0x1007);
    /// A gate refused the connection.
    pub const GATED: Self = Self(0x1008);
    /// The application dropped the stream before finishing it.
    pub const DROPPED: Self = Self(0x1009);
    /// The muxer or transport cannot carry codes, or the other side sent none.
    pub const UNKNOWN: Self = Self(u32::MAX);

    /// The codes that have a word.
    pub const NAMED: [Self; 11] = [
        Self::NONE,
        Self::PROTOCOL_NEGOTIATION_FAILED,
        Self::RESOURCE_LIMIT,
        Self::RATE_LIMITED,
        Self::PROTOCOL_VIOLATION,
        Self::SUPPLANTED,
        Self::GARBAGE_COLLECTED,
        Self::SHUTDOWN,
        Self::GATED,
        Self::DROPPED,
        Self::UNKNOWN,
    ];

    /// A short word for the code, stable enough for a metric label; `None` for numbers without a meaning here.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NONE => "none",
            Self::PROTOCOL_NEGOTIATION_FAILED => "protocol_negotiation_failed",
            Self::RESOURCE_LIMIT => "resource_limit",
            Self::RATE_LIMITED => "rate_limited",
            Self::PROTOCOL_VIOLATION => "protocol_violation",
            Self::SUPPLANTED => "supplanted",
            Self::GARBAGE_COLLECTED => "garbage_collected",
            Self::SHUTDOWN => "shutdown",
            Self::GATED => "gated",
            Self::DROPPED => "dropped",
            Self::UNKNOWN => "unknown",
            _ => return None,
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "code {:#x}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({self})")
    }
}

/// Which end of a connection did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// This node.
    Local,
    /// The peer.
    Remote,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "this node",
            Self::Remote => "the peer",
        })
    }
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// One side closed it with a code.
    Closed {
        /// Who closed.
        by: Side,
        /// The code given, [`Code::UNKNOWN`] where the muxer carries none.
        code: Code,
        /// What was said beside the code; remote text is escaped already.
        text: String,
    },
    /// The path broke: reset, timeout, end of file without a close.
    Lost {
        /// What was seen.
        what: String,
    },
    /// The peer broke the muxer's or the security layer's protocol.
    Violation {
        /// What the peer did.
        what: String,
    },
}

impl CloseReason {
    /// A close by this node without a text.
    #[must_use]
    pub fn local(code: Code) -> Self {
        Self::Closed { by: Side::Local, code, text: String::new() }
    }

    /// A close by the peer without a text.
    #[must_use]
    pub fn remote(code: Code) -> Self {
        Self::Closed { by: Side::Remote, code, text: String::new() }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { by, code, text } if text.is_empty() => write!(f, "closed by {by} ({code})"),
            Self::Closed { by, code, text } => write!(f, "closed by {by} ({code}): {text}"),
            Self::Lost { what } => write!(f, "connection lost: {what}"),
            Self::Violation { what } => write!(f, "the peer broke the protocol: {what}"),
        }
    }
}
