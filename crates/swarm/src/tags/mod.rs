//! Tags and protections: what peers are worth, as pruning and the keep-alive rule see it.
//!
//! Both belong to a peer, not to its connections: they outlive a reconnect. The table is bounded; what is known only by
//! its tags, without a connection or a protection, makes room for others, the oldest first.

mod store;

pub use skep_api::tags::{CommonTags, TagError, TagInfo, upsert_add, upsert_bounded, upsert_set};
pub(crate) use store::TagStore;

use crate::swarm::{Inner, Swarm};
use skep_api::{PeerId, tags::Tags};
use std::sync::{Arc, Weak};

impl Swarm {
    /// Gives a peer a tag with a value, in place of one of that name. It need not be connected.
    ///
    /// # Errors
    /// [`TagError`] if the peer has too many tags, or the table is full of protected peers.
    pub fn tag_peer(&self, peer: &PeerId, tag: &str, value: i64) -> Result<(), TagError> {
        self.0.tags.upsert(peer, tag, |_| value)
    }

    /// Changes a tag by a function of its value; of 0 if there is none. The function may be called again if another
    /// changes the tag meanwhile. See [`upsert_add`] and [`upsert_bounded`].
    ///
    /// # Errors
    /// [`TagError`] if the peer has too many tags, or the table is full of protected peers.
    pub fn upsert_tag(&self, peer: &PeerId, tag: &str, change: impl Fn(i64) -> i64) -> Result<(), TagError> {
        self.0.tags.upsert(peer, tag, change)
    }

    /// Takes a tag from a peer. Whether it had it.
    pub fn untag_peer(&self, peer: &PeerId, tag: &str) -> bool {
        self.0.tags.untag(peer, tag)
    }

    /// The tags and protections of a peer, if it has any.
    #[must_use]
    pub fn tag_info(&self, peer: &PeerId) -> Option<TagInfo> {
        self.0.tags.info(peer)
    }

    /// Peers with tags or protections, the protected first, then the most valuable; at most `max`.
    #[must_use]
    pub fn tagged_peers(&self, max: usize) -> Vec<(PeerId, TagInfo)> {
        self.0.tags.top(max)
    }

    /// Keeps a peer's connections from being pruned or closed for idleness, in the name of `owner`. Several owners may
    /// protect one peer; each is counted once.
    ///
    /// # Errors
    /// [`TagError`] if the peer has too many protections, or the table is full of protected peers.
    pub fn protect(&self, peer: &PeerId, owner: &str) -> Result<(), TagError> {
        self.0.tags.protect(peer, owner)
    }

    /// Ends the protection by `owner`. Whether others still protect the peer.
    pub fn unprotect(&self, peer: &PeerId, owner: &str) -> bool {
        // It is idle from now on, not since it was used last. First: no check of idleness may come in between.
        for conn in self.0.to(peer) {
            conn.0.life.touch();
        }
        self.0.tags.unprotect(peer, owner)
    }

    /// Whether a peer is protected: by `owner`, or by anybody if there is none given.
    #[must_use]
    pub fn is_protected(&self, peer: &PeerId, owner: Option<&str>) -> bool {
        self.0.tags.is_protected(peer, owner)
    }
}

impl Inner {
    /// The tags of the node, for services.
    pub(crate) fn tags_of(self: &Arc<Self>) -> Arc<dyn Tags> {
        Arc::new(NodeTags(Arc::downgrade(self)))
    }
}

/// The tags of a node that may be gone.
#[derive(Debug)]
struct NodeTags(Weak<Inner>);

impl NodeTags {
    fn with<T: Default>(&self, ask: impl FnOnce(&TagStore) -> T) -> T {
        self.0.upgrade().map(|node| ask(&node.tags)).unwrap_or_default()
    }
}

impl Tags for NodeTags {
    fn tag(&self, peer: &PeerId, tag: &str, value: i64) -> Result<(), TagError> {
        self.0.upgrade().map_or(Ok(()), |node| node.tags.upsert(peer, tag, |_| value))
    }
    fn untag(&self, peer: &PeerId, tag: &str) -> bool {
        self.with(|tags| tags.untag(peer, tag))
    }
    fn info(&self, peer: &PeerId) -> Option<TagInfo> {
        self.with(|tags| tags.info(peer))
    }
    fn value(&self, peer: &PeerId) -> i64 {
        self.with(|tags| tags.value(peer))
    }
    fn tagged(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<PeerId> {
        let all = self.with(|tags| tags.top(usize::MAX));
        let mut peers: Vec<_> =
            all.iter().filter(|(_, info)| info.tags.keys().any(|tag| wanted(tag))).map(|(p, _)| *p).collect();
        peers.sort_unstable();
        peers
    }
    fn protect(&self, peer: &PeerId, owner: &str) -> Result<(), TagError> {
        self.0.upgrade().map_or(Ok(()), |node| node.tags.protect(peer, owner))
    }
    fn unprotect(&self, peer: &PeerId, owner: &str) -> bool {
        self.with(|tags| tags.unprotect(peer, owner))
    }
    fn is_protected(&self, peer: &PeerId, owner: Option<&str>) -> bool {
        self.with(|tags| tags.is_protected(peer, owner))
    }
}
