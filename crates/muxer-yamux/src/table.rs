//! The streams of a connection, as its frames are read and written.
//!
//! The `yamux` crate keeps a table of its own that nothing else can look into. A [`Table`] never holds fewer
//! streams than that one: a stream is entered before the crate learns of it, and leaves only after the crate has
//! let go of it. So its length bounds the crate's, and a stream that it does not know is one that is over.

use crate::config::INITIAL_WINDOW;
use futures::task::AtomicWaker;
use skep_api::Code;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

/// How many streams are remembered as reset, so that data still on the way is not answered with a second reset.
const REMEMBERED_RESETS: usize = 64;

/// What is known of one stream beside what the `yamux` crate knows.
#[derive(Debug)]
pub(crate) struct Record {
    /// The crate has taken in the peer's end of file, with all data before it.
    pub(crate) fin_seen: AtomicBool,
    /// The peer's reset.
    pub(crate) reset_by_peer: OnceLock<Code>,
    /// Our reset: the stream was reset, or dropped before it was finished.
    pub(crate) reset_by_us: OnceLock<Code>,
    /// Nobody wants what the peer sends.
    pub(crate) stopped: AtomicBool,
    /// Data frames that came since the reader had last read everything.
    pub(crate) unread: AtomicU32,
    /// Bytes that were thrown away and not yet given back to the peer as credit.
    pub(crate) discarded: AtomicU32,
    /// Bytes that the peer may still send, as far as we have heard it.
    pub(crate) window: AtomicU32,
    /// The peer has been told of the stream.
    pub(crate) announced: AtomicBool,
    /// Our end of file is on the wire.
    pub(crate) fin_sent: AtomicBool,
    /// Our reset is on the wire.
    pub(crate) reset_sent: AtomicBool,
    /// Waits for the fate of the reading side.
    pub(crate) reader: AtomicWaker,
    /// Waits for the fate of the writing side.
    pub(crate) writer: AtomicWaker,
}

/// The streams of a connection.
#[derive(Debug)]
pub(crate) struct Table {
    inner: Mutex<Inner>,
    max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    streams: HashMap<u32, Arc<Record>>,
    /// Streams that the application let go of, which the crate may not have noticed.
    dropped: Vec<u32>,
    recently_reset: VecDeque<u32>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            fin_seen: AtomicBool::default(),
            reset_by_peer: OnceLock::new(),
            reset_by_us: OnceLock::new(),
            stopped: AtomicBool::default(),
            unread: AtomicU32::default(),
            discarded: AtomicU32::default(),
            window: AtomicU32::new(INITIAL_WINDOW),
            announced: AtomicBool::default(),
            fin_sent: AtomicBool::default(),
            reset_sent: AtomicBool::default(),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
        }
    }
}

impl Record {
    /// The peer has used so much of its window. Only the driver's task changes the window.
    pub(crate) fn use_window(&self, bytes: u32) {
        let left = self.window.load(Ordering::Relaxed).saturating_sub(bytes);
        self.window.store(left, Ordering::Relaxed);
    }

    /// The peer is given so much more.
    pub(crate) fn widen_window(&self, bytes: u32) {
        let left = self.window.load(Ordering::Relaxed).saturating_add(bytes);
        self.window.store(left, Ordering::Relaxed);
    }

    pub(crate) fn wake(&self) {
        self.reader.wake();
        self.writer.wake();
    }

    /// The peer reset the stream.
    pub(crate) fn reset_by_peer(&self, code: Code) {
        let _ = self.reset_by_peer.set(code);
        self.wake();
    }

    /// The peer's end of file is where the reader will come across it.
    pub(crate) fn finish_by_peer(&self) {
        self.fin_seen.store(true, Ordering::Release);
        self.reader.wake();
    }

    /// Whether the peer has to be told of a reset that the crate did not send.
    fn owes_reset(&self) -> bool {
        let ended = self.fin_sent.load(Ordering::Acquire) && self.fin_seen.load(Ordering::Acquire);
        !ended
            && self.announced.load(Ordering::Acquire)
            && !self.reset_sent.load(Ordering::Acquire)
            && self.reset_by_peer.get().is_none()
    }
}

impl Table {
    pub(crate) fn new(max: usize) -> Self {
        Self { inner: Mutex::default(), max }
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }

    pub(crate) fn get(&self, id: u32) -> Option<Arc<Record>> {
        self.lock().streams.get(&id).cloned()
    }

    /// Enters a stream, unless there are too many.
    pub(crate) fn insert(&self, id: u32, record: Record) -> Option<Arc<Record>> {
        let mut inner = self.lock();
        if inner.streams.len() >= self.max {
            return None;
        }
        let record = Arc::new(record);
        inner.streams.insert(id, Arc::clone(&record));
        Some(record)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.lock().streams.len() >= self.max
    }

    /// Runs `drop_stream`, which makes the crate let go of the stream, and notes that it will.
    ///
    /// Both happen under the lock: the driver is woken by the drop, and then finds the note.
    pub(crate) fn release(&self, id: u32, drop_stream: impl FnOnce()) {
        let mut inner = self.lock();
        drop_stream();
        inner.dropped.push(id);
    }

    /// Moves the notes of [`Table::release`] to `into`.
    pub(crate) fn take_dropped(&self, into: &mut Vec<u32>) {
        into.append(&mut self.lock().dropped);
    }

    /// Removes streams that the crate has let go of; returns those whose reset the peer has to be told of.
    pub(crate) fn remove(&self, ids: &mut Vec<u32>) -> Vec<(u32, Code)> {
        let mut inner = self.lock();
        let mut owed = Vec::new();
        for id in ids.drain(..) {
            let Some(record) = inner.streams.remove(&id) else { continue };
            // A peer without a window sends nothing that could be answered, and would wait for ever.
            let is_stuck = record.window.load(Ordering::Relaxed) == 0;
            let code = record.reset_by_us.get().copied().or(is_stuck.then_some(Code::DROPPED));
            if let Some(code) = code
                && record.owes_reset()
            {
                inner.remember_reset(id);
                owed.push((id, code));
            }
        }
        owed
    }

    /// Notes that a reset of the stream is sent; false if one was sent not long ago.
    pub(crate) fn remember_reset(&self, id: u32) -> bool {
        self.lock().remember_reset(id)
    }

    /// Every stream, in the order of their ids, so that what is done to all of them is done in the same order again.
    pub(crate) fn all(&self) -> Vec<Arc<Record>> {
        let mut streams: Vec<_> =
            self.lock().streams.iter().map(|(id, record)| (*id, record.clone())).collect();
        streams.sort_unstable_by_key(|(id, _)| *id);
        streams.into_iter().map(|(_, record)| record).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code that can panic runs under the lock, and a half-done change would be harmless.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn remember_reset(&mut self, id: u32) -> bool {
        if self.recently_reset.contains(&id) {
            return false;
        }
        if self.recently_reset.len() >= REMEMBERED_RESETS {
            self.recently_reset.pop_front();
        }
        self.recently_reset.push_back(id);
        true
    }
}
