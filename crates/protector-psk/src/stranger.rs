//! How a peer shows that it is not of this network.

use skep_api::protector::{ProtectorError, ProtectorErrorKind};
use std::io;

/// What a peer did that no member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// It speaks in clear.
    Open,
    /// It sends back what it is sent.
    Mirror,
    /// What it sends is nothing under any key of this node.
    OtherKey,
}

impl From<Stranger> for ProtectorError {
    fn from(stranger: Stranger) -> Self {
        let detail = match stranger {
            Stranger::Open => "it speaks in clear, so it is of no private network",
            Stranger::Mirror => "it sends back this node's own nonce",
            Stranger::OtherKey => "what it sends is not encrypted with a key of this node",
        };
        Self::new(ProtectorErrorKind::WrongNetwork, detail)
    }
}

/// The error of a read or a write of a stream whose peer is a stranger.
impl From<Stranger> for io::Error {
    fn from(stranger: Stranger) -> Self {
        Self::new(io::ErrorKind::InvalidData, ProtectorError::from(stranger))
    }
}
