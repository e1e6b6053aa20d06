//! What the handle, the streams and the driver of one connection share.

use crate::link::Key;
use futures::task::AtomicWaker;
use skep_api::{CloseReason, Code};
use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
};
use tokio_util::sync::CancellationToken;

/// Bounds of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Streams that the peer opened, and streams of ours: neither end can take the places of the other.
    pub(crate) max_inbound: usize,
    pub(crate) max_outbound: usize,
    /// Bytes of a stream that have arrived and are not read.
    pub(crate) max_buffer: usize,
    /// Bytes of a stream that are written and not handed down.
    pub(crate) max_unsent: usize,
    pub(crate) frame_size: usize,
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    /// Streams that the application or the accept queue holds.
    pub(crate) live: AtomicUsize,
    /// Those of them that this end opened.
    pub(crate) live_outbound: AtomicUsize,
    /// Bytes that streams were given to send so far, and those of them that nobody waits for any more.
    given: AtomicU64,
    taken: AtomicU64,
    /// Why the connection ends; set when it begins to end.
    outcome: OnceLock<CloseReason>,
    /// The code that the application closed with.
    close_asked: OnceLock<Code>,
    /// Streams that the driver has to look at. Each is in it once at most.
    notes: Mutex<Vec<Key>>,
    driver: AtomicWaker,
    /// Fires when the driver has ended.
    pub(crate) ended: CancellationToken,
}

impl Shared {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            live: AtomicUsize::new(0),
            live_outbound: AtomicUsize::new(0),
            given: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            outcome: OnceLock::new(),
            close_asked: OnceLock::new(),
            notes: Mutex::default(),
            driver: AtomicWaker::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Why the connection ended or is about to.
    pub(crate) fn outcome(&self) -> Option<&CloseReason> {
        self.outcome.get()
    }

    /// Ends the connection. The first reason stands, and is returned.
    pub(crate) fn end(&self, reason: CloseReason) -> CloseReason {
        self.outcome.get_or_init(|| reason).clone()
    }

    /// Asks the driver to close the connection. The first code stands.
    pub(crate) fn ask_close(&self, code: Code) {
        let _ = self.close_asked.set(code);
        self.wake_driver();
    }

    pub(crate) fn close_asked(&self) -> Option<Code> {
        self.close_asked.get().copied()
    }

    pub(crate) fn register_driver(&self, waker: &Waker) {
        self.driver.register(waker);
    }

    pub(crate) fn wake_driver(&self) {
        self.driver.wake();
    }

    /// Has the driver look at a stream.
    pub(crate) fn note(&self, key: Key) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(key);
        self.wake_driver();
    }

    /// Takes the notes.
    pub(crate) fn take_notes(&self) -> Vec<Key> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A stream was given bytes to send.
    pub(crate) fn note_given(&self, bytes: usize) {
        self.given.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The link has taken bytes of a stream, or they are thrown away.
    pub(crate) fn note_taken(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes of streams that wait for the link. Nothing waits when the connection has ended.
    pub(crate) fn unsent(&self) -> u64 {
        if self.ended.is_cancelled() {
            return 0;
        }
        self.given.load(Ordering::Relaxed).saturating_sub(self.taken.load(Ordering::Relaxed))
    }
}
