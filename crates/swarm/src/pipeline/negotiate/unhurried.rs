//! Reading the answer to a lazy proposal without waiting for all that is written meanwhile.
//!
//! `multistream-select` flushes before it reads the answer, and reads nothing while that takes. On a stream that is
//! written without pause a flush may never end, and if the peer reads no further before its own data is taken, neither end
//! goes on.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Says to the stream below that a read is under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading(Arc<AtomicBool>);

impl Reading {
    /// Reads, while flushes begin and are not waited for.
    pub(super) fn during<R>(&self, read: impl FnOnce() -> R) -> R {
        self.0.store(true, Ordering::Relaxed);
        let result = read();
        self.0.store(false, Ordering::Relaxed);
        result
    }
}

/// A stream whose flushes are not waited for by a read.
///
/// What it has of the proposal goes on its way with the next write or flush from above: whoever reads an answer has
/// written, and a muxer flushes what it has written.
#[derive(Debug)]
pub(crate) struct Unhurried<T> {
    io: T,
    reading: Reading,
}

impl<T> Unhurried<T> {
    pub(super) fn new(io: T) -> (Self, Reading) {
        let reading = Reading::default();
        (Self { io, reading: reading.clone() }, reading)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Unhurried<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Unhurried<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        if flushed.is_pending() && self.reading.0.load(Ordering::Relaxed) {
            Poll::Ready(Ok(()))
        } else {
            flushed
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::super::negotiate;
    use skep_api::security::Role;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter, duplex};
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_read_though_a_flush_does_not_end() {
        let (near, mut far) = duplex(64);
        let held = BufWriter::with_capacity(64, near);
        let (_, mut io) = negotiate(held, Role::Dialer, ["/only/1"]).await.unwrap();
        // The peer reads nothing before its own data is taken.
        let answer = b"\x13/multistream/1.0.0\n\x08/only/1\n!";
        far.write_all(answer).await.unwrap();
        let mut wrote = 0;
        let full = async {
            loop {
                wrote += io.write(b"0123456789").await.unwrap();
            }
        };
        tokio::select! {
            biased;
            () = full => {}
            () = std::future::ready(()) => {}
        }
        assert!(wrote > 0);
        let answer = timeout(Duration::from_secs(1), io.read_u8()).await;
        assert_eq!(answer.expect("the read waits for the flush").unwrap(), b'!');
        // A flush that is asked for is waited for.
        let flush = async {
            let _ = io.flush().await;
        };
        tokio::select! {
            biased;
            () = flush => panic!("nobody has read"),
            () = std::future::ready(()) => {}
        }
    }
}
