//! What can be wrong with the bytes of a peer, and how it becomes an error of the contract.

use skep_api::security::{SecurityError, SecurityErrorKind};
use std::io;

/// What ended an established stream. It is the source of the [`io::Error`] that reads and writes return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame is not what the peer sealed, or not the next one: it was changed, replayed, reordered or dropped.
    #[error("a noise frame could not be authenticated (frame {frame} of this direction)")]
    Decrypt {
        /// How many frames came before it.
        frame: u64,
    },
    /// A frame is too short to hold its authentication tag.
    #[error("a noise frame of {len} bytes has no room for its authentication tag")]
    TooShort {
        /// The length that it announces.
        len: usize,
    },
    /// The stream below ended within a frame.
    #[error("the stream ended within a noise frame, {have} bytes into it")]
    Truncated {
        /// Bytes of the frame that arrived, its length prefix included.
        have: usize,
    },
    /// All nonces of a direction are used up.
    #[error("the nonces of this noise session are used up: connect again")]
    Exhausted,
    /// The cryptographic library refused to seal a frame.
    #[error("a noise frame could not be sealed")]
    Seal,
}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        let kind = match error {
            FrameError::Decrypt { .. } | FrameError::TooShort { .. } => io::ErrorKind::InvalidData,
            FrameError::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            FrameError::Exhausted | FrameError::Seal => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// An error of `snow` in message `number` of the handshake.
pub(crate) fn noise_error(number: u8, error: snow::Error) -> SecurityError {
    let (kind, detail) = match error {
        snow::Error::Decrypt => (SecurityErrorKind::Decrypt, format!("handshake message {number}")),
        snow::Error::Dh => (
            SecurityErrorKind::Malformed,
            format!("handshake message {number} leads to a key that is all zeros"),
        ),
        snow::Error::Input => {
            (SecurityErrorKind::Malformed, format!("handshake message {number} is too short"))
        }
        _ => (SecurityErrorKind::Internal, format!("handshake message {number}")),
    };
    SecurityError::new(kind, detail).with_source(error)
}
