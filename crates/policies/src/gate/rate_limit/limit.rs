//! One limit: its rule, its rate, and the buckets of those it is about.

use super::StreamRate;
use crate::limiter::{Buckets, Rate};
use skep_api::{PeerId, gate::Denial, rate::RateLimitError};
use std::{
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

const TABLE: &str = "gate.rate_limit";

/// A limit; one without buckets limits nothing.
pub(super) struct Limit<K> {
    /// As the configuration has it, such as `inbound_per_host = 5`.
    rule: String,
    /// The path of its key.
    key: String,
    most: usize,
    /// Shared with the gate that takes the place of this one.
    buckets: Option<Arc<Mutex<Buckets<K>>>>,
}

impl Limit<PeerId> {
    /// That of the streams of one protocol.
    pub(super) fn of_protocol(protocol: &str, rate: StreamRate, most: u32) -> Self {
        let limit = Self::new("protocols", rate.streams, rate.burst, most);
        let rule = format!("protocols = {protocol}: {}", rate.streams);
        Self { rule, key: format!("{TABLE}.protocols.\"{protocol}\".streams"), ..limit }
    }
}

impl<K: Hash + Eq> Limit<K> {
    /// The limit of a key, with at most so many buckets; 0 a second is none.
    pub(super) fn new(key: &str, per_second: u32, burst: u32, most: u32) -> Self {
        let rate = Rate::new(per_second, burst);
        Self {
            rule: format!("{key} = {per_second}"),
            key: format!("{TABLE}.{key}"),
            most: usize::try_from(most).unwrap_or(usize::MAX),
            buckets: rate.map(|rate| Arc::new(Mutex::new(Buckets::new(rate)))),
        }
    }

    /// The same with the buckets of another one, if their rate is the same.
    pub(super) fn after(mut self, before: Option<&Self>) -> Self {
        let theirs = before.and_then(|before| before.buckets.as_ref());
        if let (Some(ours), Some(theirs)) = (&mut self.buckets, theirs)
            && rate(ours) == rate(theirs)
        {
            *ours = Arc::clone(theirs);
        }
        self
    }

    /// Takes a point from a bucket. The key and the scope are made only when there is a use for them.
    pub(super) fn take(
        &self,
        bucket: impl FnOnce() -> K,
        scope: impl FnOnce() -> String,
    ) -> Result<(), Denial> {
        let Some(buckets) = &self.buckets else { return Ok(()) };
        let taken = buckets.lock().unwrap_or_else(PoisonError::into_inner).take(bucket(), self.most);
        taken.map_err(|too_fast| {
            let error = RateLimitError::new(scope(), &*self.key, too_fast.burst, too_fast.retry_after);
            Denial::too_fast(&*self.rule, error)
        })
    }

    /// How many buckets there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let buckets = self.buckets.as_ref();
        buckets.map_or(0, |buckets| buckets.lock().unwrap_or_else(PoisonError::into_inner).len())
    }
}

fn rate<K: Hash + Eq>(buckets: &Mutex<Buckets<K>>) -> Rate {
    buckets.lock().unwrap_or_else(PoisonError::into_inner).rate()
}

impl<K> fmt::Debug for Limit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Limit({})", self.rule)
    }
}
