//! A muxed stream in two hands: the negotiation layer's, which moves its bytes, and the application's, which resets it.

use skep_api::muxer::MuxedStream;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A muxed stream that the negotiation layer reads and writes while the application can still reset it: the
/// negotiation layer does not give its inner stream back. The lock is never contended.
#[derive(Clone, Debug)]
pub(crate) struct Muxed(Arc<Mutex<Box<dyn MuxedStream>>>);

impl Muxed {
    pub(crate) fn new(stream: Box<dyn MuxedStream>) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, Box<dyn MuxedStream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Muxed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut **self.lock()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Muxed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut **self.lock()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.lock()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.lock()).poll_shutdown(cx)
    }
}
