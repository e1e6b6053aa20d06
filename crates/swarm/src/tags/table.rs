//! The table of peers with their tags and protections, and the lists that say which of them goes next.
//!
//! It reads no clock. Whoever holds it first calls [`Table::sweep`], so that it holds what is valid and nothing else.

use super::{
    decay::Kind,
    entry::{Entry, Fate, Listed},
    unsaved::Unsaved,
};
use skep_api::{PeerId, tags::TagError};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// How much a table holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Peers with tags or protections.
    pub(super) peers: usize,
    /// Tags of one peer, and protections of one peer.
    pub(super) names: usize,
    /// Decaying tags that are registered.
    pub(super) decaying: usize,
}

impl Limits {
    pub(super) const DEFAULT: Self = Self { peers: 1 << 16, names: 64, decaying: 64 };
}

/// The task that looks after a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    /// There is to be none.
    Absent,
    /// None runs.
    Resting,
    /// It sleeps until then.
    Until(Instant),
}

/// What the keeper is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Nothing,
    /// It is to start.
    Start,
    /// Something is due earlier than it thinks.
    Earlier,
}

/// Everything about everybody.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) limits: Limits,
    /// How long tags outlive the last connection; for ever if none.
    pub(super) grace: Option<Duration>,
    pub(super) peers: HashMap<PeerId, Entry>,
    pub(super) kinds: BTreeMap<Arc<str>, Arc<Kind>>,
    /// How many entries have tags or protections.
    held: usize,
    /// Entries that go when the grace period is over, by its beginning.
    going: BTreeSet<(Instant, PeerId)>,
    /// Entries that lose tags then.
    losing: BTreeSet<(Instant, PeerId)>,
    /// When the first decaying value of each entry is gone.
    ends: BTreeSet<(Instant, PeerId)>,
    /// If tags are kept in the peer store.
    pub(super) unsaved: Option<Unsaved>,
    pub(super) keeper: Keeper,
}

impl Table {
    pub(super) fn new(grace: Option<Duration>, limits: Limits) -> Self {
        Self {
            limits,
            grace,
            peers: HashMap::new(),
            kinds: BTreeMap::new(),
            held: 0,
            going: BTreeSet::new(),
            losing: BTreeSet::new(),
            ends: BTreeSet::new(),
            unsaved: None,
            keeper: Keeper::Absent,
        }
    }

    /// Peers with tags or protections.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Takes what is over: values that have decayed, tags whose grace period has ended.
    pub(super) fn sweep(&mut self, now: Instant) {
        while let Some((_, peer)) = self.ends.first().filter(|(end, _)| *end <= now).copied() {
            self.change(&peer, |entry| entry.decay(now));
        }
        let Some(grace) = self.grace else { return };
        let over = |since: &Instant| now.saturating_duration_since(*since) >= grace;
        while let Some((_, peer)) = self.going.first().filter(|(since, _)| over(since)).copied() {
            self.change(&peer, Entry::lose_tags);
            self.note(&peer, now);
        }
        while let Some((_, peer)) = self.losing.first().filter(|(since, _)| over(since)).copied() {
            self.change(&peer, Entry::lose_tags);
            self.note(&peer, now);
        }
    }

    /// When something is over next, or has to be written.
    pub(super) fn due(&self) -> Option<Instant> {
        let quiet = [self.going.first(), self.losing.first()].into_iter().flatten();
        let quiet = quiet.filter_map(|(since, _)| since.checked_add(self.grace?));
        let end = self.ends.first().map(|(end, _)| *end);
        quiet.chain(end).chain(self.unsaved.as_ref().and_then(Unsaved::due)).min()
    }

    /// What the keeper is to be told after a change.
    pub(super) fn call(&mut self) -> Call {
        let (call, due) = match (self.keeper, self.due()) {
            (Keeper::Resting, Some(due)) => (Call::Start, due),
            (Keeper::Until(until), Some(due)) if due < until => (Call::Earlier, due),
            _ => return Call::Nothing,
        };
        self.keeper = Keeper::Until(due);
        call
    }

    /// Changes an entry that there is. It is gone afterwards if it has nothing.
    pub(super) fn change<T>(&mut self, peer: &PeerId, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let result = change(self.peers.get_mut(peer)?);
        self.settle(peer);
        Some(result)
    }

    /// Changes an entry, new if need be, that will have tags or protections. The change may fail, if it then changes
    /// nothing.
    pub(super) fn hold<T>(
        &mut self,
        peer: &PeerId,
        now: Instant,
        change: impl FnOnce(&mut Entry) -> Result<T, TagError>,
    ) -> Result<T, TagError> {
        if self.held >= self.limits.peers && !self.peers.get(peer).is_some_and(Entry::is_held) {
            self.make_room(now)?;
        }
        let result = change(self.peers.entry(*peer).or_insert_with(|| Entry::new(now)));
        self.settle(peer);
        result
    }

    /// Takes the tags of the peer that was left alone for the longest.
    fn make_room(&mut self, now: Instant) -> Result<(), TagError> {
        let Some((_, peer)) = self.going.first().copied() else {
            return Err(TagError::Full(self.limits.peers));
        };
        self.change(&peer, Entry::lose_tags);
        self.note(&peer, now);
        Ok(())
    }

