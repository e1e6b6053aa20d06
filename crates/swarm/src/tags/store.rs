//! The tag store: a handle on the table.
//!
//! Its lock is a leaf. Nothing is called under it: not functions of the application's, not the peer store, nothing that
//! takes another lock. So it may be taken under any other, that of the table of connections above all.

use super::{
    entry::Entry,
    keeper::Node,
    table::{Call, Limits, Table},
};
use skep_api::{
    PeerId,
    tags::{TagError, TagInfo, Tags},
};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// Bytes of the name of a tag, or of an owner.
pub(super) const MAX_NAME: usize = 128;

/// Tags and protections of peers. Cheap to clone; clones are one store.
///
/// A peer without a connection keeps its tags for the grace period only: from the end of its last connection, or from when
/// it was tagged last, whichever is later. Tags that [outlive connections](skep_api::tags::CommonTags::outlives_connection)
/// and protections stay until they are taken. A peer with a connection keeps everything.
///
/// There is room for 65,536 peers with tags or protections, for 64 tags and 64 protections of each, and for names of 128
/// bytes. Where it is short of room for peers, the one that goes is without a connection, a protection, and a tag that
/// outlives connections; of these, the one whose grace period began first. If there is none, nobody is let in.
///
/// What is over is taken whenever the store is used. The store of a node also has a task for it, while there is something
/// that will be over.
#[derive(Clone)]
pub struct TagStore(pub(super) Arc<Shared>);

/// Somebody who is told about a peer.
type Told = Box<dyn Fn(&PeerId) + Send + Sync>;

pub(super) struct Shared {
    table: Mutex<Table>,
    /// What is called before a protection ends.
    unprotecting: OnceLock<Told>,
    /// Where it belongs, if to a node.
    pub(super) node: OnceLock<Node>,
    /// Something is due earlier than the keeper thinks.
    pub(super) earlier: Notify,
}

impl TagStore {
    /// An empty store that belongs to no node. Tags of peers without a connection go after `grace`, never if there is
    /// none.
    #[must_use]
    pub fn new(grace: Option<Duration>) -> Self {
        Self::with_limits(grace, Limits::DEFAULT)
    }

    pub(super) fn with_limits(grace: Option<Duration>, limits: Limits) -> Self {
        Self(Arc::new(Shared {
            table: Mutex::new(Table::new(grace, limits)),
            unprotecting: OnceLock::new(),
            node: OnceLock::new(),
            earlier: Notify::new(),
        }))
    }

    /// Changes the grace period, for what runs already, too.
    pub fn set_grace(&self, grace: Option<Duration>) {
        self.0.with(|table, _| table.grace = grace);
        // It may be over already.
        self.0.with(|_, _| ());
    }

    /// Sets what is called before a protection ends. Once only.
    pub(crate) fn before_unprotecting(&self, call: impl Fn(&PeerId) + Send + Sync + 'static) {
        let _ = self.0.unprotecting.set(Box::new(call));
    }

    /// Gives a peer a tag, in place of one of that name. It need not be connected.
    ///
    /// # Errors
    /// [`TagError`] if the name is too long, the peer has too many tags, or the store is full.
    pub fn tag(&self, peer: &PeerId, tag: &str, value: i64) -> Result<(), TagError> {
        self.alter(peer, tag, |_| value).map(drop)
    }

    /// Takes a tag from a peer, one that decays, too. Whether it had it.
    pub fn untag(&self, peer: &PeerId, tag: &str) -> bool {
        self.release(peer, |entry| entry.tags.remove(tag).is_some() | entry.decaying.remove(tag).is_some())
    }

    /// Changes a tag by a function of its value; of 0 if there is none. The new value. The function does not run under the
    /// lock, so it may use the store; it is called again if another changes the tag meanwhile. If it panics, nothing has
    /// changed.
    ///
    /// # Errors
    /// [`TagError`] if the name is too long, the peer has too many tags, or the store is full.
    pub fn upsert(&self, peer: &PeerId, tag: &str, change: impl Fn(i64) -> i64) -> Result<i64, TagError> {
        check_name(tag)?;
        loop {
            let old = self.0.with(|table, _| table.plain(peer, tag));
            let value = change(old.unwrap_or(0));
            let done = self
                .0
                .with(|table, now| (table.plain(peer, tag) == old).then(|| table.set(peer, tag, value, now)));
            if let Some(done) = done {
                return done.map(|()| value);
            }
        }
    }

    /// Adds to a tag, saturating. The new value.
    ///
    /// # Errors
    /// As [`TagStore::tag`].
    pub fn upsert_add(&self, peer: &PeerId, tag: &str, delta: i64) -> Result<i64, TagError> {
        self.alter(peer, tag, |value| value.saturating_add(delta))
    }

    /// Adds to a tag within `min..=max`. The new value.
    ///
    /// # Errors
    /// [`TagError::Bounds`] if `min` is above `max`; otherwise as [`TagStore::tag`].
    pub fn upsert_bounded(
        &self,
        peer: &PeerId,
        tag: &str,
        delta: i64,
        min: i64,
        max: i64,
    ) -> Result<i64, TagError> {
        if min > max {
            return Err(TagError::Bounds { tag: tag.into(), min, max });
        }
        self.alter(peer, tag, |value| value.saturating_add(delta).min(max).max(min))
    }

