//! Tags in memory, without bounds and without decay.

use skep_api::{
    PeerId,
    tags::{TagError, TagInfo, Tags},
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The tags and protections of a model node. They stay until they are taken away.
#[derive(Debug, Default)]
pub struct FakeTags {
    peers: Mutex<BTreeMap<PeerId, TagInfo>>,
}

impl FakeTags {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerId, TagInfo>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, peer: &PeerId, change: impl FnOnce(&mut TagInfo) -> T) -> T {
        let mut peers = self.lock();
        let info = peers.entry(*peer).or_default();
        let result = change(info);
        if info.tags.is_empty() && info.protected_by.is_empty() {
            peers.remove(peer);
        }
        result
    }
}

impl Tags for FakeTags {
    fn tag(&self, peer: &PeerId, tag: &str, value: i64) -> Result<(), TagError> {
        self.change(peer, |info| info.tags.insert(tag.to_string(), value));
        Ok(())
    }

    fn untag(&self, peer: &PeerId, tag: &str) -> bool {
        self.change(peer, |info| info.tags.remove(tag).is_some())
    }

    fn info(&self, peer: &PeerId) -> Option<TagInfo> {
        self.lock().get(peer).cloned()
    }

    fn value(&self, peer: &PeerId) -> i64 {
        self.lock().get(peer).map(TagInfo::value).unwrap_or_default()
    }

    fn tagged(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<PeerId> {
        let peers = self.lock();
        let tagged = peers.iter().filter(|(_, info)| info.tags.keys().any(|tag| wanted(tag)));
        tagged.map(|(peer, _)| *peer).collect()
    }

    fn protect(&self, peer: &PeerId, owner: &str) -> Result<(), TagError> {
        self.change(peer, |info| info.protected_by.insert(owner.to_string()));
        Ok(())
    }

    fn unprotect(&self, peer: &PeerId, owner: &str) -> bool {
        self.change(peer, |info| {
            info.protected_by.remove(owner);
            !info.protected_by.is_empty()
        })
    }

    fn is_protected(&self, peer: &PeerId, owner: Option<&str>) -> bool {
        self.lock().get(peer).is_some_and(|info| match owner {
            Some(owner) => info.protected_by.contains(owner),
            None => !info.protected_by.is_empty(),
        })
    }
}
