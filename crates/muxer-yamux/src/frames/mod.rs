//! A thin adapter between the `yamux` crate and the secured stream below.
//!
//! It reads the header of each frame in both directions and lets the bodies pass, without copying them: what
//! arrives goes straight into the crate's buffer, what leaves straight to the layer below. With that it does what
//! the crate has no way to do:
//!
//! * [`inbound`] cuts frames that are too large for the crate into smaller ones;
//! * [`rules`] refuses frames that break the protocol, and notes resets, ends and the peer's close with their
//!   codes;
//! * [`outbound`] gives resets their code, and sends those that the crate leaves out;
//! * this file bounds how long a peer may leave data unread, closes in order, and flushes once for all frames
//!   that are ready instead of once for each.

pub(crate) mod header;
mod inbound;
mod outbound;
mod rules;
#[cfg(test)]
mod tests;

use self::{header::Header, inbound::Inbound, outbound::Outbound};
use crate::{shared::Shared, stall::Stall};
use futures::{
    io::{AsyncRead, AsyncWrite},
    ready,
};
use skep_api::BoxIo;
use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    time::{Sleep, sleep},
};

pub(crate) use outbound::wire_code;

/// How many flushes of the crate may be put off while there is more to do.
const MAX_DEFERRED: u32 = 32;

/// How long the filter waits, after its farewell, for the peer to close its side. Closing earlier could make the
/// operating system throw away what the peer has not read yet.
const LINGER: Duration = Duration::from_secs(1);

/// The stream that the `yamux` crate reads and writes.
pub(crate) struct FrameFilter {
    io: BoxIo,
    shared: Arc<Shared>,
    inbound: Inbound,
    outbound: Outbound,
    stall: Stall,
    deferred: u32,
    farewell: Farewell,
    /// Writing failed. What the peer sent before is still read.
    write_error: Option<io::Error>,
    /// The peer does not read.
    stalled: bool,
}

/// How far the close has come.
#[derive(Debug)]
enum Farewell {
    NotYet,
    /// All frames of the streams are written if this poll brings no more.
    Quiet,
    /// The GoAway frame is on its way.
    Said,
    /// The writing side is closed.
    Lingering(Pin<Box<Sleep>>),
}

impl FrameFilter {
    pub(crate) fn new(io: BoxIo, shared: Arc<Shared>, write_timeout: Duration) -> Self {
        Self {
            io,
            shared,
            inbound: Inbound::new(),
            outbound: Outbound::new(),
            stall: Stall::new(write_timeout),
            deferred: 0,
            farewell: Farewell::NotYet,
            write_error: None,
            stalled: false,
        }
    }

    /// Takes bytes of the crate, and finds out if one of its frames is a refusal.
    fn poll_take(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.write_error.is_some() {
            return Poll::Ready(Ok(buf.len()));
        }
        let taken = self.outbound.poll_write(cx, &mut self.io, &self.shared, buf);
        if self.outbound.take_refusal() {
            // It reads nothing between the frame that it refuses and the refusal.
            self.shared.violate(rules::explain(self.inbound.last()));
            self.inbound.refuse();
        }
        taken
    }

