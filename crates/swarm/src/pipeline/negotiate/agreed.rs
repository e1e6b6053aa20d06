//! A byte stream on which a protocol was agreed, or is about to be.

use super::unhurried::{Reading, Unhurried};
use multistream_select::Negotiated;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

/// The stream of `multistream-select`, whose reads do not wait for flushes.
#[derive(Debug)]
pub(crate) struct Agreed<T> {
    io: Compat<Negotiated<Compat<Unhurried<T>>>>,
    reading: Reading,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Agreed<T> {
    pub(super) fn new(io: Negotiated<Compat<Unhurried<T>>>, reading: Reading) -> Self {
        Self { io: io.compat(), reading }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Agreed<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { io, reading } = self.get_mut();
        reading.during(|| Pin::new(io).poll_read(cx, buf))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Agreed<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
