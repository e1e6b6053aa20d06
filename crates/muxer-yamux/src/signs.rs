//! Signs of life of the peer: when something last came from it, and how long its answers to pings take.
//!
//! Two kinds of pings go out. The `yamux` crate sends one at the start and every ten seconds while data moves; those are
//! only watched. Those of [`Signs::ask`] have numbers that the crate never reaches, and the crate does not see the answers,
//! which it would take for a breach.

use crate::frames::header::Header;
use skep_api::muxer::Pulse;
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Marks the numbers of our own pings; the crate counts from zero.
const OWN: u32 = 1 << 31;

#[derive(Debug)]
pub(crate) struct Signs {
    begun: Instant,
    /// Something has come since the clock was last read.
    unread: AtomicBool,
    /// Microseconds from the beginning to when something had come.
    heard: AtomicU64,
    pings: Mutex<Pings>,
}

#[derive(Debug, Default)]
struct Pings {
    /// When the crate's ping left that is not answered yet. There is no more than one.
    watched: Option<Instant>,
    /// When our own left.
    own: Option<Instant>,
    /// The number of our last one.
    number: u32,
    latency: Option<Duration>,
}

impl Signs {
    /// The peer has just been heard: in its handshake.
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            unread: AtomicBool::new(false),
            heard: AtomicU64::new(0),
            pings: Mutex::default(),
        }
    }

    /// Something has come. Reads no clock, for this is said at every read.
    pub(crate) fn hear(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Reads the clock if something has come since this was last called.
    pub(crate) fn note_time(&self) {
        if self.unread.load(Ordering::Relaxed) {
            self.unread.store(false, Ordering::Relaxed);
            let micros = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.heard.store(micros, Ordering::Relaxed);
        }
    }

    pub(crate) fn pulse(&self) -> Pulse {
        let heard = Duration::from_micros(self.heard.load(Ordering::Relaxed));
        Pulse::new(self.begun.elapsed().saturating_sub(heard), self.pings().latency)
    }

    /// The ping to send, unless one is on its way.
    pub(crate) fn ask(&self) -> Option<Header> {
        let mut pings = self.pings();
        if pings.own.is_some() {
            return None;
        }
        pings.own = Some(Instant::now());
        pings.number = pings.number.wrapping_add(1) & !OWN;
        Some(Header::ping(OWN | pings.number))
    }

    /// The crate sends a ping.
    pub(crate) fn watch(&self) {
        self.pings().watched = Some(Instant::now());
    }

    /// The answer to a ping has come. True if the ping was ours, so that the crate knows nothing of it.
    pub(crate) fn answered(&self, number: u32) -> bool {
        let mut pings = self.pings();
        let ours = pings.own.is_some() && number == OWN | pings.number;
        let sent = if ours { pings.own.take() } else { pings.watched.take() };
        if let Some(sent) = sent {
            pings.latency = Some(sent.elapsed());
        }
        ours
    }

    fn pings(&self) -> MutexGuard<'_, Pings> {
        // No code that can panic runs under the lock.
        self.pings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn silence_lasts_from_the_last_reading_on() {
        let signs = Signs::new();
        tokio::time::advance(3 * SECOND).await;
        signs.note_time();
        assert_eq!(signs.pulse(), Pulse::new(3 * SECOND, None), "nothing has come");
        signs.hear();
        signs.note_time();
        assert_eq!(signs.pulse().silent, Duration::ZERO);
        tokio::time::advance(2 * SECOND).await;
        assert_eq!(signs.pulse().silent, 2 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn one_ping_of_ours_is_on_its_way_at_once() {
        let signs = Signs::new();
        let first = signs.ask().unwrap();
        assert!(signs.ask().is_none());
        tokio::time::advance(SECOND).await;
        assert!(!signs.answered(first.len ^ 1), "another number");
        assert!(signs.answered(first.len));
        assert_eq!(signs.pulse().latency, Some(SECOND));
        assert!(!signs.answered(first.len), "answered twice");
        assert_ne!(signs.ask().unwrap().len, first.len);
    }

    #[tokio::test(start_paused = true)]
    async fn pings_of_the_crate_are_watched() {
        let signs = Signs::new();
        signs.watch();
        tokio::time::advance(SECOND).await;
        assert!(!signs.answered(0));
        assert_eq!(signs.pulse().latency, Some(SECOND));
    }
}
