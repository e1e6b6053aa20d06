//! Which peers have changed since they were last written to a file.

use skep_api::PeerId;
use std::{collections::HashSet, mem};

/// The peers that differ from what is in the file. Never more than are known or in the file.
#[derive(Debug, Default)]
pub(in crate::peerstore) struct Journal {
    /// The file has to be written anew: it is not known what is in it.
    all: bool,
    changed: HashSet<PeerId>,
    /// Those that are in the file, or will be once what is being written is.
    stored: HashSet<PeerId>,
}

/// What has to be written.
#[derive(Debug)]
pub(in crate::peerstore) struct Pending {
    /// Nothing of what is in the file counts any more.
    pub(in crate::peerstore) all: bool,
    pub(in crate::peerstore) peers: Vec<PeerId>,
}

impl Journal {
    /// A peer has changed, or has gone. What comes and goes between two writes leaves no trace.
    pub(super) fn note(&mut self, peer: &PeerId, known: bool) {
        if known || self.stored.contains(peer) {
            self.changed.insert(*peer);
        } else {
            self.changed.remove(peer);
        }
    }

    /// A peer was read from the file, or is being written to it.
    pub(super) fn stored(&mut self, peer: &PeerId, known: bool) {
        if known {
            self.stored.insert(*peer);
        } else {
            self.stored.remove(peer);
        }
    }

    /// The file says of a peer what is known.
    pub(super) fn written(&mut self, peer: &PeerId) {
        self.changed.remove(peer);
    }

    /// Takes what has to be written; the file is thought to hold it from now on.
    pub(super) fn take<'a>(&mut self, known: impl Iterator<Item = &'a PeerId>) -> Pending {
        let changed = mem::take(&mut self.changed);
        match mem::take(&mut self.all) {
            true => Pending { all: true, peers: known.copied().collect() },
            false => Pending { all: false, peers: changed.into_iter().collect() },
        }
    }

    /// What was taken may or may not be in the file.
    pub(super) fn lost(&mut self) {
        *self = Self { all: true, ..Self::default() };
    }
}
