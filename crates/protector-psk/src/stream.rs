//! A protected link as a byte stream.

use crate::{incoming::Incoming, outgoing::Outgoing};
use skep_api::BoxIo;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Encrypts what is written and decrypts what is read.
pub(crate) struct PskStream {
    io: BoxIo,
    incoming: Incoming,
    outgoing: Outgoing,
    nonce: OwnNonce,
}

/// What became of this side's nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnNonce {
    /// It waits to go along with the first data.
    Held,
    /// It waits, and a reader has waited for one turn already.
    Due,
    /// It is sent, or a writer came that sends it.
    Settled,
}

impl PskStream {
    /// The stream of a dialler, which has said nothing yet.
    pub(crate) fn dialer(io: BoxIo, incoming: Incoming, outgoing: Outgoing) -> Self {
        Self { io, incoming, outgoing, nonce: OwnNonce::Held }
    }

    /// The stream of a listener, whose nonce is sent.
    pub(crate) fn listener(io: BoxIo, incoming: Incoming, outgoing: Outgoing) -> Self {
        Self { io, incoming, outgoing, nonce: OwnNonce::Settled }
    }

    /// Sends the nonce for a reader that waits before anything was written: some peers say nothing until they have
    /// it. The task gets one more turn before, for data that the nonce can go along with. Once a writer came it is
    /// the writer's business, whose waker must not be replaced.
    fn poll_send_nonce(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.nonce {
            OwnNonce::Settled => return Poll::Ready(Ok(())),
            OwnNonce::Held => {
                self.nonce = OwnNonce::Due;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            OwnNonce::Due => {}
        }
        ready!(self.outgoing.poll_flush(&mut self.io, cx))?;
        self.nonce = OwnNonce::Settled;
        Poll::Ready(Ok(()))
    }

    /// A stranger gets nothing more, once it is known.
    fn begin_writing(&mut self) -> io::Result<()> {
        self.nonce = OwnNonce::Settled;
        self.incoming.check()
    }
}

impl AsyncRead for PskStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let read = this.incoming.poll_read(&mut this.io, cx, out);
        if read.is_pending()
            && this.incoming.is_opening()
            && let Poll::Ready(Err(error)) = this.poll_send_nonce(cx)
        {
            return Poll::Ready(Err(error));
        }
        read
    }
}

impl AsyncWrite for PskStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.begin_writing()?;
        this.outgoing.poll_write(&mut this.io, cx, std::iter::once(data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.begin_writing()?;
        this.outgoing.poll_write(&mut this.io, cx, slices.iter().map(|slice| &**slice))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.begin_writing()?;
        this.outgoing.poll_flush(&mut this.io, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // To a stranger the end may go all the same.
        if this.begin_writing().is_ok() {
            ready!(this.outgoing.poll_flush(&mut this.io, cx))?;
        }
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
