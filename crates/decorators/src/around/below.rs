//! What lies under a tap: the byte stream of a connection, or one of its streams.

use crate::injected::{INJECTED, Injected};
use skep_api::{BoxIo, Side, muxer::MuxedStream, stream::StreamError};
use std::{fmt::Debug, io};
use tokio::io::{AsyncRead, AsyncWrite};

/// What lies under a tap.
pub(super) trait Below: AsyncRead + AsyncWrite + Debug + Send + Unpin + 'static {
    /// Ends both directions at once.
    fn cut(&mut self);

    /// The error of a stream that was cut.
    fn cut_error(why: &Injected) -> io::Error;

    /// Whether reading has ended by something else than what the peer said on the stream.
    fn is_over(error: &io::Error) -> bool;
}

impl Below for BoxIo {
    fn cut(&mut self) {
        // What is below sees the drop; nothing is read from what is in its place.
        *self = Box::new(tokio::io::empty());
    }

    fn cut_error(why: &Injected) -> io::Error {
        io::Error::new(io::ErrorKind::ConnectionReset, why.clone())
    }

    fn is_over(_: &io::Error) -> bool {
        // Of a whole link nothing is heard any more; the layers above have deadlines for that.
        false
    }
}

impl Below for Box<dyn MuxedStream> {
    fn cut(&mut self) {
        self.reset(INJECTED);
    }

    fn cut_error(_: &Injected) -> io::Error {
        StreamError::Reset { by: Side::Local, code: INJECTED }.into()
    }

    fn is_over(error: &io::Error) -> bool {
        let error = StreamError::of(error);
        matches!(error, Some(StreamError::ConnectionLost(_) | StreamError::Reset { by: Side::Local, .. }))
    }
}
