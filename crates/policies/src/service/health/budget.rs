//! How many replacements there may be: one of a peer at a time, none of it for a while after, and so many of all peers in
//! an interval. A network that grows slow as a whole makes every connection look bad; then it is this that keeps the
//! node from dialling everybody.

use super::config::Config;
use lru::LruCache;
use skep_api::PeerId;
use std::{
    collections::{BTreeSet, VecDeque},
    num::NonZeroUsize,
    time::Duration,
};
use tokio::time::Instant;

/// Peers whose last replacement is remembered. With more, the one longest ago is forgotten: then what is allowed in an
/// interval remains as the bound.
const PEERS: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

#[derive(Debug)]
pub(super) struct Budget {
    /// When the last ones began, up to `max_replacements`.
    begun: VecDeque<Instant>,
    running: BTreeSet<PeerId>,
    waits: LruCache<PeerId, Wait>,
}

/// A peer that is left alone until then.
#[derive(Clone, Copy, Debug)]
struct Wait {
    until: Instant,
    for_so_long: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { begun: VecDeque::new(), running: BTreeSet::new(), waits: LruCache::new(PEERS) }
    }
}

impl Budget {
    /// Nothing is under way.
    pub(super) fn begin(&mut self) {
        self.running.clear();
    }

    /// Whether a replacement could begin now, of some peer.
    pub(super) fn has_room(&self, config: &Config, now: Instant) -> bool {
        let max = usize::try_from(config.max_replacements).unwrap_or(usize::MAX);
        let recent = |at: &&Instant| now.saturating_duration_since(**at) < config.interval.0;
        self.running.len() < max && self.begun.iter().filter(recent).count() < max
    }

    /// Whether this peer's may begin, as far as the peer is concerned.
    pub(super) fn allows(&self, peer: &PeerId, now: Instant) -> bool {
        !self.running.contains(peer) && self.waits.peek(peer).is_none_or(|wait| wait.until <= now)
    }

    /// Begins one that is allowed.
    pub(super) fn start(&mut self, peer: PeerId, config: &Config, now: Instant) {
        self.begun.retain(|at| now.saturating_duration_since(*at) < config.interval.0);
        self.begun.push_back(now);
        self.running.insert(peer);
        // From the beginning on: a reload may end it before it comes to its end.
        self.wait(peer, config, now);
    }

    /// One has come to its end, whichever.
    pub(super) fn end(&mut self, peer: PeerId, now: Instant) {
        self.running.remove(&peer);
        if let Some(wait) = self.waits.get_mut(&peer) {
            wait.until = now + wait.for_so_long;
        }
    }

    fn wait(&mut self, peer: PeerId, config: &Config, now: Instant) {
        let (first, max) = (config.backoff.0, config.max_backoff.0);
        // A peer that was left in peace for long begins anew.
        let before = self.waits.get(&peer).filter(|wait| now < wait.until + max);
        let for_so_long = before.map_or(first, |wait| wait.for_so_long.saturating_mul(2)).min(max);
        self.waits.put(peer, Wait { until: now + for_so_long, for_so_long });
    }

    /// Replacements under way.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// Peers that are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.waits.len()
    }
}
