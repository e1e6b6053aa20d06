//! The state of one stream, between its handle, which the application has, and the driver.
//!
//! The `libp2p-mplex` crate takes a reset for the end of file, forgets unread data when the connection ends, and counts
//! frames where memory is what matters. So the driver takes data out of the crate at once, and it waits here.

use crate::{link::Key, shared::Shared};
use skep_api::{Code, Side, stream::StreamError};
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    task::{Context, Poll, Waker},
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
}

/// For the handle.
impl State {
    /// Reads what is there. The end comes again and again only if the caller remembers it.
    pub(crate) fn poll_read(&self, cx: &Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        if let Some(error @ StreamError::Reset { by: Side::Local, .. }) = &inner.torn {
            return Poll::Ready(Err(error.clone().into()));
        }
        if let Some(code) = inner.stopped {
            return Poll::Ready(Err(StreamError::Reset { by: Side::Local, code }.into()));
        }
        if !inner.unread.is_empty() {
            inner.give(buf);
            let half = self.shared.limits.max_buffer / 2;
            if inner.holds && inner.backlog() <= half {
                inner.holds = false;
                self.shared.wake_driver();
            }
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = &inner.read_end {
            return Poll::Ready(end.clone().map_err(Into::into));
        }
        if let Some(error) = self.lost() {
            return Poll::Ready(Err(error.into()));
        }
        inner.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn poll_write(&self, cx: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.lock();
        if inner.finished {
            return Poll::Ready(Err(StreamError::Finished.into()));
        }
        if let Some(error) = inner.torn.clone().or_else(|| self.lost()) {
            return Poll::Ready(Err(error.into()));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = self.shared.limits.max_unsent.saturating_sub(inner.unsent.len());
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        if taken.is_empty() {
            inner.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        grow(&mut inner.unsent, taken.len(), self.shared.limits.max_unsent);
        inner.unsent.extend(taken);
        self.shared.note_given(taken.len());
        self.note(&mut inner);
        Poll::Ready(Ok(taken.len()))
    }

    /// Waits until the driver has handed down what was written; it flushes whatever it hands down.
    pub(crate) fn poll_flush(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        if let Some(error) = inner.torn.clone() {
            return Poll::Ready(Err(error.into()));
        }
        if inner.unsent.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = self.lost() {
            return Poll::Ready(Err(error.into()));
        }
        inner.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Finishes the sending side. The driver sends what is left, then the end of file.
    pub(crate) fn finish(&self) -> Result<(), StreamError> {
        let mut inner = self.lock();
        if inner.finished {
            return Ok(());
        }
        if let Some(error) = inner.torn.clone().or_else(|| self.lost()) {
            return Err(error);
        }
        inner.finished = true;
        self.note(&mut inner);
        Ok(())
    }

    pub(crate) fn reset(&self, code: Code) {
        let mut inner = self.lock();
        if !self.is_over(&inner) {
            self.abort(&mut inner, code);
        }
    }

    pub(crate) fn stop_reading(&self, code: Code) {
        let mut inner = self.lock();
        if inner.stopped.is_none() && inner.torn.is_none() {
            inner.stopped = Some(code);
            inner.forget_unread();
            self.shared.wake_driver();
        }
    }

    /// The application drops the stream.
    pub(crate) fn release(&self) {
        let mut inner = self.lock();
        if !inner.finished && !self.is_over(&inner) {
            self.abort(&mut inner, Code::DROPPED);
        }
        self.let_go(&mut inner);
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
            self.note(inner);
        }
    }

    fn forget_unsent(&self, inner: &mut Inner) {
        let unsent = std::mem::take(&mut inner.unsent);
        self.shared.note_taken(unsent.len());
    }
}

/// For the layer below the crate.
impl State {
    /// Data of this length wants to pass.
    pub(crate) fn admit(&self, len: usize) -> Admission {
        let mut inner = self.lock();
        if inner.reset_seen || inner.released || inner.stopped.is_some() {
            return Admission::Discard;
        }
        if inner.fin_seen {
            return Admission::AfterEnd;
        }
        let backlog = inner.backlog();
        let is_full = backlog.saturating_add(len) > self.shared.limits.max_buffer;
        if inner.holds || is_full {
            inner.holds = true;
            return Admission::Hold;
        }
        inner.passed = inner.passed.saturating_add(len);
        Admission::Pass
    }

    /// The peer's end of file has come. False if the stream had ended before.
    pub(crate) fn see_fin(&self) -> bool {
        let mut inner = self.lock();
        !inner.reset_seen && !std::mem::replace(&mut inner.fin_seen, true)
    }

    /// The peer's reset has come. False if it had come before.
    pub(crate) fn see_reset(&self) -> bool {
        !std::mem::replace(&mut self.lock().reset_seen, true)
    }

    /// Whether an end that the crate sends is to be a reset.
    pub(crate) fn is_aborted(&self) -> bool {
        self.lock().aborted
    }

    /// Whether the peer has reset the stream.
    pub(crate) fn is_reset_by_peer(&self) -> bool {
        self.lock().reset_seen
    }
}

/// For the driver.
impl State {
    pub(crate) fn due(&self) -> Due {
        let inner = self.lock();
        if inner.passed > 0 {
            return Due::Bytes;
        }
        let told = inner.read_end.is_some();
        let reset_told = inner.torn.is_some();
        match (inner.fin_seen && !told) || (inner.reset_seen && !reset_told) {
            true => Due::End,
            false => Due::Nothing,
        }
    }

    /// Bytes have come out of the crate.
    pub(crate) fn arrive(&self, bytes: &[u8]) {
        let mut inner = self.lock();
        inner.passed = inner.passed.saturating_sub(bytes.len());
        if inner.released || inner.stopped.is_some() {
            return;
        }
        grow(&mut inner.unread, bytes.len(), self.shared.limits.max_buffer);
        inner.unread.extend(bytes);
        inner.wake_reader();
    }

    /// The crate has nothing more of the stream: what was seen of its end is told now.
    pub(crate) fn end_reading(&self) {
        let mut inner = self.lock();
        if inner.fin_seen && inner.read_end.is_none() {
            inner.read_end = Some(Ok(()));
        }
        if inner.reset_seen {
            let error = StreamError::Reset { by: Side::Remote, code: Code::UNKNOWN };
            if inner.read_end.is_none() {
                // What is in flight when a stream is reset is dropped (mplex specification, "Resetting a stream").
                inner.unread = VecDeque::new();
                inner.read_end = Some(Err(error.clone()));
            }
            if inner.torn.is_none() {
                inner.torn = Some(error);
            }
            self.forget_unsent(&mut inner);
        }
        inner.wake();
    }

    /// The reader is too slow: the stream is given up, so that the others can go on.
    pub(crate) fn give_up(&self) {
        let mut inner = self.lock();
        if inner.holds {
            self.abort(&mut inner, Code::RESOURCE_LIMIT);
        }
    }

    /// Whether the connection still waits for the stream's reader.
    pub(crate) fn holds(&self) -> bool {
        self.lock().holds
    }

    /// What is to be done. Whatever is noted from now on comes with a note.
    pub(crate) fn duties(&self) -> Duties {
        let mut inner = self.lock();
        inner.noted = false;
        let send = !inner.unsent.is_empty();
        let finish = inner.finished && inner.torn.is_none();
        Duties { send, finish, let_go: inner.released }
    }

    /// Copies the next bytes to send.
    pub(crate) fn peek_unsent(&self, most: usize, into: &mut Vec<u8>) {
        into.clear();
        into.extend(self.lock().unsent.iter().take(most));
    }

    /// The crate has taken bytes.
    pub(crate) fn sent(&self, bytes: usize) {
        let mut inner = self.lock();
        let bytes = bytes.min(inner.unsent.len());
        inner.unsent.drain(..bytes);
        shrink(&mut inner.unsent);
        if let Some(writer) = inner.writer.take() {
            writer.wake();
        }
    }

    /// Whether the peer waits to hear that the stream is reset, once the crate has said all that it says.
    pub(crate) fn owes_reset(&self, fin_sent: bool, reset_sent: bool) -> bool {
        let inner = self.lock();
        let ended = fin_sent && inner.fin_seen;
        inner.aborted && !reset_sent && !inner.reset_seen && !ended
    }

    /// The connection has ended or is about to.
    pub(crate) fn wake(&self) {
        self.lock().wake();
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
