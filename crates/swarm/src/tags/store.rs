//! The table of tags and protections.

use skep_api::{
    PeerId,
    tags::{TagError, TagInfo},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::time::Instant;

/// Peers with tags or protections.
const MAX_PEERS: usize = 1 << 16;
/// Tags of one peer, and protections of one peer.
const MAX_NAMES: usize = 64;

/// Tags and protections of all peers.
#[derive(Debug, Default)]
pub(crate) struct TagStore(Mutex<HashMap<PeerId, Entry>>);

#[derive(Debug)]
struct Entry {
    tags: BTreeMap<String, i64>,
    protected_by: BTreeSet<String>,
    since: Instant,
}

impl TagStore {
    fn lock(&self) -> MutexGuard<'_, HashMap<PeerId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn upsert(
        &self,
        peer: &PeerId,
        tag: &str,
        change: impl Fn(i64) -> i64,
    ) -> Result<(), TagError> {
        let current = |peers: &HashMap<PeerId, Entry>| peers.get(peer)?.tags.get(tag).copied();
        loop {
            // The function is the application's, and may ask this table: it does not run under the lock.
            let old = current(&self.lock());
            let value = change(old.unwrap_or(0));
            let mut peers = self.lock();
            if current(&peers) != old {
                continue;
            }
            let entry = room(&mut peers, peer)?;
            if entry.tags.len() >= MAX_NAMES && old.is_none() {
                return Err(TagError::PeerFull(MAX_NAMES));
            }
            entry.tags.insert(tag.into(), value);
            return Ok(());
        }
    }

    pub(crate) fn untag(&self, peer: &PeerId, tag: &str) -> bool {
        let mut peers = self.lock();
        let removed = peers.get_mut(peer).is_some_and(|entry| entry.tags.remove(tag).is_some());
        tidy(&mut peers, peer);
        removed
    }

    pub(crate) fn protect(&self, peer: &PeerId, owner: &str) -> Result<(), TagError> {
        let mut peers = self.lock();
        let entry = room(&mut peers, peer)?;
        if entry.protected_by.len() >= MAX_NAMES && !entry.protected_by.contains(owner) {
            return Err(TagError::PeerFull(MAX_NAMES));
        }
        entry.protected_by.insert(owner.into());
        Ok(())
    }

    /// Whether there is another protection.
    pub(crate) fn unprotect(&self, peer: &PeerId, owner: &str) -> bool {
        let mut peers = self.lock();
        let Some(entry) = peers.get_mut(peer) else { return false };
        entry.protected_by.remove(owner);
        let left = !entry.protected_by.is_empty();
        tidy(&mut peers, peer);
        left
    }

    pub(crate) fn is_protected(&self, peer: &PeerId, owner: Option<&str>) -> bool {
        let peers = self.lock();
        let Some(entry) = peers.get(peer) else { return false };
        owner.map_or(!entry.protected_by.is_empty(), |owner| entry.protected_by.contains(owner))
    }

    /// The sum of the peer's tags.
    pub(crate) fn value(&self, peer: &PeerId) -> i64 {
        self.lock().get(peer).map_or(0, |entry| sum(&entry.tags))
    }

    pub(crate) fn info(&self, peer: &PeerId) -> Option<TagInfo> {
        self.lock().get(peer).map(info)
    }

    /// Some peers with what they have, the most valuable first.
    pub(crate) fn top(&self, max: usize) -> Vec<(PeerId, TagInfo)> {
        let peers = self.lock();
        let rank = |(peer, entry): (&PeerId, &Entry)| {
            (entry.protected_by.is_empty(), Reverse(sum(&entry.tags)), *peer)
        };
        let mut ranked: Vec<_> = peers.iter().map(rank).collect();
        ranked.sort_unstable();
        let top = ranked.into_iter().take(max);
        top.filter_map(|(_, _, peer)| peers.get(&peer).map(|entry| (peer, info(entry)))).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

fn info(entry: &Entry) -> TagInfo {
    let mut info = TagInfo::default();
    info.tags.clone_from(&entry.tags);
    info.protected_by.clone_from(&entry.protected_by);
    info.age = entry.since.elapsed();
    info
}

fn sum(tags: &BTreeMap<String, i64>) -> i64 {
    tags.values().fold(0, |sum, value| sum.saturating_add(*value))
}

/// The entry of a peer, new if need be. The oldest without a protection go for it, many at once, so that it is seldom.
fn room<'a>(peers: &'a mut HashMap<PeerId, Entry>, peer: &PeerId) -> Result<&'a mut Entry, TagError> {
    if peers.len() >= MAX_PEERS && !peers.contains_key(peer) {
        let open = peers.iter().filter(|(_, entry)| entry.protected_by.is_empty());
        let mut open: Vec<_> = open.map(|(peer, entry)| (entry.since, *peer)).collect();
        if open.is_empty() {
            return Err(TagError::Full(MAX_PEERS));
        }
        open.sort_unstable();
        for (_, peer) in open.iter().take(MAX_PEERS / 16) {
            peers.remove(peer);
        }
    }
    let new = || Entry { tags: BTreeMap::new(), protected_by: BTreeSet::new(), since: Instant::now() };
    Ok(peers.entry(*peer).or_insert_with(new))
}

/// Forgets a peer that has nothing.
fn tidy(peers: &mut HashMap<PeerId, Entry>, peer: &PeerId) {
    if peers.get(peer).is_some_and(|entry| entry.tags.is_empty() && entry.protected_by.is_empty()) {
        peers.remove(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_add_up_and_protections_have_owners() {
        let (store, peer) = (TagStore::default(), PeerId::random());
        store.upsert(&peer, "a", |_| 5).unwrap();
        store.upsert(&peer, "b", |old| old - 2).unwrap();
        assert_eq!(store.value(&peer), 3);
        store.protect(&peer, "x").unwrap();
        store.protect(&peer, "x").unwrap();
        store.protect(&peer, "").unwrap();
        assert!(store.is_protected(&peer, None) && store.is_protected(&peer, Some("")));
        assert!(!store.is_protected(&peer, Some("y")));
        assert!(store.unprotect(&peer, "x") && store.unprotect(&peer, "x"));
        assert!(!store.unprotect(&peer, ""));
        assert!(store.untag(&peer, "a") && store.untag(&peer, "b") && !store.untag(&peer, "b"));
        assert_eq!((store.info(&peer), store.len()), (None, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded_and_keeps_the_protected() {
        let store = TagStore::default();
        let kept = PeerId::random();
        store.protect(&kept, "me").unwrap();
        for _ in 0..MAX_PEERS + 5 {
            store.upsert(&PeerId::random(), "t", |_| 1).unwrap();
        }
        assert!(store.len() <= MAX_PEERS && store.len() > MAX_PEERS / 2);
        assert!(store.is_protected(&kept, None));
        for n in 1..=MAX_NAMES {
            store.protect(&kept, &n.to_string()).ok();
        }
        assert_eq!(store.protect(&kept, "more"), Err(TagError::PeerFull(MAX_NAMES)));
    }
}
