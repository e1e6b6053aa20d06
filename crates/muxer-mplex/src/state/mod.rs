//! The state of one stream, between its handle, which the application has, and the driver.
//!
//! The `libp2p-mplex` crate takes a reset for the end of file, forgets unread data when the connection ends, and counts
//! frames where memory is what matters. So the driver takes data out of the crate at once, and it waits here.
//!
//! Each of the modules has what one party does: [`handle`], the [`driver`], and the layer [`below`] the crate.

mod below;
mod driver;
mod handle;

use crate::{link::Key, shared::Shared};
use skep_api::{Code, Side, stream::StreamError};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    task::Waker,
};
use tokio::io::ReadBuf;

/// An empty buffer keeps no more than this.
const KEPT: usize = 4096;

/// One stream.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) key: Key,
    shared: Arc<Shared>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// What has arrived and is not read.
    unread: VecDeque<u8>,
    /// Bytes that were let through to the crate and are not in `unread` yet.
    passed: usize,
    /// The connection waits until half of what is unread has been read.
    holds: bool,
    /// The peer's end of file, and its reset, are on their way through the crate.
    fin_seen: bool,
    reset_seen: bool,
    /// How reading ends after what is unread.
    read_end: Option<Result<(), StreamError>>,
    stopped: Option<Code>,
    reader: Option<Waker>,
    /// What was written and is not handed down.
    unsent: VecDeque<u8>,
    /// How many of them a flush still waits for.
    to_flush: Option<usize>,
    finished: bool,
    writer: Option<Waker>,
    /// The reset, of either end.
    torn: Option<StreamError>,
    /// This end reset the stream, or dropped it unfinished.
    aborted: bool,
    /// The application has let go of the stream.
    released: bool,
    /// The driver has a note of it.
    noted: bool,
}

/// What becomes of data that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Pass,
    /// Nobody wants it.
    Discard,
    /// There is no room for it yet.
    Hold,
    /// The peer had finished before.
    AfterEnd,
}

/// What the driver has to do for a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Duties {
    /// There is data to send.
    pub(crate) send: bool,
    /// After all data the end of file is to be sent.
    pub(crate) finish: bool,
    /// Nobody holds the stream any more, or it was reset by this end.
    pub(crate) let_go: bool,
}

/// What passes through the crate for a stream, when all data before it has been taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Bytes,
    End,
    Nothing,
}

impl State {
    pub(crate) fn new(key: Key, shared: Arc<Shared>) -> Self {
        shared.live.fetch_add(1, Ordering::AcqRel);
        shared.live_outbound.fetch_add(usize::from(key.ours), Ordering::AcqRel);
        Self { key, shared, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code that can panic runs under the lock, and a half-done change would be harmless.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the driver look at the stream.
    fn note(&self, inner: &mut Inner) {
        if !std::mem::replace(&mut inner.noted, true) {
            self.shared.note(self.key);
        }
    }

    /// Whether neither side has anything left to do.
    fn is_over(&self, inner: &Inner) -> bool {
        inner.torn.is_some() || (inner.finished && inner.fin_seen) || self.shared.outcome().is_some()
    }

    fn lost(&self) -> Option<StreamError> {
        self.shared.outcome().cloned().map(StreamError::ConnectionLost)
    }

    fn abort(&self, inner: &mut Inner, code: Code) {
        inner.torn = Some(StreamError::Reset { by: Side::Local, code });
        inner.aborted = true;
        self.forget_unsent(inner);
        self.let_go(inner);
        inner.wake();
    }

    fn let_go(&self, inner: &mut Inner) {
        inner.forget_unread();
        if !std::mem::replace(&mut inner.released, true) {
            self.shared.live.fetch_sub(1, Ordering::AcqRel);
            self.shared.live_outbound.fetch_sub(usize::from(self.key.ours), Ordering::AcqRel);
            self.note(inner);
        }
    }

    fn forget_unsent(&self, inner: &mut Inner) {
        let unsent = std::mem::take(&mut inner.unsent);
        self.shared.note_taken(unsent.len());
    }
}

impl Inner {
    fn backlog(&self) -> usize {
        self.unread.len().saturating_add(self.passed)
    }

    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let len = buf.remaining().min(self.unread.len());
        let (front, back) = self.unread.as_slices();
        let front = front.get(..len.min(front.len())).unwrap_or_default();
        buf.put_slice(front);
        buf.put_slice(back.get(..len.saturating_sub(front.len())).unwrap_or_default());
        self.unread.drain(..len);
        shrink(&mut self.unread);
    }

    fn forget_unread(&mut self) {
        self.unread = VecDeque::new();
        self.holds = false;
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn wake(&mut self) {
        self.wake_reader();
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

/// Makes room for so many more bytes, never for more than `max` in all.
fn grow(buffer: &mut VecDeque<u8>, more: usize, max: usize) {
    let needed = buffer.len().saturating_add(more);
    if needed > buffer.capacity() {
        let wanted = buffer.capacity().saturating_mul(2).min(max).max(needed);
        buffer.reserve_exact(wanted.saturating_sub(buffer.len()));
    }
}

/// Gives memory back once it is not needed.
fn shrink(buffer: &mut VecDeque<u8>) {
    if buffer.is_empty() && buffer.capacity() > KEPT {
        *buffer = VecDeque::new();
    }
}
