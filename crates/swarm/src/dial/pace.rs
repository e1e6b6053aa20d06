//! So many a second, by the node's clock.

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use std::{num::NonZeroU32, time::Duration};
use tokio::time::Instant;

/// Lets so many pass in a second, in bursts of as many.
#[derive(Debug)]
pub(super) struct Pace(RateLimiter<NotKeyed, InMemoryState, NodeClock, NoOpMiddleware<Duration>>);

/// `tokio::time`, so that tests can pause it.
#[derive(Clone, Copy, Debug)]
struct NodeClock(Instant);

impl Clock for NodeClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Pace {
    pub(super) fn new(per_second: u32) -> Self {
        let quota = Quota::per_second(NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN));
        Self(RateLimiter::direct_with_clock(quota, NodeClock(Instant::now())))
    }

    /// Lets one pass, or says how long it has to wait.
    pub(super) fn check(&self) -> Result<(), Duration> {
        // The clock of tokio counts milliseconds: a shorter wait would come too early.
        self.0.check().map_err(|not_yet| {
            let wait = not_yet.wait_time_from(self.0.clock().now());
            wait.max(Duration::from_millis(1))
        })
    }
}
