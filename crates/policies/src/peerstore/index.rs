//! The index: everything a peer store knows, in memory and bounded. It reads no clock; every call is told the time.
//!
//! Each call first drops what has ended since the last one, so every table holds what is valid and nothing else.
//! An end is looked at once, so the work is spread over the calls that added the addresses.

mod addrs;
mod discoverers;
mod entry;
mod journal;
mod subscribers;

pub(super) use addrs::{Held, own};
pub(super) use entry::Entry;
pub(super) use journal::{Journal, Pending};

use super::limits::{CERTIFIED, Limits, MAX_RECORD_LEN};
use discoverers::Discoverers;
use skep_api::{
    Multiaddr, PeerId,
    peerstore::{KnownAddr, PeerStoreStats, Ttl},
    record::SignedRecord,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};
use subscribers::Subscribers;
use tokio::{sync::mpsc, time::Instant};

/// Everything that is known of peers.
#[derive(Debug)]
pub(super) struct Index {
    limits: Limits,
    peers: HashMap<PeerId, Entry>,
    /// The order in which peers go: those that nobody needs first, and of these the longest untouched.
    order: BTreeMap<(bool, u64), PeerId>,
    /// The same for the peers with a record.
    recorded: BTreeMap<(bool, u64), PeerId>,
    /// When the first address of each peer ends.
    ends: BTreeSet<(Instant, PeerId)>,
    addrs: usize,
    touches: u64,
    subscribers: Subscribers,
    discoverers: Discoverers,
    /// What is not in a file yet, if there is one.
    journal: Option<Journal>,
}

