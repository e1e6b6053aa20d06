//! What a tag store tells.

use super::{
    entry::{Decaying, Entry, Seen},
    store::TagStore,
};
use skep_api::{PeerId, tags::TagInfo};
use std::{cmp::Reverse, sync::Arc};
use tokio::time::Instant;

impl TagStore {
    /// The value of a tag; `None` if the peer does not have it, which is not the same as 0. A decaying tag and another of
    /// one name add up.
    #[must_use]
    pub fn get(&self, peer: &PeerId, tag: &str) -> Option<i64> {
        let (plain, decaying, now) = self.0.with(|table, now| {
            let entry = table.peers.get(peer);
            let decaying: Option<Decaying> = entry.and_then(|entry| entry.decaying.get(tag).cloned());
            (table.plain(peer, tag), decaying, now)
        });
        let decaying = decaying.and_then(|tag| tag.kind.value(&tag.sample, now));
        match (plain, decaying) {
            (Some(plain), Some(decaying)) => Some(plain.saturating_add(decaying)),
            (plain, decaying) => plain.or(decaying),
        }
    }

    /// The sum of a peer's tags; 0 if there is none. It saturates.
    #[must_use]
    pub fn value(&self, peer: &PeerId) -> i64 {
        let worth = self.0.with(|table, now| table.peers.get(peer).map(|entry| Worth::of(entry, now)));
        worth.map_or(0, Worth::finish)
    }

    /// The tags, protections and connections of a peer, if it has any.
    #[must_use]
    pub fn info(&self, peer: &PeerId) -> Option<TagInfo> {
        self.0.with(|table, now| table.peers.get(peer).map(|entry| entry.seen(now))).map(Seen::finish)
    }

    /// The peers with a tag whose name passes `wanted`, in the order of their ids. It does not run under the lock.
    #[must_use]
    pub fn tagged(&self, wanted: impl Fn(&str) -> bool) -> Vec<PeerId> {
        let names = |(peer, entry): (&PeerId, &Entry)| {
            let names: Vec<_> = entry.tags.keys().chain(entry.decaying.keys()).cloned().collect();
            (*peer, names)
        };
        let all: Vec<_> = self.0.with(|table, _| table.peers.iter().map(names).collect());
        let passes =
            |(peer, names): (PeerId, Vec<Arc<str>>)| names.iter().any(|name| wanted(name)).then_some(peer);
        let mut peers: Vec<_> = all.into_iter().filter_map(passes).collect();
        peers.sort_unstable();
        peers
    }

    /// Peers with tags or protections, the protected first, then the most valuable; at most `max`.
    #[must_use]
    pub fn top(&self, max: usize) -> Vec<(PeerId, TagInfo)> {
        let worth: Vec<_> = self.0.with(|table, now| {
            let held = table.peers.iter().filter(|(_, entry)| entry.is_held());
            held.map(|(peer, entry)| (entry.protected_by.is_empty(), Worth::of(entry, now), *peer)).collect()
        });
        let mut ranked: Vec<_> =
            worth.into_iter().map(|(open, worth, peer)| (open, Reverse(worth.finish()), peer)).collect();
        ranked.sort_unstable();
        let top = ranked.into_iter().take(max);
        top.filter_map(|(_, _, peer)| self.info(&peer).map(|info| (peer, info))).collect()
    }

    /// Whether a peer is protected: by `owner`, or by anybody if there is none given.
    #[must_use]
    pub fn is_protected(&self, peer: &PeerId, owner: Option<&str>) -> bool {
        let by = |entry: &Entry| match owner {
            Some(owner) => entry.protected_by.contains(owner),
            None => !entry.protected_by.is_empty(),
        };
        self.0.with(|table, _| table.peers.get(peer).is_some_and(by))
    }

    /// The peers that somebody protects, in the order of their ids.
    #[must_use]
    pub fn protected_peers(&self) -> Vec<PeerId> {
        let mut peers: Vec<_> = self.0.with(|table, _| {
            let protected = table.peers.iter().filter(|(_, entry)| !entry.protected_by.is_empty());
            protected.map(|(peer, _)| *peer).collect()
        });
        peers.sort_unstable();
        peers
    }

    /// The number of peers with tags or protections. Costs nothing.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.with(|table, _| table.held())
    }

    /// Whether no peer has a tag or a protection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What an entry is worth, seen under the lock of the table.
enum Worth {
    Known(i64),
    ToFinish(Seen),
}

impl Worth {
    fn of(entry: &Entry, now: Instant) -> Self {
        entry.plain_value().map_or_else(|| Self::ToFinish(entry.seen(now)), Self::Known)
    }

    /// Not under the lock.
    fn finish(self) -> i64 {
        match self {
            Self::Known(value) => value,
            Self::ToFinish(seen) => seen.finish().value(),
        }
    }
}