    /// Hands all down and flushes the layer below.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.outbound.closed || self.write_error.is_some() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.outbound.poll_drain(cx, &mut self.io))?;
        if self.outbound.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.outbound.unflushed = false;
        }
        self.deferred = 0;
        Poll::Ready(Ok(()))
    }

    /// Keeps the account of a write or flush: a failure is put off, a wait is timed.
    fn settle<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
        after_failure: T,
    ) -> Poll<io::Result<T>> {
        let nothing_waits = self.outbound.is_idle() && !self.outbound.unflushed;
        if self.outbound.take_progress() || nothing_waits {
            self.stall.progress();
        }
        match result {
            Poll::Ready(Ok(value)) => Poll::Ready(Ok(value)),
            Poll::Ready(Err(e)) => {
                self.write_error = Some(e);
                // The failure comes to light once there is nothing left to read.
                cx.waker().wake_by_ref();
                Poll::Ready(Ok(after_failure))
            }
            Poll::Pending => {
                ready!(self.stall.poll(cx));
                self.stalled = true;
                Poll::Ready(Err(self.stall_error()))
            }
        }
    }

    fn stall_error(&self) -> io::Error {
        let seconds = self.stall.timeout().as_secs();
        io::Error::new(io::ErrorKind::TimedOut, format!("the peer has not read for {seconds}s"))
    }

    fn post_all(&mut self) {
        for header in self.shared.take_posted() {
            self.outbound.inject(header);
        }
    }

    /// Closes in order: all that streams have written, GoAway with the code, end of file; then waits for the
    /// peer to do the same. Ready when there is nothing left to do.
    fn poll_farewell(&mut self, cx: &mut Context<'_>, code: u32) -> Poll<io::Result<()>> {
        loop {
            match &mut self.farewell {
                Farewell::NotYet | Farewell::Quiet if self.shared.write_waits.load(Ordering::Acquire) => {
                    return Poll::Pending;
                }
                Farewell::NotYet => {
                    // The crate reads only when its streams have nothing to write. It can take a breath in
                    // between, so it is asked twice.
                    self.farewell = Farewell::Quiet;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Farewell::Quiet => {
                    self.outbound.inject(Header::go_away(code));
                    self.farewell = Farewell::Said;
                }
                Farewell::Said => {
                    let sent = self.poll_send(cx);
                    ready!(self.settle(cx, sent, ()))?;
                    if self.outbound.is_idle() && self.write_error.is_none() {
                        let closed = Pin::new(&mut self.io).poll_shutdown(cx);
                        ready!(self.settle(cx, closed, ()))?;
                    }
                    self.outbound.closed = true;
                    self.farewell = Farewell::Lingering(Box::pin(sleep(LINGER)));
                }
                Farewell::Lingering(timer) => {
                    if timer.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Ok(()));
                    }
                    return poll_discard(cx, &mut self.io);
                }
            }
        }
    }
}

impl AsyncRead for FrameFilter {
    /// The crate calls this when it has nothing to write, so this is also where flushing and closing happen.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.stalled {
            return Poll::Ready(Err(this.stall_error()));
        }
        if let Some(code) = this.shared.farewell()
            && this.poll_farewell(cx, code)?.is_ready()
        {
            return Poll::Ready(Ok(0));
        }
        if matches!(this.farewell, Farewell::Lingering(_)) {
            return Poll::Pending;
        }
        loop {
            let read = this.inbound.poll(cx, &mut this.io, &this.shared, &mut this.outbound, buf);
            if read.is_ready() {
                return read;
            }
            if let Some(e) = this.write_error.take() {
                return Poll::Ready(Err(e));
            }
            let held_up = !this.outbound.has_room();
            let sent = this.poll_send(cx);
            ready!(this.settle(cx, sent, ()))?;
            if !(held_up && this.outbound.has_room()) {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for FrameFilter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.stalled {
            return Poll::Ready(Err(this.stall_error()));
        }
        if matches!(this.farewell, Farewell::Quiet) {
            this.farewell = Farewell::NotYet;
        }
        let taken = this.poll_take(cx, buf);
        let taken = this.settle(cx, taken, buf.len());
        this.shared.write_waits.store(taken.is_pending(), Ordering::Release);
        taken
    }

    /// The crate flushes after every frame. It goes on to read when nothing is left to write, and
    /// [`FrameFilter::poll_read`] flushes then.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.stalled {
            return Poll::Ready(Err(this.stall_error()));
        }
        this.post_all();
        this.deferred = this.deferred.saturating_add(1);
        if this.deferred < MAX_DEFERRED {
            return Poll::Ready(Ok(()));
        }
        let sent = this.poll_send(cx);
        this.settle(cx, sent, ())
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

impl fmt::Debug for FrameFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameFilter").field("farewell", &self.farewell).finish_non_exhaustive()
    }
}

/// Throws away what arrives. Ready at the end of it.
fn poll_discard(cx: &mut Context<'_>, io: &mut BoxIo) -> Poll<io::Result<()>> {
    let mut bytes = [0; 4096];
    loop {
        let mut buf = ReadBuf::new(&mut bytes);
        match ready!(Pin::new(&mut *io).poll_read(cx, &mut buf)) {
            Ok(()) if !buf.filled().is_empty() => {}
            Ok(()) | Err(_) => return Poll::Ready(Ok(())),
        }
    }
}