    /// Sets a tag, as [`TagStore::tag`] does. The new value.
    ///
    /// # Errors
    /// As [`TagStore::tag`].
    pub fn upsert_set(&self, peer: &PeerId, tag: &str, value: i64) -> Result<i64, TagError> {
        self.alter(peer, tag, |_| value)
    }

    /// Changes a tag under the lock.
    fn alter(&self, peer: &PeerId, tag: &str, change: impl FnOnce(i64) -> i64) -> Result<i64, TagError> {
        check_name(tag)?;
        self.0.with(|table, now| {
            let value = change(table.plain(peer, tag).unwrap_or(0));
            table.set(peer, tag, value, now).map(|()| value)
        })
    }

    /// Takes all tags from a peer, those that decay or outlive connections, too; its protections stay. How many they were.
    pub fn clear_peer(&self, peer: &PeerId) -> usize {
        self.release(peer, |entry| {
            let count = entry.num_tags();
            entry.tags.clear();
            entry.decaying.clear();
            count
        })
    }

    /// Protects a peer in the name of `owner`. Protections stay over reconnects, until they are taken.
    ///
    /// # Errors
    /// [`TagError`] if the name is too long, the peer has too many protections, or the store is full.
    pub fn protect(&self, peer: &PeerId, owner: &str) -> Result<(), TagError> {
        check_name(owner)?;
        self.0.with(|table, now| table.protect(peer, owner, now))
    }

    /// Ends the protection by `owner`. Whether others still protect the peer.
    pub fn unprotect(&self, peer: &PeerId, owner: &str) -> bool {
        self.0.unprotecting(peer);
        self.release(peer, |entry| {
            entry.protected_by.remove(owner);
            !entry.protected_by.is_empty()
        })
    }

    /// Ends all protections of a peer, whoever gave them. How many they were.
    pub fn unprotect_all(&self, peer: &PeerId) -> usize {
        self.0.unprotecting(peer);
        self.release(peer, |entry| {
            let count = entry.protected_by.len();
            entry.protected_by.clear();
            count
        })
    }

    /// A connection to a peer begins. Its tags stay from now on. A node calls it by itself.
    pub fn record_connection(&self, peer: &PeerId, id: u64) {
        self.0.with(|table, now| table.connected(peer, id, now));
    }

    /// A connection to a peer has ended. After the last one, the grace period of the peer's tags begins. A connection that
    /// is not known changes nothing. Whether it was known. A node calls it by itself.
    pub fn remove_connection(&self, peer: &PeerId, id: u64) -> bool {
        self.0.with(|table, now| table.disconnected(peer, id, now))
    }

    /// Takes something from a peer that is in the table.
    fn release<T: Default>(&self, peer: &PeerId, take: impl FnOnce(&mut Entry) -> T) -> T {
        self.0.with(|table, now| {
            let taken = table.change(peer, take);
            table.note(peer, now);
            taken.unwrap_or_default()
        })
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses the table, in which nothing is over any more. `work` calls nothing beyond this folder.
    pub(super) fn with<T>(self: &Arc<Self>, work: impl FnOnce(&mut Table, Instant) -> T) -> T {
        let (result, call) = {
            let mut table = self.lock();
            let now = Instant::now();
            table.sweep(now);
            let result = work(&mut table, now);
            (result, table.call())
        };
        match call {
            Call::Nothing => {}
            Call::Start => self.start(),
            Call::Earlier => self.earlier.notify_one(),
        }
        result
    }

    fn unprotecting(&self, peer: &PeerId) {
        if let Some(call) = self.unprotecting.get() {
            call(peer);
        }
    }
}

pub(super) fn check_name(name: &str) -> Result<(), TagError> {
    if name.len() > MAX_NAME {
        return Err(TagError::Name { len: name.len(), max: MAX_NAME });
    }
    Ok(())
}

impl fmt::Debug for TagStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TagStore").field("peers", &self.len()).finish_non_exhaustive()
    }
}

impl Tags for TagStore {
    fn tag(&self, peer: &PeerId, tag: &str, value: i64) -> Result<(), TagError> {
        Self::tag(self, peer, tag, value)
    }

    fn untag(&self, peer: &PeerId, tag: &str) -> bool {
        Self::untag(self, peer, tag)
    }

    fn info(&self, peer: &PeerId) -> Option<TagInfo> {
        Self::info(self, peer)
    }

    fn value(&self, peer: &PeerId) -> i64 {
        Self::value(self, peer)
    }

    fn tagged(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<PeerId> {
        Self::tagged(self, wanted)
    }

    fn protect(&self, peer: &PeerId, owner: &str) -> Result<(), TagError> {
        Self::protect(self, peer, owner)
    }

    fn unprotect(&self, peer: &PeerId, owner: &str) -> bool {
        Self::unprotect(self, peer, owner)
    }

    fn is_protected(&self, peer: &PeerId, owner: Option<&str>) -> bool {
        Self::is_protected(self, peer, owner)
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