    /// Gives a peer a tag.
    pub(super) fn set(&mut self, peer: &PeerId, tag: &str, value: i64, now: Instant) -> Result<(), TagError> {
        let most = self.limits.names;
        self.hold(peer, now, |entry| {
            if let Some(known) = entry.tags.get_mut(tag) {
                *known = value;
            } else if entry.num_tags() >= most {
                return Err(TagError::PeerFull(most));
            } else {
                entry.tags.insert(tag.into(), value);
            }
            entry.quiet = now;
            Ok(())
        })?;
        self.note(peer, now);
        Ok(())
    }

    /// Protects a peer.
    pub(super) fn protect(&mut self, peer: &PeerId, owner: &str, now: Instant) -> Result<(), TagError> {
        let most = self.limits.names;
        self.hold(peer, now, |entry| {
            if entry.protected_by.contains(owner) {
                return Ok(());
            }
            if entry.protected_by.len() >= most {
                return Err(TagError::PeerFull(most));
            }
            entry.protected_by.insert(owner.into());
            Ok(())
        })?;
        self.note(peer, now);
        Ok(())
    }

    /// The value of a plain tag.
    pub(super) fn plain(&self, peer: &PeerId, tag: &str) -> Option<i64> {
        self.peers.get(peer)?.tags.get(tag).copied()
    }

    /// A connection to a peer begins.
    pub(super) fn connected(&mut self, peer: &PeerId, id: u64, now: Instant) {
        self.peers.entry(*peer).or_insert_with(|| Entry::new(now)).connections.insert(id);
        self.settle(peer);
    }

    /// A connection to a peer has ended. Whether it was known.
    pub(super) fn disconnected(&mut self, peer: &PeerId, id: u64, now: Instant) -> bool {
        let ended = self.change(peer, |entry| {
            let known = entry.connections.remove(&id);
            if known && entry.connections.is_empty() {
                entry.quiet = now;
            }
            known
        });
        ended.unwrap_or(false)
    }

    /// Something that is kept in the peer store has changed.
    pub(super) fn note(&mut self, peer: &PeerId, now: Instant) {
        if let Some(unsaved) = &mut self.unsaved {
            let entry = self.peers.get(peer);
            let something =
                entry.is_some_and(|entry| !(entry.tags.is_empty() && entry.protected_by.is_empty()));
            unsaved.note(peer, something, now);
        }
    }

    /// Brings the lists in line with an entry that has changed, and takes it if it has nothing.
    fn settle(&mut self, peer: &PeerId) {
        let Some(entry) = self.peers.get_mut(peer) else { return };
        let (before, now) = (entry.listed, entry.listing());
        entry.listed = now;
        if entry.is_empty() {
            self.peers.remove(peer);
        }
        if before != now {
            self.unlist(peer, before);
            self.list(peer, now);
        }
    }

    fn unlist(&mut self, peer: &PeerId, listed: Listed) {
        self.held = self.held.saturating_sub(listed.held.into());
        match listed.quiet {
            Some((Fate::Goes, since)) => self.going.remove(&(since, *peer)),
            Some((Fate::Stays, since)) => self.losing.remove(&(since, *peer)),
            None => false,
        };
        if let Some(end) = listed.end {
            self.ends.remove(&(end, *peer));
        }
    }

    fn list(&mut self, peer: &PeerId, listed: Listed) {
        self.held = self.held.saturating_add(listed.held.into());
        match listed.quiet {
            Some((Fate::Goes, since)) => self.going.insert((since, *peer)),
            Some((Fate::Stays, since)) => self.losing.insert((since, *peer)),
            None => false,
        };
        if let Some(end) = listed.end {
            self.ends.insert((end, *peer));
        }
    }
}

#[cfg(test)]
impl Table {
    /// The lists agree with the entries, and everything is within its limits.
    pub(super) fn check(&self) {
        let count = |counts: &dyn Fn(&Listed) -> bool| {
            self.peers.values().filter(|entry| counts(&entry.listed)).count()
        };
        for (peer, entry) in &self.peers {
            assert_eq!(entry.listed, entry.listing(), "{peer}");
            assert!(!entry.is_empty(), "{peer}");
            assert!(entry.num_tags().max(entry.protected_by.len()) <= self.limits.names, "{peer}");
            let listed = match entry.listed.quiet {
                Some((Fate::Goes, since)) => self.going.contains(&(since, *peer)),
                Some((Fate::Stays, since)) => self.losing.contains(&(since, *peer)),
                None => true,
            };
            assert!(listed && entry.listed.end.is_none_or(|end| self.ends.contains(&(end, *peer))), "{peer}");
        }
        let fate = |wanted| count(&|listed| listed.quiet.is_some_and(|(fate, _)| fate == wanted));
        assert_eq!((self.going.len(), self.losing.len()), (fate(Fate::Goes), fate(Fate::Stays)));
        assert_eq!(self.ends.len(), count(&|listed| listed.end.is_some()));
        assert_eq!(self.held, count(&|listed| listed.held));
        assert!(self.held <= self.limits.peers && self.kinds.len() <= self.limits.decaying);
    }
}
