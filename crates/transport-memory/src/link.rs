//! One end of a link.

use crate::{news::End, pipe::Pipe, timer::Timer};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One end of a link. Shutting it down ends the outbound direction in order; dropping it ends both.
#[derive(Debug)]
pub(crate) struct MemoryLink {
    outbound: Arc<Pipe>,
    inbound: Arc<Pipe>,
    /// One for each side, which may be in tasks of their own.
    reads: Timer,
    writes: Timer,
}

impl MemoryLink {
    /// The two ends of a new link: that which writes `there` and reads `back`, and the other.
    pub(crate) fn pair(there: Arc<Pipe>, back: Arc<Pipe>) -> (Self, Self) {
        let near = Self::new(Arc::clone(&there), Arc::clone(&back));
        (near, Self::new(back, there))
    }

    fn new(outbound: Arc<Pipe>, inbound: Arc<Pipe>) -> Self {
        Self { outbound, inbound, reads: Timer::default(), writes: Timer::default() }
    }
}

impl AsyncRead for MemoryLink {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.inbound.poll_read(cx, &mut this.reads, buf)
    }
}

impl AsyncWrite for MemoryLink {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.outbound.poll_write(cx, &mut this.writes, data)
    }

    /// All that was written is on its way already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbound.end(End::Finished);
        Poll::Ready(Ok(()))
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        let news = self.outbound.news();
        self.outbound.end(End::Reset);
        self.inbound.abandon(news);
    }
}
