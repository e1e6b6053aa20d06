//! What is known of one peer.

use super::decay::{Kind, Sample};
use skep_api::tags::{CommonTags, TagInfo};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::time::Instant;

/// One peer. It is in the table while it has anything.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) tags: BTreeMap<Arc<str>, i64>,
    pub(super) decaying: BTreeMap<Arc<str>, Decaying>,
    pub(super) protected_by: BTreeSet<Arc<str>>,
    pub(super) connections: BTreeSet<u64>,
    pub(super) since: Instant,
    /// When its last connection ended or a tag was given, whichever is later.
    pub(super) quiet: Instant,
    /// Where the table lists it.
    pub(super) listed: Listed,
}

/// A value that decays.
#[derive(Clone, Debug)]
pub(super) struct Decaying {
    pub(super) kind: Arc<Kind>,
    pub(super) sample: Sample,
}

/// Where a table lists an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// Whether it has tags or protections.
    pub(super) held: bool,
    /// Since when the grace period of its tags runs, and what becomes of it.
    pub(super) quiet: Option<(Fate, Instant)>,
    /// When the first of its decaying values is gone.
    pub(super) end: Option<Instant>,
}

/// What becomes of an entry when the grace period is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes. So it does before, where room is needed.
    Goes,
    /// It loses tags and stays: it is protected, or has a tag that outlives connections.
    Stays,
}

impl Entry {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            tags: BTreeMap::new(),
            decaying: BTreeMap::new(),
            protected_by: BTreeSet::new(),
            connections: BTreeSet::new(),
            since: now,
            quiet: now,
            listed: Listed::default(),
        }
    }

    /// Whether there are tags or protections.
    pub(super) fn is_held(&self) -> bool {
        !(self.tags.is_empty() && self.decaying.is_empty() && self.protected_by.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.is_held() && self.connections.is_empty()
    }

    /// How many tags there are.
    pub(super) fn num_tags(&self) -> usize {
        self.tags.len().saturating_add(self.decaying.len())
    }

    fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.tags.keys().chain(self.decaying.keys())
    }

    /// Where it is to be listed.
    pub(super) fn listing(&self) -> Listed {
        let ends = self.decaying.values().filter_map(|tag| tag.kind.gone_at(&tag.sample));
        Listed { held: self.is_held(), quiet: self.fate().map(|fate| (fate, self.quiet)), end: ends.min() }
    }

    /// What the end of the grace period does to it, if it runs.
    fn fate(&self) -> Option<Fate> {
        let outlives = |name: &Arc<str>| CommonTags::outlives_connection(name);
        if !self.connections.is_empty() || self.names().all(outlives) {
            return None;
        }
        let stays = !self.protected_by.is_empty() || self.names().any(outlives);
        Some(if stays { Fate::Stays } else { Fate::Goes })
    }

    /// Takes the tags that do not outlive a connection.
    pub(super) fn lose_tags(&mut self) {
        self.tags.retain(|name, _| CommonTags::outlives_connection(name));
        self.decaying.retain(|name, _| CommonTags::outlives_connection(name));
    }

    /// Takes the values of which nothing is left.
    pub(super) fn decay(&mut self, now: Instant) {
        self.decaying.retain(|_, tag| !tag.kind.is_gone(&tag.sample, now));
    }

    /// The sum of its tags, if that can be told without a function of the application's, and at little cost.
    pub(super) fn plain_value(&self) -> Option<i64> {
        let sum = || self.tags.values().fold(0_i64, |sum, value| sum.saturating_add(*value));
        self.decaying.is_empty().then(sum)
    }

    /// All there is to tell.
    pub(super) fn seen(&self, now: Instant) -> Seen {
        let mut info = TagInfo::default();
        info.tags = self.tags.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        info.protected_by = self.protected_by.iter().map(ToString::to_string).collect();
        info.age = now.saturating_duration_since(self.since);
        info.connections.clone_from(&self.connections);
        info.temp = self.connections.is_empty();
        Seen { info, decaying: self.decaying.values().cloned().collect(), now }
    }
}

/// What was seen of an entry under the lock of the table. To finish it may take functions of the application's.
#[derive(Debug)]
pub(super) struct Seen {
    info: TagInfo,
    decaying: Vec<Decaying>,
    now: Instant,
}

impl Seen {
    /// Adds what decays. Not under the lock.
    pub(super) fn finish(mut self) -> TagInfo {
        for tag in &self.decaying {
            if let Some(value) = tag.kind.value(&tag.sample, self.now) {
                let sum = self.info.tags.entry(tag.kind.name.to_string()).or_insert(0);
                *sum = sum.saturating_add(value);
            }
        }
        self.info
    }
}
