//! How a stream can end, told apart.
//!
//! Reading and writing go through tokio's traits, whose error is `std::io::Error`; a [`StreamError`] rides in
//! it and [`StreamError::of`] takes it out again. The end of file is never an error.

use crate::codes::{CloseReason, Code, Side};
use std::io;

/// Why a read or a write on a stream failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The stream was reset.
    #[error("the stream was reset by {by} ({code})")]
    Reset {
        /// Who reset it.
        by: Side,
        /// The code given, [`Code::UNKNOWN`] where the muxer carries none.
        code: Code,
    },
    /// The peer asked for no more data.
    #[error("the peer stopped reading the stream ({code})")]
    Stopped {
        /// The code given.
        code: Code,
    },
    /// Writing after `finish`, or on a stream whose sending side has ended.
    #[error("the sending side of the stream is finished")]
    Finished,
    /// There was nothing to read, or no room to write, until the deadline. The stream goes on.
    #[error("the deadline of the stream has passed")]
    DeadlineExceeded,
    /// The connection under the stream ended.
    #[error("the connection under the stream ended: {0}")]
    ConnectionLost(CloseReason),
}

impl StreamError {
    /// The stream error inside an I/O error, if there is one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
        let kind = match &error {
            StreamError::Reset { .. } => io::ErrorKind::ConnectionReset,
            StreamError::Stopped { .. } | StreamError::Finished => io::ErrorKind::BrokenPipe,
            StreamError::DeadlineExceeded => io::ErrorKind::TimedOut,
            StreamError::ConnectionLost(_) => io::ErrorKind::ConnectionAborted,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_error_survives_the_way_through_io() {
        let error = StreamError::Reset { by: Side::Remote, code: Code(7) };
        let io: io::Error = error.clone().into();
        assert_eq!(io.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(StreamError::of(&io), Some(&error));
        assert_eq!(StreamError::of(&io::Error::from(io::ErrorKind::Other)), None);
    }
}
