//! What failed a short while ago is left alone for a while: addresses, and peers of which all addresses failed.
//!
//! Both tables are keyed by what others control, so both are bounded: the longest unseen entries go first.

use lru::LruCache;
use skep_api::{Multiaddr, PeerId};
use std::{
    hash::{BuildHasher, RandomState},
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

use super::later;

/// How long addresses are left alone: `min(base + step · failures², max)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Curve {
    pub(crate) base: Duration,
    pub(crate) step: Duration,
    pub(crate) max: Duration,
}

impl Curve {
    fn after(&self, failures: u32) -> Duration {
        let square = failures.saturating_mul(failures);
        self.base.saturating_add(self.step.saturating_mul(square)).min(self.max)
    }
}

/// An address of a peer, the peer unknown where it was dialled without one.
///
/// The peer belongs to it: a peer that lies about its addresses must not keep others from being dialled there.
type Key = (Option<PeerId>, Multiaddr);

/// Addresses that failed.
#[derive(Debug)]
pub(crate) struct Backoff {
    curve: Curve,
    entries: Mutex<LruCache<Key, Failures>>,
}

/// The failures of one address in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failures {
    pub(crate) count: u32,
    pub(crate) until: Instant,
    pub(crate) last: &'static str,
}

impl Backoff {
    pub(crate) fn new(curve: Curve, entries: u32) -> Self {
        Self { curve, entries: Mutex::new(LruCache::new(capacity(entries))) }
    }

    /// Why `addr` should be left alone, if it should.
    pub(crate) fn check(&self, peer: Option<PeerId>, addr: &Multiaddr, now: Instant) -> Option<Failures> {
        self.lock().get(&(peer, addr.clone())).filter(|failures| now < failures.until).copied()
    }

    pub(crate) fn failed(&self, peer: Option<PeerId>, addr: &Multiaddr, code: &'static str, now: Instant) {
        let mut entries = self.lock();
        let key = (peer, addr.clone());
        // Long after the last failure the count starts anew.
        let before = entries.get(&key).filter(|failures| now < later(failures.until, self.curve.max));
        let count = before.map_or(1, |failures| failures.count.saturating_add(1));
        let until = later(now, self.curve.after(count));
        entries.push(key, Failures { count, until, last: code });
    }

    /// Forgets the failures of one address.
    pub(crate) fn succeeded(&self, peer: Option<PeerId>, addr: &Multiaddr) {
        self.lock().pop(&(peer, addr.clone()));
    }

    /// Forgets what `which` takes; how many of those were left alone.
    pub(crate) fn forget(
        &self,
        now: Instant,
        mut which: impl FnMut(Option<&PeerId>, &Multiaddr) -> bool,
    ) -> usize {
        let gone = forget(&mut self.lock(), |(peer, addr), _| which(peer.as_ref(), addr));
        gone.iter().filter(|failures| now < failures.until).count()
    }

    /// What is left alone at this moment. Takes what has expired off the table.
    pub(crate) fn list(&self, now: Instant) -> Vec<(Option<PeerId>, Multiaddr, Failures)> {
        let mut entries = self.lock();
        forget(&mut entries, |_, failures| now >= later(failures.until, self.curve.max));
        let current = entries.iter().filter(|(_, failures)| now < failures.until);
        current.map(|((peer, addr), failures)| (*peer, addr.clone(), *failures)).collect()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Key, Failures>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Peers of which all addresses failed.
#[derive(Debug)]
pub(crate) struct Negative {
    ttl: Duration,
    hasher: RandomState,
    entries: Mutex<LruCache<PeerId, AllFailed>>,
}

/// A dial of which all addresses failed.
#[derive(Clone, Debug)]
pub(crate) struct AllFailed {
    pub(crate) until: Instant,
    pub(crate) last: &'static str,
    /// Hashes of the addresses that were known then.
    addrs: Vec<u64>,
}

impl Negative {
    pub(crate) fn new(ttl: Duration, entries: u32) -> Self {
        Self { ttl, hasher: RandomState::new(), entries: Mutex::new(LruCache::new(capacity(entries))) }
    }

    /// Why a peer with these addresses should be left alone. A single new address is reason enough to dial.
    pub(crate) fn check(&self, peer: &PeerId, addrs: &[Multiaddr], now: Instant) -> Option<AllFailed> {
        let mut entries = self.lock();
        let found = entries.get(peer)?;
        let known = |addr: &Multiaddr| found.addrs.contains(&self.hasher.hash_one(addr));
        if now < found.until && addrs.iter().all(known) {
            return Some(found.clone());
        }
        entries.pop(peer);
        None
    }

    pub(crate) fn failed<'a>(
        &self,
        peer: PeerId,
        addrs: impl IntoIterator<Item = &'a Multiaddr>,
        last: &'static str,
        now: Instant,
    ) {
        if self.ttl.is_zero() {
            return;
        }
        let addrs = addrs.into_iter().map(|addr| self.hasher.hash_one(addr)).collect();
        self.lock().push(peer, AllFailed { until: later(now, self.ttl), last, addrs });
    }

    /// Forgets what `which` takes; how many of those were left alone.
    pub(crate) fn forget(&self, now: Instant, mut which: impl FnMut(&PeerId) -> bool) -> usize {
        let gone = forget(&mut self.lock(), |peer, _| which(peer));
        gone.iter().filter(|entry| now < entry.until).count()
    }

    pub(crate) fn forget_peer(&self, peer: &PeerId) {
        self.lock().pop(peer);
    }

    /// What is left alone at this moment. Takes what has expired off the table.
    pub(crate) fn list(&self, now: Instant) -> Vec<(PeerId, AllFailed)> {
        let mut entries = self.lock();
        forget(&mut entries, |_, entry| now >= entry.until);
        entries.iter().map(|(peer, entry)| (*peer, entry.clone())).collect()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<PeerId, AllFailed>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn capacity(entries: u32) -> NonZeroUsize {
    NonZeroUsize::new(entries as usize).unwrap_or(NonZeroUsize::MIN)
}

fn forget<K: Clone + Eq + std::hash::Hash, V>(
    entries: &mut LruCache<K, V>,
    mut which: impl FnMut(&K, &V) -> bool,
) -> Vec<V> {
    let gone: Vec<K> = entries.iter().filter(|(k, v)| which(k, v)).map(|(k, _)| k.clone()).collect();
    gone.iter().filter_map(|key| entries.pop(key)).collect()
}

#[cfg(test)]
mod tests;
