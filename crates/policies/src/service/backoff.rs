//! How long peers are left alone after failures, for the services that dial.

use lru::LruCache;
use skep_api::{PeerId, random::Random};
use std::{collections::HashSet, num::NonZeroUsize, time::Duration};
use tokio::time::Instant;

/// How long to wait after so many failures in a row: `first`, then `factor` times as long each time, up to `max`; varied
/// at random by up to the share `jitter` either way, so that nodes that failed together do not try together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// After the first failure.
    pub first: Duration,
    /// From one failure to the next, at least 1.
    pub factor: f64,
    /// The longest wait, before it is varied.
    pub max: Duration,
    /// From 0 to 1.
    pub jitter: f64,
}

impl Schedule {
    /// The wait after this many failures, not varied. None after none.
    #[must_use]
    pub fn base(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let grown = self.first.as_secs_f64() * self.factor.max(1.0).powf(f64::from(doublings));
        Duration::try_from_secs_f64(grown).unwrap_or(self.max).min(self.max)
    }

    /// The wait after this many failures.
    #[must_use]
    pub fn after(&self, failures: u32, random: &Random) -> Duration {
        let varied = 1.0 + self.jitter.clamp(0.0, 1.0) * (2.0 * random.unit() - 1.0);
        let base = self.base(failures);
        Duration::try_from_secs_f64(base.as_secs_f64() * varied).unwrap_or(base)
    }
}

/// A peer that is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cooldown {
    /// The peer.
    pub peer: PeerId,
    /// Failures in a row.
    pub failures: u32,
    /// The code of the last failure, or why the last dial was not tried.
    pub last: &'static str,
    /// How long it is still left alone; zero once that is over.
    pub left: Duration,
}

/// The peers that have failed, the longest untouched of which go first beyond a cap. It reads no clock.
#[derive(Clone, Debug)]
pub(super) struct Backoffs {
    schedule: Schedule,
    random: Random,
    peers: LruCache<PeerId, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    failures: u32,
    last: &'static str,
    /// Until when it is left alone because it failed.
    failed: Instant,
    /// Until when because nothing could be tried.
    paused: Instant,
}

impl Backoffs {
    /// An empty table for at least one peer.
    pub(super) fn new(schedule: Schedule, most: usize, random: Random) -> Self {
        let most = NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN);
        Self { schedule, random, peers: LruCache::new(most) }
    }

    /// Takes over what another table knows. Waits that have begun stay as they are.
    pub(super) fn take_over(&mut self, other: &Self) {
        for (peer, entry) in other.peers.iter().rev() {
            self.peers.put(*peer, *entry);
        }
    }

    /// A peer has failed once more, after `before` failures if that is more than is known. How long it is left alone.
    pub(super) fn fail(&mut self, peer: &PeerId, last: &'static str, before: u32, now: Instant) -> Duration {
        let entry = self.entry(peer, now);
        entry.failures = entry.failures.max(before).saturating_add(1);
        entry.last = last;
        let failures = entry.failures;
        let wait = self.schedule.after(failures, &self.random);
        self.entry(peer, now).failed = later(now, wait);
        wait
    }

    /// Nothing was tried: that is no failure, but the peer is left alone for a while.
    pub(super) fn pause(&mut self, peer: &PeerId, last: &'static str, wait: Duration, now: Instant) {
        let entry = self.entry(peer, now);
        (entry.last, entry.paused) = (last, entry.paused.max(later(now, wait)));
    }

    /// Ends a pause. Whether there was one.
    pub(super) fn resume(&mut self, peer: &PeerId, now: Instant) -> bool {
        let Some(entry) = self.peers.peek_mut(peer) else { return false };
        let paused = entry.paused > now;
        entry.paused = now;
        paused
    }

    /// Forgets the failures of a peer. Whether there were any, or a pause.
    pub(super) fn forget(&mut self, peer: &PeerId) -> bool {
        self.peers.pop(peer).is_some()
    }

    /// Forgets all but these.
    pub(super) fn keep(&mut self, wanted: &HashSet<PeerId>) {
        let gone: Vec<_> = self.peers.iter().map(|(peer, _)| *peer).filter(|p| !wanted.contains(p)).collect();
        for peer in &gone {
            self.peers.pop(peer);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.peers.clear();
    }

    /// Failures of a peer in a row.
    pub(super) fn failures(&self, peer: &PeerId) -> u32 {
        self.peers.peek(peer).map_or(0, |entry| entry.failures)
    }

    /// Until when a peer is left alone, if it still is.
    pub(super) fn until(&self, peer: &PeerId, now: Instant) -> Option<Instant> {
        self.peers.peek(peer).map(Entry::until).filter(|until| *until > now)
    }

    /// What is known of a peer.
    pub(super) fn of(&self, peer: &PeerId, now: Instant) -> Option<Cooldown> {
        self.peers.peek(peer).map(|entry| entry.shown(*peer, now))
    }

    /// The peers that are left alone, the last touched first.
    pub(super) fn list(&self, now: Instant) -> impl Iterator<Item = Cooldown> {
        let shown = self.peers.iter().map(move |(peer, entry)| entry.shown(*peer, now));
        shown.filter(|cooldown| !cooldown.left.is_zero())
    }

    fn entry(&mut self, peer: &PeerId, now: Instant) -> &mut Entry {
        let new = || Entry { failures: 0, last: "", failed: now, paused: now };
        self.peers.get_or_insert_mut(*peer, new)
    }
}

impl Entry {
    fn until(&self) -> Instant {
        self.failed.max(self.paused)
    }

    fn shown(&self, peer: PeerId, now: Instant) -> Cooldown {
        let left = self.until().saturating_duration_since(now);
        Cooldown { peer, failures: self.failures, last: self.last, left }
    }
}

fn later(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or(now)
}

/// Cooldowns as a report shows them: so many, and how many there are beside them.
pub(super) fn shown(
    cooldowns: impl Iterator<Item = Cooldown>,
    most: usize,
) -> (Vec<serde_json::Value>, usize) {
    let mut all = cooldowns;
    let first = all.by_ref().take(most).map(|cooldown| {
        serde_json::json!({
            "peer_id": cooldown.peer.to_string(),
            "failures": cooldown.failures,
            "last": cooldown.last,
            "seconds_left": seconds(cooldown.left),
        })
    });
    (first.collect(), all.count())
}

/// To the millisecond.
pub(super) fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests;
