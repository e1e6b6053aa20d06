//! Which peers' tags are not in the peer store as they are here.

use skep_api::PeerId;
use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};
use tokio::time::Instant;

/// How long changes are collected.
const COLLECTED: Duration = Duration::from_secs(5);

/// What has to be written. No more peers than have tags, or had some when it was written last.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    /// The peers of which the peer store has something.
    stored: HashSet<PeerId>,
    changed: BTreeSet<PeerId>,
    /// When the first of the changes came.
    since: Option<Instant>,
}

impl Unsaved {
    /// Something has changed about a peer; whether there is something to be kept of it now.
    pub(super) fn note(&mut self, peer: &PeerId, something: bool, now: Instant) {
        if something || self.stored.contains(peer) {
            self.changed.insert(*peer);
            self.since.get_or_insert(now);
        } else {
            self.changed.remove(peer);
        }
        if self.changed.is_empty() {
            self.since = None;
        }
    }

    /// The peer store has this.
    pub(super) fn stored(&mut self, peer: &PeerId, something: bool) {
        if something {
            self.stored.insert(*peer);
        } else {
            self.stored.remove(peer);
        }
    }

    /// How many peers are to be written.
    pub(super) fn len(&self) -> usize {
        self.changed.len()
    }

    /// The next peer to be written.
    pub(super) fn take(&mut self) -> Option<PeerId> {
        let peer = self.changed.pop_first();
        if self.changed.is_empty() {
            self.since = None;
        }
        peer
    }

    /// When it is time to write.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since?.checked_add(COLLECTED)
    }
}
