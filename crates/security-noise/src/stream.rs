//! An established session as a byte stream.

use crate::{
    buffer::Pool,
    cipher::{MAX_FRAME_LEN, SessionKeys},
    incoming::Incoming,
    outgoing::Outgoing,
};
use skep_api::BoxIo;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Sealed bytes from which on a write sends them without waiting for a flush: one full frame.
const SEND_FROM: usize = MAX_FRAME_LEN;

/// Encrypts what is written and decrypts what is read.
///
/// Small writes gather in one frame until a flush, or until the frame is full. A stream that nothing moves
/// through holds no buffer.
#[derive(Debug)]
pub(crate) struct NoiseStream {
    io: BoxIo,
    incoming: Incoming,
    outgoing: Outgoing,
    handshake: LastMessage,
}

/// What became of the handshake's last message, when this side is the one to send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastMessage {
    /// It waits to go along with the first data.
    Held,
    /// It waits, and a reader has waited for one turn already.
    Due,
    /// It is sent, or a writer came that sends it.
    Settled,
}

impl NoiseStream {
    /// Continues where the handshake ended. `unsent` is its last message, if that was not sent yet; `surplus` is
    /// what arrived behind it.
    pub(crate) fn new(io: BoxIo, keys: SessionKeys, pool: &Arc<Pool>, unsent: &[u8], surplus: &[u8]) -> Self {
        Self {
            io,
            incoming: Incoming::new(keys.opener, Arc::clone(pool), surplus),
            outgoing: Outgoing::new(keys.sealer, Arc::clone(pool), unsent),
            handshake: if unsent.is_empty() { LastMessage::Settled } else { LastMessage::Held },
        }
    }

    /// Sends the handshake's last message for a reader that waits before anything was written: the peer says
    /// nothing until it has that message. The task gets one more turn before, for data that the message can go
    /// along with. Once a writer came it is the writer's business, whose waker must not be replaced.
    fn poll_send_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.handshake {
            LastMessage::Settled => return Poll::Ready(Ok(())),
            LastMessage::Held => {
                self.handshake = LastMessage::Due;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            LastMessage::Due => {}
        }
        ready!(self.outgoing.poll_send(&mut self.io, cx))?;
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.outgoing.release();
        self.handshake = LastMessage::Settled;
        Poll::Ready(Ok(()))
    }

    /// Appends as much as there is room for, after making room if there is none.
    fn poll_append<'a>(
        &mut self,
        cx: &mut Context<'_>,
        slices: impl Iterator<Item = &'a [u8]>,
    ) -> Poll<io::Result<usize>> {
        self.handshake = LastMessage::Settled;
        if !self.outgoing.has_room() {
            ready!(self.outgoing.poll_send(&mut self.io, cx))?;
        }
        let mut total = 0;
        for slice in slices {
            let taken = self.outgoing.append(slice)?;
            total += taken;
            if taken < slice.len() {
                break;
            }
        }
        if self.outgoing.ready_len() >= SEND_FROM {
            // Pending is no concern of this write, which has taken bytes; the next one that finds no room waits.
            if let Poll::Ready(Err(error)) = self.outgoing.poll_send(&mut self.io, cx) {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(total))
    }
}

impl AsyncRead for NoiseStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = this.incoming.poll_read(&mut this.io, cx, out);
        if read.is_pending()
            && let Poll::Ready(Err(error)) = this.poll_send_handshake(cx)
        {
            return Poll::Ready(Err(error));
        }
        read
    }
}

impl AsyncWrite for NoiseStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_append(cx, std::iter::once(data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_append(cx, slices.iter().map(|slice| &**slice))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.handshake = LastMessage::Settled;
        this.outgoing.seal()?;
        ready!(this.outgoing.poll_send(&mut this.io, cx))?;
        this.outgoing.release();
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
