//! The contract on top of the index: the same for every plugin here, which differ in what keeps the index.

use super::index::Index;
use async_trait::async_trait;
use skep_api::{
    Multiaddr, PeerId, PublicKey,
    peerstore::{KnownAddr, PeerStore, PeerStoreError, PeerStoreErrorKind, PeerStoreStats, Ttl},
    record::SignedRecord,
};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// The index as it is shared between a store and what keeps it.
pub(super) type SharedIndex = Arc<Mutex<Index>>;

/// A store that answers from an index.
pub(super) struct Indexed {
    index: SharedIndex,
    keeper: Arc<dyn Keeper>,
}

/// Keeps an index beyond the life of the process, or not.
#[async_trait]
pub(super) trait Keeper: fmt::Debug + Send + Sync + 'static {
    /// Fills the index with what was kept. May block.
    fn open(&self) -> Result<(), PeerStoreError> {
        Ok(())
    }

    /// The index has changed. Does not block.
    fn changed(&self) {}

    /// Waits until everything in the index is kept.
    async fn flush(&self) -> Result<(), PeerStoreError> {
        Ok(())
    }
}

impl Indexed {
    pub(super) fn new(index: SharedIndex, keeper: Arc<dyn Keeper>) -> Self {
        Self { index, keeper }
    }

    fn read<T>(&self, read: impl FnOnce(&mut Index, Instant) -> T) -> T {
        read(&mut locked(&self.index), Instant::now())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Index, Instant) -> T) -> T {
        let result = self.read(change);
        self.keeper.changed();
        result
    }
}

/// The index; no code that holds it panics, and if it did the index would still be bounded.
pub(super) fn locked(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl PeerStore for Indexed {
    fn open(&self) -> Result<(), PeerStoreError> {
        self.keeper.open()
    }

    fn add_addrs(&self, peer: &PeerId, addrs: &[Multiaddr], ttl: Ttl) {
        self.change(|index, now| index.add_addrs(peer, addrs, ttl, now));
    }

    fn reclass(&self, peer: &PeerId, from: Ttl, to: Ttl) {
        self.change(|index, now| index.reclass(peer, from, to, now));
    }

    fn addrs(&self, peer: &PeerId) -> Vec<KnownAddr> {
        self.read(|index, now| index.addrs(peer, now))
    }

    fn remove_addrs(&self, peer: &PeerId, addrs: &[Multiaddr]) {
        self.change(|index, now| index.remove_addrs(peer, addrs, now));
    }

    fn subscribe(&self, peer: &PeerId) -> mpsc::Receiver<Multiaddr> {
        self.read(|index, _| index.subscribe(peer))
    }

    fn discoveries(&self) -> mpsc::Receiver<PeerId> {
        self.read(|index, _| index.discoveries())
    }

    fn put_record(&self, record: &SignedRecord) -> bool {
        self.change(|index, now| index.put_record(record, now))
    }

    fn record(&self, peer: &PeerId) -> Option<SignedRecord> {
        self.read(|index, now| index.get(peer, now)?.record.clone())
    }

    fn set_key(&self, peer: &PeerId, key: &PublicKey) -> bool {
        let own = key.to_peer_id() == *peer;
        if own {
            self.change(|index, now| index.change(peer, now, |entry| entry.key = Some(key.clone())));
        }
        own
    }

    fn key(&self, peer: &PeerId) -> Option<PublicKey> {
        self.read(|index, now| index.get(peer, now)?.key.clone())
    }

    fn set_protocols(&self, peer: &PeerId, protocols: &[String]) {
        self.change(|index, now| {
            let limits = *index.limits();
            index.change(peer, now, |entry| entry.set_protocols(protocols, &limits))
        });
    }

    fn protocols(&self, peer: &PeerId) -> Vec<String> {
        self.read(|index, now| index.get(peer, now).map(|entry| entry.protocols.clone())).unwrap_or_default()
    }

    fn set_metadata(&self, peer: &PeerId, name: &str, value: Option<&[u8]>) -> Result<(), PeerStoreError> {
        let limit =
            |key: &str| Err(PeerStoreError::new(PeerStoreErrorKind::Limit, format!("`{key}`, {peer}")));
        let Some(value) = value else {
            self.change(|index, now| {
                index.change_known(peer, now, |entry| drop(entry.metadata.remove(name)))
            });
            return Ok(());
        };
        let mut fits = false;
        let kept = self.change(|index, now| {
            let limits = *index.limits();
            index.change(peer, now, |entry| fits = entry.set_metadata(name, value, &limits))
        });
        match (fits, kept) {
            (false, _) => limit("max_metadata_per_peer"),
            // Every other peer is connected or permanent, and this one had to go.
            (true, false) => limit("max_peers"),
            (true, true) => Ok(()),
        }
    }

    fn metadata(&self, peer: &PeerId, name: &str) -> Option<Vec<u8>> {
        self.read(|index, now| index.get(peer, now)?.metadata.get(name).cloned())
    }

    fn record_latency(&self, peer: &PeerId, rtt: Duration) {
        self.change(|index, now| index.record_latency(peer, rtt, now));
    }

    fn latency(&self, peer: &PeerId) -> Option<Duration> {
        self.read(|index, now| index.get(peer, now)?.latency)
    }

    fn peers(&self) -> Vec<PeerId> {
        self.read(Index::peers)
    }

    fn forget(&self, peer: &PeerId) {
        self.change(|index, now| index.forget(peer, now));
    }

    fn stats(&self) -> PeerStoreStats {
        self.read(Index::stats)
    }

    async fn flush(&self) -> Result<(), PeerStoreError> {
        self.keeper.flush().await
    }
}

impl fmt::Debug for Indexed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerStore").field("stats", &self.stats()).field("keeper", &self.keeper).finish()
    }
}
