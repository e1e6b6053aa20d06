//! Decaying tags: registered by name, bumped through a handle.

use super::{
    decay::{Kind, Sample},
    entry::{Decaying, Entry},
    store::{TagStore, check_name},
    table::Table,
};
use skep_api::{
    PeerId,
    tags::{Bump, Decay, TagError},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// A decaying tag: each peer's value falls by itself, and rises by bumps. It counts in what a peer is worth like any other
/// tag, and goes with them when the peer has no connection any more. It is not kept over a restart.
///
/// Cheap to clone; clones are one tag. Dropping it changes nothing: values stay, and the name stays taken, until
/// [`DecayingTag::close`].
#[derive(Clone, Debug)]
pub struct DecayingTag {
    store: TagStore,
    kind: Arc<Kind>,
}

impl TagStore {
    /// Registers a tag that decays once every `interval`, a second or more. At most 64 of them. `decay` and `bump` do not
    /// run under the lock; a decay of the application's has to give the same for the same value, and is followed for 1000
    /// intervals after a bump. A value that has not come to rest by then is gone.
    ///
    /// # Errors
    /// [`TagError::Decaying`] if the name is taken, there are so many, or `interval` or `decay` makes no sense;
    /// [`TagError::Bounds`] if a bump's lower bound is above the upper; [`TagError::Name`] if the name is too long.
    pub fn register_decaying(
        &self,
        name: &str,
        interval: Duration,
        decay: Decay,
        bump: Bump,
    ) -> Result<DecayingTag, TagError> {
        let kind = Arc::new(Kind::new(name, interval, decay, bump)?);
        check_name(name)?;
        self.0.with(|table, _| table.add_kind(&kind))?;
        Ok(DecayingTag { store: self.clone(), kind })
    }
}

impl DecayingTag {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.kind.name
    }

    /// How often it decays.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.kind.interval
    }

    /// Bumps the value of a peer, which is 0 if it has none. The new value; at 0 or below it is gone, and 0 is the answer.
    ///
    /// # Errors
    /// [`TagError`] if the tag is closed, the peer has too many tags, or the store is full.
    pub fn bump(&self, peer: &PeerId, delta: i64) -> Result<i64, TagError> {
        let shared = &self.store.0;
        loop {
            let (old, now) = shared.with(|table, now| (table.sample(peer, &self.kind), now));
            let new = self.kind.bumped(old, delta, now);
            let sample = new.map(|(sample, _)| sample);
            let done = shared.with(|table, now| {
                let same = table.sample(peer, &self.kind) == old;
                same.then(|| table.set_sample(peer, &self.kind, sample, now))
            });
            if let Some(done) = done {
                return done.map(|()| new.map_or(0, |(_, value)| value));
            }
        }
    }

    /// Takes the value from a peer. Whether it had one.
    pub fn remove(&self, peer: &PeerId) -> bool {
        self.store.0.with(|table, now| {
            let had = table.sample(peer, &self.kind).is_some();
            had && table.set_sample(peer, &self.kind, None, now).is_ok()
        })
    }

    /// The value of a peer, if it has one.
    #[must_use]
    pub fn value(&self, peer: &PeerId) -> Option<i64> {
        let (sample, now) = self.store.0.with(|table, now| (table.sample(peer, &self.kind), now));
        self.kind.value(&sample?, now)
    }

    /// Takes the value from all peers, and gives the name free. Whether it was not closed already. It looks at every peer.
    pub fn close(&self) -> bool {
        self.store.0.with(|table, _| table.remove_kind(&self.kind))
    }
}

impl Table {
    fn add_kind(&mut self, kind: &Arc<Kind>) -> Result<(), TagError> {
        let wrong = |why| Err(TagError::Decaying(kind.name.to_string(), why));
        if self.kinds.contains_key(&kind.name) {
            return wrong("there is one of that name; close it first");
        }
        if self.kinds.len() >= self.limits.decaying {
            return wrong("there are as many as there may be; close one first");
        }
        self.kinds.insert(Arc::clone(&kind.name), Arc::clone(kind));
        Ok(())
    }

    fn remove_kind(&mut self, kind: &Arc<Kind>) -> bool {
        if !self.is_registered(kind) {
            return false;
        }
        self.kinds.remove(&kind.name);
        let with = |(_, entry): &(&PeerId, &Entry)| entry.decaying.contains_key(&kind.name);
        let peers: Vec<_> = self.peers.iter().filter(with).map(|(peer, _)| *peer).collect();
        for peer in peers {
            self.change(&peer, |entry| entry.decaying.remove(&kind.name));
        }
        true
    }

    /// A value of a decaying tag, as it was at the last bump.
    fn sample(&self, peer: &PeerId, kind: &Arc<Kind>) -> Option<Sample> {
        let tag = self.peers.get(peer)?.decaying.get(&kind.name)?;
        Arc::ptr_eq(&tag.kind, kind).then_some(tag.sample)
    }

    /// Sets a value of a decaying tag, or takes it.
    fn set_sample(
        &mut self,
        peer: &PeerId,
        kind: &Arc<Kind>,
        sample: Option<Sample>,
        now: Instant,
    ) -> Result<(), TagError> {
        if !self.is_registered(kind) {
            return Err(TagError::Closed(kind.name.to_string()));
        }
        let Some(sample) = sample else {
            self.change(peer, |entry| entry.decaying.remove(&kind.name));
            return Ok(());
        };
        let most = self.limits.names;
        self.hold(peer, now, |entry| {
            if entry.num_tags() >= most && !entry.decaying.contains_key(&kind.name) {
                return Err(TagError::PeerFull(most));
            }
            entry.decaying.insert(Arc::clone(&kind.name), Decaying { kind: Arc::clone(kind), sample });
            entry.quiet = now;
            Ok(())
        })
    }

    /// Whether a decaying tag is not closed.
    fn is_registered(&self, kind: &Arc<Kind>) -> bool {
        self.kinds.get(&kind.name).is_some_and(|known| Arc::ptr_eq(known, kind))
    }
}
