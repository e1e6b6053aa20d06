//! What a node does with its tag store for whoever has a [`Swarm`].

use super::{Bump, Decay, DecayingTag, TagError, TagInfo, TagStore};
use crate::swarm::Swarm;
use skep_api::PeerId;
use std::time::Duration;

impl Swarm {
    /// The node's tags and protections.
    #[must_use]
    pub fn tags(&self) -> TagStore {
        self.0.tags.clone()
    }

    /// Gives a peer a tag with a value, in place of one of that name. It need not be connected; if it is not, the tag goes
    /// after `[swarm] tag_grace`, unless it [outlives connections](skep_api::tags::CommonTags::outlives_connection).
    ///
    /// # Errors
    /// [`TagError`] if the name is too long, the peer has too many tags, or there is no room.
    pub fn tag_peer(&self, peer: &PeerId, tag: &str, value: i64) -> Result<(), TagError> {
        self.0.tags.tag(peer, tag, value)
    }

    /// Changes a tag by a function of its value; of 0 if there is none. The function may be called again if another
    /// changes the tag meanwhile. See [`upsert_add`](super::upsert_add) and [`upsert_bounded`](super::upsert_bounded).
    ///
    /// # Errors
    /// [`TagError`] if the name is too long, the peer has too many tags, or there is no room.
    pub fn upsert_tag(&self, peer: &PeerId, tag: &str, change: impl Fn(i64) -> i64) -> Result<(), TagError> {
        self.0.tags.upsert(peer, tag, change).map(drop)
    }

    /// Takes a tag from a peer. Whether it had it.
    pub fn untag_peer(&self, peer: &PeerId, tag: &str) -> bool {
        self.0.tags.untag(peer, tag)
    }

    /// Takes all tags from a peer; its protections stay. How many they were.
    pub fn clear_peer(&self, peer: &PeerId) -> usize {
        self.0.tags.clear_peer(peer)
    }

    /// Registers a tag whose values fall by themselves. See [`TagStore::register_decaying`].
    ///
    /// # Errors
    /// [`TagError`] if the name is taken or too long, there are so many, or what it does makes no sense.
    pub fn register_decaying_tag(
        &self,
        name: &str,
        interval: Duration,
        decay: Decay,
        bump: Bump,
    ) -> Result<DecayingTag, TagError> {
        self.0.tags.register_decaying(name, interval, decay, bump)
    }

    /// The tags, protections and connections of a peer, if it has any.
    #[must_use]
    pub fn tag_info(&self, peer: &PeerId) -> Option<TagInfo> {
        self.0.tags.info(peer)
    }

    /// Peers with tags or protections, the protected first, then the most valuable; at most `max`.
    #[must_use]
    pub fn tagged_peers(&self, max: usize) -> Vec<(PeerId, TagInfo)> {
        self.0.tags.top(max)
    }

    /// Keeps a peer's connections from being pruned or closed for idleness, in the name of `owner`, over reconnects, too.
    /// Several owners may protect one peer; each is counted once.
    ///
    /// # Errors
    /// [`TagError`] if the name is too long, the peer has too many protections, or there is no room.
    pub fn protect(&self, peer: &PeerId, owner: &str) -> Result<(), TagError> {
        self.0.tags.protect(peer, owner)
    }

    /// Ends the protection by `owner`. Whether others still protect the peer.
    pub fn unprotect(&self, peer: &PeerId, owner: &str) -> bool {
        self.0.tags.unprotect(peer, owner)
    }

    /// Whether a peer is protected: by `owner`, or by anybody if there is none given.
    #[must_use]
    pub fn is_protected(&self, peer: &PeerId, owner: Option<&str>) -> bool {
        self.0.tags.is_protected(peer, owner)
    }

    /// The peers that somebody protects, in the order of their ids.
    #[must_use]
    pub fn protected_peers(&self) -> Vec<PeerId> {
        self.0.tags.protected_peers()
    }
}
