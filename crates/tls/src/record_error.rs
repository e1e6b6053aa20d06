//! What can end an established stream.

use rustls::AlertDescription;
use std::io;

/// What ended an established stream. It is the source of the [`io::Error`] that reads and writes return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A record is not what the peer sealed, or not the next one: it was changed, replayed, reordered or dropped.
    #[error("a TLS record could not be authenticated (record {record} under its key)")]
    Decrypt {
        /// How many records came before it under the same key.
        record: u64,
    },
    /// A record is too short to hold its authentication tag.
    #[error("a TLS record of {len} bytes has no room for its authentication tag")]
    TooShort {
        /// The length that it announces.
        len: usize,
    },
    /// A record is longer than TLS allows.
    #[error("a TLS record of {len} bytes is longer than TLS allows")]
    TooLong {
        /// The length that it announces, or of its content.
        len: usize,
    },
    /// A record is of a kind that has no place here.
    #[error("a TLS record of type {content_type} has no place here")]
    UnexpectedRecord {
        /// The type, as in RFC 8446, section 5.1.
        content_type: u8,
    },
    /// A handshake message is of a kind that has no place after the handshake.
    #[error("a handshake message of type {message_type} has no place after the handshake")]
    UnexpectedMessage {
        /// The type, as in RFC 8446, section 4.
        message_type: u8,
    },
    /// A handshake message or an alert is not well formed.
    #[error("a TLS message after the handshake is not well formed")]
    BadMessage,
    /// The peer changes its keys again and again, and sends no data.
    #[error("the peer changed its keys {count} times without sending any data")]
    KeyUpdates {
        /// How many times.
        count: u32,
    },
    /// The stream below ended, and the peer had not said that it would.
    #[error("the connection ended without notice, {have} bytes into a TLS record: it was cut")]
    Truncated {
        /// Bytes of a record that arrived, its header included.
        have: usize,
    },
    /// The peer ended the connection.
    #[error("the peer ended the connection with the TLS alert {}", alert_name(*.description))]
    Alert {
        /// The alert, as in RFC 8446, section 6.
        description: u8,
    },
    /// The cryptographic library refused to seal a record, or to make new keys.
    #[error("a TLS record could not be sealed, or its key not be made")]
    Seal,
    /// This side had closed its direction already.
    #[error("the stream was written to after it had been shut down")]
    Closed,
}

fn alert_name(description: u8) -> String {
    format!("{:?}", AlertDescription::from(description))
}

impl RecordError {
    /// What the peer is told: nothing, if it is gone or has said so itself.
    pub(crate) fn alert(self) -> Option<AlertDescription> {
        match self {
            Self::Decrypt { .. } | Self::TooShort { .. } => Some(AlertDescription::BadRecordMac),
            Self::TooLong { .. } => Some(AlertDescription::RecordOverflow),
            Self::UnexpectedRecord { .. } | Self::UnexpectedMessage { .. } | Self::KeyUpdates { .. } => {
                Some(AlertDescription::UnexpectedMessage)
            }
            Self::BadMessage => Some(AlertDescription::DecodeError),
            Self::Seal => Some(AlertDescription::InternalError),
            Self::Truncated { .. } | Self::Alert { .. } | Self::Closed => None,
        }
    }
}

impl From<RecordError> for io::Error {
    fn from(error: RecordError) -> Self {
        let kind = match error {
            RecordError::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            RecordError::Alert { .. } => io::ErrorKind::ConnectionAborted,
            RecordError::Closed => io::ErrorKind::BrokenPipe,
            RecordError::Seal => io::ErrorKind::Other,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
