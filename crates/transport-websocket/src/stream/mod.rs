//! A byte stream over WebSocket.
//!
//! Frames are taken apart as they arrive and never held: whatever length a frame or message says, what waits in memory
//! is bounded by the two buffers here. That is why the stream does its own framing, where the library that reads the
//! headers would collect whole messages.

mod inbound;
mod outbound;
mod wakers;

use crate::{
    error::ClosedByPeer,
    frame::{CloseReason, Role},
};
use inbound::{Inbound, Step};
use outbound::Outbound;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wakers::Wakers;

/// Frames without a byte for the reader that one poll takes before it lets others run.
const FRAMES_PER_POLL: u32 = 256;

/// A byte stream in the binary frames of a WebSocket connection.
///
/// * Reading ends with the peer's close frame. A connection that ends without one is
///   [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), and a frame against the rules is
///   [`InvalidData`](io::ErrorKind::InvalidData) with the [`Violation`](crate::Violation) as its source.
/// * Small writes are gathered until a flush or until a frame is full, so that a flush sends one frame if it can.
/// * `poll_shutdown` sends the close frame; what the peer sends until it answers can still be read. A peer that gets
///   the frame writes no more, so this is no half-close.
/// * Pings are answered, the latest one if there are several, by whichever side is polled.
pub(crate) struct WsStream<S> {
    io: S,
    inbound: Inbound,
    outbound: Outbound,
    wakers: Wakers,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WsStream<S> {
    /// A stream over a connection after its upgrade; `received` is what came behind that.
    pub(crate) fn new(io: S, role: Role, received: Vec<u8>) -> Self {
        Self {
            io,
            inbound: Inbound::new(role, received),
            outbound: Outbound::new(role),
            wakers: Wakers::default(),
        }
    }

    /// Sends what is due to the peer for what it sent. While that waits, so does nothing else.
    fn answer(&mut self, cx: &Context<'_>) {
        if self.outbound.has_answer() {
            self.wakers.set_reader(cx.waker());
            // A connection that cannot be written to shows that to whoever writes.
            let _ = self.outbound.poll_flush(&mut self.io, &mut self.wakers.context());
        }
    }

    fn writing(&mut self, cx: &Context<'_>) -> (&mut Outbound, &mut S, Context<'_>) {
        self.wakers.set_writer(cx.waker());
        (&mut self.outbound, &mut self.io, self.wakers.context())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WsStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.answer(cx);
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        for _ in 0..FRAMES_PER_POLL {
            let step = match ready!(this.inbound.poll_step(&mut this.io, cx, out)) {
                Ok(step) => step,
                Err(inbound::Failure::Io(error)) => {
                    // The peer may skip its close frame once it has ours.
                    let is_end = error.kind() == io::ErrorKind::UnexpectedEof && this.outbound.is_closed();
                    return Poll::Ready(if is_end { Ok(()) } else { Err(error) });
                }
                Err(inbound::Failure::Violation(violation)) => {
                    this.outbound.close(violation.close_code());
                    this.answer(cx);
                    return Poll::Ready(Err(violation.into()));
                }
            };
            match step {
                Step::Data | Step::End => return Poll::Ready(Ok(())),
                Step::Nothing => {}
                Step::Ping(payload) => {
                    this.outbound.pong(payload);
                    this.answer(cx);
                }
                Step::Close(reason) => {
                    this.outbound.close(reason.code.unwrap_or(CloseReason::NORMAL));
                    this.answer(cx);
                    return Poll::Ready(ended(reason));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What a peer's close frame is to the reader.
fn ended(reason: CloseReason) -> io::Result<()> {
    match reason {
        CloseReason { code: Some(code), text } if !CloseReason::is_orderly(code) => {
            Err(io::Error::new(io::ErrorKind::ConnectionAborted, ClosedByPeer { code, text }))
        }
        _ => Ok(()),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let (outbound, io, mut cx) = self.get_mut().writing(cx);
        outbound.poll_write(io, &mut cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let (outbound, io, mut cx) = self.get_mut().writing(cx);
        outbound.poll_write(io, &mut cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (outbound, io, mut cx) = self.get_mut().writing(cx);
        outbound.poll_flush(io, &mut cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (outbound, io, mut cx) = self.get_mut().writing(cx);
        outbound.close(CloseReason::NORMAL);
        outbound.poll_flush(io, &mut cx)
    }
}

#[cfg(test)]
mod tests;
