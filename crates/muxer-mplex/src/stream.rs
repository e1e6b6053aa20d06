//! The handle of one stream.

use crate::state::State;
use skep_api::{Code, muxer::MuxedStream, stream::StreamError};
use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream of a [`crate::conn::MplexConn`]. Dropping it unfinished resets it.
pub(crate) struct MplexStream {
    state: Arc<State>,
    /// How reading was told to have ended. It stays so, whatever comes after.
    read_end: Option<Result<(), StreamError>>,
}

impl MplexStream {
    pub(crate) fn new(state: Arc<State>) -> Self {
        Self { state, read_end: None }
    }
}

impl AsyncRead for MplexStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = &this.read_end {
            return Poll::Ready(end.clone().map_err(Into::into));
        }
        let before = buf.filled().len();
        let read = ready!(this.state.poll_read(cx, buf));
        match &read {
            Ok(()) if buf.filled().len() > before => {}
            Ok(()) => this.read_end = Some(Ok(())),
            Err(e) => this.read_end = StreamError::of(e).cloned().map(Err),
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for MplexStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.state.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.state.finish().map_err(Into::into))
    }
}

impl MuxedStream for MplexStream {
    /// The number on the wire twice, and one more if the peer opened the stream: both ends give the same numbers.
    fn id(&self) -> u64 {
        self.state.key.id()
    }

    fn reset(&mut self, code: Code) {
        self.state.reset(code);
    }

    fn stop_reading(&mut self, code: Code) {
        if self.read_end.is_none() {
            self.state.stop_reading(code);
        }
    }
}

impl Drop for MplexStream {
    fn drop(&mut self) {
        self.state.release();
    }
}

impl fmt::Debug for MplexStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MplexStream").field("key", &self.state.key).finish_non_exhaustive()
    }
}
