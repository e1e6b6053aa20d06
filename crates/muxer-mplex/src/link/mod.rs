//! A layer between the `libp2p-mplex` crate and the secured stream below.
//!
//! It reads the header of each frame in both directions, and so knows what the crate hides:
//!
//! * [`inbound`] cuts large frames into pieces, and stops reading while a stream has no room;
//! * [`rules`] refuses frames that break the protocol, streams beyond the limits, and data that nobody wants; it notes
//!   ends and resets, which the crate reports alike;
//! * [`outbound`] makes a reset of the end that the crate sends for a stream which was dropped after the peer had
//!   finished, and sends the frames that the crate leaves out.
//!
//! The crate never learns that the connection has ended, for it would forget what is unread.

mod header;
mod inbound;
mod outbound;
mod rules;

pub(crate) use header::{Header, Key, Kind};

use crate::{accepted::Accepted, shared::Shared, state::State};
use futures::{
    io::{AsyncRead, AsyncWrite},
    ready,
};
use inbound::Inbound;
use outbound::Outbound;
use rules::Book;
use skep_api::{BoxIo, CloseReason, error::chain};
use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

/// The stream that the driver keeps for itself: the crate can only be flushed through one. The peer never hears of it.
pub(crate) const CONTROL: Key = Key { number: 0, ours: true };

/// The stream below, and what is known of the streams above.
pub(crate) struct Link {
    io: BoxIo,
    inbound: Inbound,
    outbound: Outbound,
    book: Book,
    /// Why nothing more can be read.
    end: Option<CloseReason>,
    /// Writing failed. What the peer sent before is still read.
    write_error: Option<io::Error>,
    /// Reading waits until answers have been sent.
    wants_room: bool,
}

/// The link as the crate reads and writes it.
pub(crate) struct Below(Arc<Mutex<Link>>);

impl Link {
    pub(crate) fn new(io: BoxIo, shared: Arc<Shared>, accepted: Arc<Accepted>) -> Self {
        Self {
            io,
            inbound: Inbound::new(),
            outbound: Outbound::new(),
            book: Book::new(shared, accepted),
            end: None,
            write_error: None,
            wants_room: false,
        }
    }

    /// The next stream that the peer opened and the crate has not given out yet.
    pub(crate) fn next_opened(&mut self) -> Option<Arc<State>> {
        let key = self.book.opened.pop_front()?;
        self.book.get(key)
    }

    /// Streams for which something has passed since this was last called.
    pub(crate) fn take_touched(&mut self, into: &mut Vec<Key>) {
        into.append(&mut self.book.touched);
    }

    /// Enters a stream of ours.
    pub(crate) fn enter(&mut self, key: Key) -> Arc<State> {
        self.book.enter(key)
    }

    /// Whether there is no room for a stream of ours.
    pub(crate) fn is_full(&self) -> bool {
        self.book.is_full(true)
    }

    pub(crate) fn knows(&self, key: Key) -> bool {
        self.book.get(key).is_some()
    }

    /// Every stream.
    pub(crate) fn states(&self) -> Vec<Arc<State>> {
        self.book.states()
    }

    /// Forgets streams that the crate has let go of, whose last frames are handed down.
    pub(crate) fn forget(&mut self, keys: impl Iterator<Item = Key>) {
        for key in keys {
            if self.book.remove(key) {
                self.outbound.inject(Header::new(Kind::Reset, key));
            }
        }
    }

    /// The stream whose reader everything waits for, and the number of the wait.
    pub(crate) fn held_by(&self) -> Option<(u64, Arc<State>)> {
        let (number, key) = self.inbound.hold()?;
        self.book.get(key).filter(|state| state.holds()).map(|state| (number, state))
    }

    /// Why nothing more can be read, if that is so.
    pub(crate) fn end(&self) -> Option<&CloseReason> {
        self.end.as_ref()
    }

    /// Ends reading. The first reason stands.
    pub(crate) fn end_with(&mut self, reason: CloseReason) {
        self.end.get_or_insert(reason);
    }

    /// Whether the link has taken bytes since the last call.
    pub(crate) fn take_progress(&mut self) -> bool {
        self.outbound.take_progress()
    }

    /// Whether reading waited for room that is there now.
    pub(crate) fn take_room(&mut self) -> bool {
        self.outbound.has_room() && std::mem::take(&mut self.wants_room)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.write_error.is_some()
    }

    /// Hands everything down and flushes the layer below. A failure shows in [`Link::end`].
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.write_error.is_some() {
            return Poll::Ready(());
        }
        let sent = self.outbound.poll_flush(cx, &mut self.io);
        self.settle(cx, sent, ())
    }

    /// Closes the writing side.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_send(cx));
        if self.write_error.is_some() {
            return Poll::Ready(());
        }
        let closed = Pin::new(&mut self.io).poll_shutdown(cx);
        self.settle(cx, closed, ())
    }

    /// Throws away what arrives, up to so many bytes. Ready at the end of it.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>, budget: &mut usize) -> Poll<()> {
        let mut bytes = [0; 4096];
        while *budget > 0 {
            let mut buf = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => *budget = budget.saturating_sub(buf.filled().len()),
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// Reads what the crate is to see. Never ready again once reading has ended.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<usize> {
        if self.end.is_some() {
            return Poll::Pending;
        }
        match self.inbound.poll(cx, &mut self.io, &mut self.book, &mut self.outbound, buf) {
            Poll::Ready(Ok(n)) => return Poll::Ready(n),
            Poll::Ready(Err(reason)) => self.end = Some(reason),
            Poll::Pending => {
                self.wants_room |= !self.outbound.has_room();
                if self.inbound.hold().is_none()
                    && let Some(e) = &self.write_error
                {
                    self.end = Some(CloseReason::Lost { what: chain(e) });
                }
            }
        }
        Poll::Pending
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<usize> {
        if self.write_error.is_some() {
            return Poll::Ready(buf.len());
        }
        let taken = self.outbound.poll_write(cx, &mut self.io, &mut self.book, buf);
        self.settle(cx, taken, buf.len())
    }

    /// Puts a failure off: it comes to light once there is nothing left to read.
    fn settle<T>(&mut self, cx: &Context<'_>, result: Poll<io::Result<T>>, after_failure: T) -> Poll<T> {
        match ready!(result) {
            Ok(value) => Poll::Ready(value),
            Err(e) => {
                self.write_error = Some(e);
                cx.waker().wake_by_ref();
                Poll::Ready(after_failure)
            }
        }
    }
}

impl Below {
    pub(crate) fn new(link: Arc<Mutex<Link>>) -> Self {
        Self(link)
    }
}

/// The link, which is never left half changed.
pub(crate) fn lock(link: &Mutex<Link>) -> MutexGuard<'_, Link> {
    link.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsyncRead for Below {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_read(cx, buf).map(Ok)
    }
}

impl AsyncWrite for Below {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_write(cx, buf).map(Ok)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).poll_send(cx).map(Ok)
    }

    /// The driver closes the link by itself.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("end", &self.end).finish_non_exhaustive()
    }
}