impl Index {
    pub(super) fn new(limits: Limits, journal: Option<Journal>) -> Self {
        Self {
            limits,
            peers: HashMap::new(),
            order: BTreeMap::new(),
            recorded: BTreeMap::new(),
            ends: BTreeSet::new(),
            addrs: 0,
            touches: 0,
            subscribers: Subscribers::default(),
            discoverers: Discoverers::default(),
            journal,
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is known of a peer.
    pub(super) fn get(&mut self, peer: &PeerId, now: Instant) -> Option<&Entry> {
        self.expire(now);
        self.peers.get(peer)
    }

    pub(super) fn addrs(&mut self, peer: &PeerId, now: Instant) -> Vec<KnownAddr> {
        self.get(peer, now).map(|entry| entry.addrs.known(now)).unwrap_or_default()
    }

    /// The peers of which anything is known, in order.
    pub(super) fn peers(&mut self, now: Instant) -> Vec<PeerId> {
        self.expire(now);
        let mut peers: Vec<_> = self.peers.keys().copied().collect();
        peers.sort_unstable();
        peers
    }

    pub(super) fn stats(&mut self, now: Instant) -> PeerStoreStats {
        self.expire(now);
        let mut stats = PeerStoreStats::default();
        (stats.peers, stats.max_peers) = (self.peers.len(), self.limits.peers);
        (stats.addrs, stats.max_addrs) = (self.addrs, self.limits.addrs);
        (stats.records, stats.max_records) = (self.recorded.len(), self.limits.records);
        stats
    }

    pub(super) fn add_addrs(&mut self, peer: &PeerId, addrs: &[Multiaddr], ttl: Ttl, now: Instant) {
        let held = addrs.iter().filter_map(|addr| own(peer, addr));
        let held = held.map(|addr| Held::new(addr, ttl, &self.limits, now)).collect();
        self.hold(peer, held, now, |_| {});
    }

    /// Whether the record is newer than the one known.
    pub(super) fn put_record(&mut self, record: &SignedRecord, now: Instant) -> bool {
        let peer = record.peer();
        let known = self.get(&peer, now).and_then(|entry| entry.record.as_ref());
        if record.envelope().len() > MAX_RECORD_LEN || known.is_some_and(|known| known.seq() >= record.seq())
        {
            return false;
        }
        let addrs = record.addrs().iter().filter_map(|addr| own(&peer, addr));
        let certified =
            |addr| Held { certified: true, ..Held::new(addr, Ttl::For(CERTIFIED), &self.limits, now) };
        let held = addrs.map(certified).collect();
        self.hold(&peer, held, now, |entry| {
            entry.record = Some(record.clone());
            entry.key = Some(record.key().clone());
        });
        true
    }

    pub(super) fn reclass(&mut self, peer: &PeerId, from: Ttl, to: Ttl, now: Instant) {
        let limits = self.limits;
        self.change_known(peer, now, |entry| entry.addrs.reclass(from, to, &limits, now));
    }

    pub(super) fn remove_addrs(&mut self, peer: &PeerId, addrs: &[Multiaddr], now: Instant) {
        self.change_known(peer, now, |entry| {
            addrs.iter().filter_map(|addr| own(peer, addr)).for_each(|addr| entry.addrs.remove(&addr));
        });
    }

    pub(super) fn record_latency(&mut self, peer: &PeerId, rtt: Duration, now: Instant) {
        self.change(peer, now, |entry| entry.record_latency(rtt));
    }

    pub(super) fn forget(&mut self, peer: &PeerId, now: Instant) {
        self.change_known(peer, now, |entry| *entry = Entry::default());
    }

    pub(super) fn subscribe(&mut self, peer: &PeerId) -> mpsc::Receiver<Multiaddr> {
        self.subscribers.add(peer)
    }

    pub(super) fn discoveries(&mut self) -> mpsc::Receiver<PeerId> {
        self.discoverers.add()
    }

    /// Changes what is known of a peer, known or not, and touches it. Whether it is known afterwards.
    pub(super) fn change(&mut self, peer: &PeerId, now: Instant, change: impl FnOnce(&mut Entry)) -> bool {
        self.expire(now);
        let mut entry = self.unlink(peer).unwrap_or_default();
        change(&mut entry);
        self.touches = self.touches.saturating_add(1);
        entry.touched = self.touches;
        self.link(peer, entry);
        self.note(peer);
        self.trim();
        self.peers.contains_key(peer)
    }

    /// The same for a peer of which something is known.
    pub(super) fn change_known(&mut self, peer: &PeerId, now: Instant, change: impl FnOnce(&mut Entry)) {
        self.expire(now);
        if self.peers.contains_key(peer) {
            self.change(peer, now, change);
        }
    }

    /// Puts back what was read from a file, touched after all that was put back before. Unless it is as it is
    /// stored, it will be written again.
    pub(super) fn restore(&mut self, peer: &PeerId, entry: Entry, as_stored: bool, now: Instant) {
        if let Some(journal) = &mut self.journal {
            journal.stored(peer, true);
        }
        let known = self.change(peer, now, |known| *known = entry);
        if let Some(journal) = self.journal.as_mut().filter(|_| known && as_stored) {
            journal.written(peer);
        }
    }

    /// What has to be written to the file.
    pub(super) fn take_pending(&mut self, now: Instant) -> Pending {
        self.expire(now);
        match &mut self.journal {
            Some(journal) => journal.take(self.peers.keys()),
            None => Pending { all: false, peers: Vec::new() },
        }
    }

    /// What is known of a peer, for the file; the file is thought to hold it from now on.
    pub(super) fn stored(&mut self, peer: &PeerId) -> Option<&Entry> {
        let entry = self.peers.get(peer);
        if let Some(journal) = &mut self.journal {
            journal.stored(peer, entry.is_some());
        }
        entry
    }

    /// What was taken to be written may not be in the file.
    pub(super) fn lost(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.lost();
        }
    }

    /// Adds addresses and tells of those that are new.
    fn hold(&mut self, peer: &PeerId, held: Vec<Held>, now: Instant, also: impl FnOnce(&mut Entry)) {
        let most = self.limits.addrs_per_peer;
        let mut new = Vec::new();
        let mut had_none = false;
        self.change(peer, now, |entry| {
            had_none = entry.addrs.len() == 0;
            also(entry);
            for held in held {
                let addr = held.addr.clone();
                if entry.addrs.add(held, most, now) {
                    new.push(addr);
                }
            }
        });
        let entry = self.peers.get(peer);
        new.retain(|addr| entry.is_some_and(|entry| entry.addrs.contains(addr)));
        self.subscribers.tell(peer, &new);
        if had_none && !new.is_empty() {
            self.discoverers.tell(peer);
        }
    }

    fn note(&mut self, peer: &PeerId) {
        if let Some(journal) = &mut self.journal {
            journal.note(peer, self.peers.contains_key(peer));
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some((_, peer)) = self.ends.first().filter(|(end, _)| *end <= now).copied() {
            let Some(mut entry) = self.unlink(&peer) else { return };
            entry.addrs.expire(now);
            self.link(&peer, entry);
            // A file knows by itself when an address ends, but not that nothing is left of the peer.
            if !self.peers.contains_key(&peer) {
                self.note(&peer);
            }
        }
    }

    /// Brings every table to its cap.
    fn trim(&mut self) {
        while self.peers.len() > self.limits.peers || self.addrs > self.limits.addrs {
            let Some(peer) = self.order.first_key_value().map(|(_, peer)| *peer) else { return };
            self.unlink(&peer);
            self.note(&peer);
        }
        while self.recorded.len() > self.limits.records {
            let Some(peer) = self.recorded.first_key_value().map(|(_, peer)| *peer) else { return };
            let Some(mut entry) = self.unlink(&peer) else { return };
            entry.record = None;
            self.link(&peer, entry);
            self.note(&peer);
        }
    }

    /// Takes a peer out of all tables.
    fn unlink(&mut self, peer: &PeerId) -> Option<Entry> {
        let entry = self.peers.remove(peer)?;
        self.order.remove(&entry.rank());
        if entry.record.is_some() {
            self.recorded.remove(&entry.rank());
        }
        entry.addrs.next_end().map(|end| self.ends.remove(&(end, *peer)));
        self.addrs = self.addrs.saturating_sub(entry.addrs.len());
        Some(entry)
    }

    /// Puts a peer into all tables, if anything is known of it.
    fn link(&mut self, peer: &PeerId, entry: Entry) {
        if entry.is_empty() {
            return;
        }
        self.order.insert(entry.rank(), *peer);
        if entry.record.is_some() {
            self.recorded.insert(entry.rank(), *peer);
        }
        entry.addrs.next_end().map(|end| self.ends.insert((end, *peer)));
        self.addrs = self.addrs.saturating_add(entry.addrs.len());
        self.peers.insert(*peer, entry);
    }
}

#[cfg(test)]
mod tests;
