//! A peer store that keeps addresses with their times to live, and nothing else.

use async_trait::async_trait;
use skep_api::{
    Multiaddr, PeerId, PublicKey, address,
    peerstore::{KnownAddr, PeerStore, PeerStoreError, PeerStoreStats, Ttl},
    record::SignedRecord,
};
use std::{
    collections::BTreeMap,
    mem::discriminant,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::Instant,
};

/// Discoveries that wait for one subscriber.
const QUEUE: usize = 64;

/// The peer store of a model node: addresses only, without caps.
#[derive(Debug, Default)]
pub struct FakeStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    peers: BTreeMap<PeerId, Vec<Held>>,
    subscribers: Vec<(PeerId, mpsc::Sender<Multiaddr>)>,
    discoverers: Vec<mpsc::Sender<PeerId>>,
}

#[derive(Clone, Debug)]
struct Held {
    addr: Multiaddr,
    ttl: Ttl,
    end: Option<Instant>,
}

impl Held {
    /// What lasts longer is greater.
    fn lasts(&self) -> (bool, bool, Option<Instant>) {
        (self.ttl == Ttl::Permanent, self.end.is_none(), self.end)
    }

    fn lasts_beyond(&self, now: Instant) -> bool {
        self.end.is_none_or(|end| end > now)
    }
}

impl FakeStore {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, without the addresses that have ended.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        let now = Instant::now();
        state.peers.retain(|_, addrs| {
            addrs.retain(|held| held.lasts_beyond(now));
            !addrs.is_empty()
        });
        state
    }
}

fn end_of(ttl: Ttl) -> Option<Instant> {
    let time = match ttl {
        Ttl::Temporary => Duration::from_secs(120),
        Ttl::RecentlyConnected => Duration::from_secs(900),
        Ttl::For(time) => time,
        _ => return None,
    };
    Instant::now().checked_add(time)
}

#[async_trait]
impl PeerStore for FakeStore {
    fn add_addrs(&self, peer: &PeerId, addrs: &[Multiaddr], ttl: Ttl) {
        let mut state = self.state();
        let known = state.peers.get(peer).cloned().unwrap_or_default();
        let (was_known, mut after) = (!known.is_empty(), known);
        let own = addrs.iter().filter(|addr| address::peer(addr).is_none_or(|named| named == *peer));
        for addr in own.map(address::without_peer) {
            let new = Held { addr, ttl, end: end_of(ttl) };
            match after.iter_mut().find(|held| held.addr == new.addr) {
                Some(held) if new.lasts() > held.lasts() => *held = new,
                Some(_) => {}
                None => {
                    let told = state.subscribers.iter().filter(|(of, _)| of == peer);
                    told.for_each(|(_, sender)| drop(sender.try_send(new.addr.clone())));
                    after.push(new);
                }
            }
        }
        if !was_known && !after.is_empty() {
            // A full queue is the subscriber's loss.
            state
                .discoverers
                .retain(|sender| !matches!(sender.try_send(*peer), Err(TrySendError::Closed(_))));
        }
        state.peers.insert(*peer, after);
    }

    fn reclass(&self, peer: &PeerId, from: Ttl, to: Ttl) {
        let mut state = self.state();
        let held = state.peers.get_mut(peer).into_iter().flatten();
        for held in held.filter(|held| discriminant(&held.ttl) == discriminant(&from)) {
            (held.ttl, held.end) = (to, end_of(to));
        }
    }

    fn addrs(&self, peer: &PeerId) -> Vec<KnownAddr> {
        let now = Instant::now();
        let known = |held: &Held| {
            let left = held.end.map(|end| end.saturating_duration_since(now));
            KnownAddr::new(held.addr.clone(), held.ttl, left)
        };
        let state = self.lock();
        let held = state.peers.get(peer).into_iter().flatten();
        held.filter(|held| held.lasts_beyond(now)).map(known).collect()
    }

    fn remove_addrs(&self, peer: &PeerId, addrs: &[Multiaddr]) {
        let gone: Vec<_> = addrs.iter().map(address::without_peer).collect();
        if let Some(held) = self.state().peers.get_mut(peer) {
            held.retain(|held| !gone.contains(&held.addr));
        }
    }

    fn subscribe(&self, peer: &PeerId) -> mpsc::Receiver<Multiaddr> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut state = self.state();
        state.subscribers.retain(|(_, sender)| !sender.is_closed());
        state.subscribers.push((*peer, sender));
        receiver
    }

    fn discoveries(&self) -> mpsc::Receiver<PeerId> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut state = self.state();
        state.discoverers.retain(|sender| !sender.is_closed());
        state.discoverers.push(sender);
        receiver
    }

    fn put_record(&self, _: &SignedRecord) -> bool {
        false
    }

    fn record(&self, _: &PeerId) -> Option<SignedRecord> {
        None
    }

    fn set_key(&self, peer: &PeerId, key: &PublicKey) -> bool {
        key.to_peer_id() == *peer
    }

    fn key(&self, _: &PeerId) -> Option<PublicKey> {
        None
    }

    fn set_protocols(&self, _: &PeerId, _: &[String]) {}

    fn protocols(&self, _: &PeerId) -> Vec<String> {
        Vec::new()
    }

    fn set_metadata(&self, _: &PeerId, _: &str, _: Option<&[u8]>) -> Result<(), PeerStoreError> {
        Ok(())
    }

    fn metadata(&self, _: &PeerId, _: &str) -> Option<Vec<u8>> {
        None
    }

    fn record_latency(&self, _: &PeerId, _: Duration) {}

    fn latency(&self, _: &PeerId) -> Option<Duration> {
        None
    }

    fn peers(&self) -> Vec<PeerId> {
        self.state().peers.keys().copied().collect()
    }

    fn forget(&self, peer: &PeerId) {
        self.state().peers.remove(peer);
    }

    fn stats(&self) -> PeerStoreStats {
        let state = self.state();
        let mut stats = PeerStoreStats::default();
        (stats.peers, stats.max_peers) = (state.peers.len(), usize::MAX);
        (stats.addrs, stats.max_addrs) = (state.peers.values().map(Vec::len).sum(), usize::MAX);
        stats
    }
}
