//! What the handle, the streams, the driver and the frame filter of one connection share.

use crate::{frames::header::Header, signs::Signs, table::Table};
use futures::task::AtomicWaker;
use skep_api::{CloseReason, Code, security::Role};
use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
};
use tokio_util::sync::CancellationToken;

/// Openings that may be refused in a row. A peer that was busy slows down when it is reset; one that goes on floods.
pub(crate) const MAX_REFUSED: u32 = 4096;

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) role: Role,
    pub(crate) table: Table,
    pub(crate) signs: Signs,
    /// Streams that the application or the accept queue holds.
    pub(crate) live: AtomicUsize,
    /// Bytes that streams were given to send so far, and those of them that the layer below has taken.
    given: AtomicU64,
    taken: AtomicU64,
    /// Openings refused since the last one that was taken.
    refused: AtomicU32,
    /// Why the connection ends; set when it begins to end.
    outcome: OnceLock<Ending>,
    /// The code that the application closed with.
    close_asked: OnceLock<Code>,
    /// The code of the peer's GoAway frame.
    pub(crate) go_away: OnceLock<u32>,
    /// How the peer broke the protocol.
    violation: OnceLock<String>,
    /// The crate holds a frame that it could not write.
    pub(crate) write_waits: AtomicBool,
    /// Frames to send that the crate has no word for. Bounded by the number of streams, and one ping.
    outbox: Mutex<Vec<Header>>,
    outbox_full: AtomicBool,
    driver: AtomicWaker,
    /// Fires when the driver has ended.
    pub(crate) ended: CancellationToken,
}

/// How a connection ends.
#[derive(Clone, Debug)]
struct Ending {
    reason: CloseReason,
    /// What the peer is told in a GoAway frame, if anything.
    farewell: Option<u32>,
}

impl Shared {
    pub(crate) fn new(role: Role, max_streams: usize) -> Self {
        Self {
            role,
            table: Table::new(max_streams),
            signs: Signs::new(),
            live: AtomicUsize::new(0),
            given: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            refused: AtomicU32::new(0),
            outcome: OnceLock::new(),
            close_asked: OnceLock::new(),
            go_away: OnceLock::new(),
            violation: OnceLock::new(),
            write_waits: AtomicBool::new(false),
            outbox: Mutex::default(),
            outbox_full: AtomicBool::new(false),
            driver: AtomicWaker::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Why the connection ended or is about to.
    pub(crate) fn outcome(&self) -> Option<&CloseReason> {
        self.outcome.get().map(|ending| &ending.reason)
    }

    /// The code to say farewell with, once the connection ends in order.
    pub(crate) fn farewell(&self) -> Option<u32> {
        self.outcome.get().and_then(|ending| ending.farewell)
    }

    /// Ends the connection for its streams. The first reason stands, and is returned.
    pub(crate) fn end(&self, reason: CloseReason, farewell: Option<u32>) -> CloseReason {
        let ending = self.outcome.get_or_init(|| Ending { reason, farewell });
        for record in self.table.all() {
            record.wake();
        }
        ending.reason.clone()
    }

    /// Asks the driver to close the connection.
    pub(crate) fn ask_close(&self, code: Code) {
        let _ = self.close_asked.set(code);
        self.wake_driver();
    }

    pub(crate) fn wake_driver(&self) {
        self.driver.wake();
    }

    pub(crate) fn close_asked(&self) -> Option<Code> {
        self.close_asked.get().copied()
    }

    pub(crate) fn register_driver(&self, waker: &Waker) {
        self.driver.register(waker);
    }

    /// Notes that the peer broke the protocol. The first note stands.
    pub(crate) fn violate(&self, what: String) {
        let _ = self.violation.set(what);
    }

    pub(crate) fn violation(&self) -> Option<&str> {
        self.violation.get().map(String::as_str)
    }

    /// Notes that the application's queue took a stream of the peer.
    pub(crate) fn opening_taken(&self) {
        self.refused.store(0, Ordering::Relaxed);
    }

    /// Notes that a stream of the peer was refused. Too many in a row break the protocol.
    pub(crate) fn opening_refused(&self) {
        if self.refused.fetch_add(1, Ordering::Relaxed) >= MAX_REFUSED {
            self.violate(format!("it opened {MAX_REFUSED} streams in a row that were refused"));
        }
    }

    /// A stream was given bytes to send.
    pub(crate) fn note_given(&self, bytes: usize) {
        self.given.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The layer below has taken bytes of a stream.
    pub(crate) fn note_taken(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes of streams that wait for the layer below. Nothing waits when the connection has ended.
    pub(crate) fn unsent(&self) -> u64 {
        if self.ended.is_cancelled() {
            return 0;
        }
        // What was taken may be counted before what was given is.
        self.given.load(Ordering::Relaxed).saturating_sub(self.taken.load(Ordering::Relaxed))
    }

    /// Hands a frame to the filter, which sends it at the next frame boundary.
    pub(crate) fn post(&self, header: Header) {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner).push(header);
        self.outbox_full.store(true, Ordering::Release);
    }

    /// Has the driver send a ping, unless one is on its way or the connection ends.
    pub(crate) fn probe(&self) {
        if self.outcome().is_none()
            && let Some(ping) = self.signs.ask()
        {
            self.post(ping);
            self.wake_driver();
        }
    }

    /// Takes what was posted.
    pub(crate) fn take_posted(&self) -> Vec<Header> {
        if !self.outbox_full.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *self.outbox.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
