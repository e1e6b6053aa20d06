//! Rates: a bucket of points for everyone who asks, and room for so many buckets.
//!
//! A bucket starts full; each use takes a point, and points come back at an even pace. Buckets are kept by whatever
//! tells those who ask apart, and where that is up to a remote there could be any number of it. So the bucket that has
//! not been asked for longest makes room for a new one. A refusal counts as having been asked: who keeps on trying keeps
//! the bucket that refuses.
//!
//! Forgetting a bucket that is full again loses nothing. One that is not would be an amnesty: with more names than there
//! is room for, somebody could use all points under each in turn, and find them all back when the turn comes again. So
//! as long as the bucket that has to go may lack points, new ones start with a single point instead of a full bucket.
//! To push out a bucket then takes a use under as many other names as there is room for, and gains one point.

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use lru::LruCache;
use std::{fmt, hash::Hash, num::NonZeroU32, time::Duration};
use tokio::time::Instant;

/// How fast, and how many at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(Quota);

/// Buckets, those last asked kept longest.
pub(crate) struct Buckets<K> {
    rate: Rate,
    clock: NodeClock,
    places: LruCache<K, Bucket>,
}

/// Somebody who is too fast: all points of the bucket are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooFast {
    /// The size of the bucket.
    pub(crate) burst: u32,
    /// Until the next point is there.
    pub(crate) retry_after: Duration,
}

struct Bucket {
    limiter: RateLimiter<NotKeyed, InMemoryState, NodeClock, NoOpMiddleware<Duration>>,
    /// When a point was last taken, on the clock of all buckets.
    taken: Duration,
}

/// `tokio::time`, so that tests can pause it.
#[derive(Clone, Copy, Debug)]
struct NodeClock(Instant);

impl Clock for NodeClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Rate {
    /// So many in a second, up to `burst` of them at once; `None` for 0, which is no limit. A burst of 0 is one of 1.
    pub(crate) fn new(per_second: u32, burst: u32) -> Option<Self> {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        NonZeroU32::new(per_second).map(|rate| Self(Quota::per_second(rate).allow_burst(burst)))
    }

    /// The size of a bucket.
    pub(crate) fn burst(self) -> u32 {
        self.0.burst_size().get()
    }
}

impl<K: Hash + Eq> Buckets<K> {
    /// Buckets that fill at this rate.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, clock: NodeClock(Instant::now()), places: LruCache::unbounded() }
    }

    /// The rate at which they fill.
    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes a point from a bucket, of which at most `most` are kept, but one at least.
    pub(crate) fn take(&mut self, key: K, most: usize) -> Result<(), TooFast> {
        let now = self.clock.now();
        let (rate, clock) = (self.rate, self.clock);
        let crowded = self.places.len() >= most && self.oldest_may_lack_points(now);
        let bucket = self.places.get_or_insert_mut(key, || Bucket::new(rate, clock, now, crowded));
        let taken = bucket.take(rate, now);
        while self.places.len() > most.max(1) {
            self.places.pop_lru();
        }
        taken
    }

    fn oldest_may_lack_points(&self, now: Duration) -> bool {
        let full_after = self.rate.0.burst_size_replenished_in();
        self.places.peek_lru().is_some_and(|(_, bucket)| now.saturating_sub(bucket.taken) < full_after)
    }

    /// How many buckets are kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}

impl Bucket {
    fn new(rate: Rate, clock: NodeClock, now: Duration, crowded: bool) -> Self {
        let limiter = RateLimiter::direct_with_clock(rate.0, clock);
        if let Some(all_but_one) = NonZeroU32::new(rate.burst().saturating_sub(1)).filter(|_| crowded) {
            // The bucket is full and larger than that, so it cannot fail.
            drop(limiter.check_n(all_but_one));
        }
        Self { limiter, taken: now }
    }

    fn take(&mut self, rate: Rate, now: Duration) -> Result<(), TooFast> {
        let too_fast = |retry_after| TooFast { burst: rate.burst(), retry_after };
        self.limiter.check().map_err(|until| too_fast(until.wait_time_from(now)))?;
        self.taken = now;
        Ok(())
    }
}

impl<K> fmt::Debug for Buckets<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets").field("rate", &self.rate).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
