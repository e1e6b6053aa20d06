//! Peer stores: what is known about peers.

use crate::{Multiaddr, PeerId, PublicKey, error::layer_error, record::SignedRecord};
use async_trait::async_trait;
use std::{fmt, time::Duration};
use tokio::sync::mpsc;

/// Keeps addresses, certified records, keys, protocols, metadata and latencies of peers.
///
/// # Obligations
///
/// * A1. Everything is bounded: peers, addresses, records, protocols and metadata, per peer and in total. Beyond a
///   cap, peers without a connected or permanent address go first, the longest untouched of them first.
/// * A2. An address is not returned after its time to live.
/// * A3. Adding an address again never shortens its time to live; [`PeerStore::reclass`] may.
/// * A4. Methods other than `open` and `flush` do not block on I/O; a persistent store writes behind.
/// * A5. What was written before a call of `flush` is there after a restart once `flush` has returned `Ok`, also when
///   the process is killed right after it.
/// * A6. A key is kept only if it is the key of that peer id.
/// * A7. A record replaces one with a lower sequence number, and never one with a higher one.
/// * A8. A subscriber gets every address that is new to the peer once, and one that does not read holds up nobody.
/// * A9. A subscriber to discoveries gets a peer once each time it comes to have an address and had none, and one that
///   does not read holds up nobody. A store that cannot tell ends the subscription at once.
#[async_trait]
pub trait PeerStore: fmt::Debug + Send + Sync + 'static {
    /// Opens what the store keeps its data in. Called once, before the node starts; may block on I/O.
    ///
    /// # Errors
    /// [`PeerStoreErrorKind::Corrupted`], [`PeerStoreErrorKind::Io`] and the like; nothing that was there is lost.
    fn open(&self) -> Result<(), PeerStoreError> {
        Ok(())
    }

    /// Adds addresses of a peer. A trailing `/p2p/…` with the peer's id is taken off; addresses of another peer are
    /// left out.
    fn add_addrs(&self, peer: &PeerId, addrs: &[Multiaddr], ttl: Ttl);

    /// Gives all addresses of a peer that are of the class of `from` the time to live `to`, such as
    /// `Connected → RecentlyConnected` when the last connection has ended.
    fn reclass(&self, peer: &PeerId, from: Ttl, to: Ttl);

    /// The addresses of a peer that are still valid, without `/p2p/…`, in no order.
    fn addrs(&self, peer: &PeerId) -> Vec<KnownAddr>;

    /// Forgets addresses of a peer.
    fn remove_addrs(&self, peer: &PeerId, addrs: &[Multiaddr]);

    /// New addresses of a peer, from now on. Dropping the receiver ends it; a receiver that does not read misses
    /// addresses when its queue is full.
    fn subscribe(&self, peer: &PeerId) -> mpsc::Receiver<Multiaddr>;

    /// Peers of which an address becomes known and none was, from now on; as [`PeerStore::subscribe`] otherwise. Ends at
    /// once for a store that cannot tell.
    fn discoveries(&self) -> mpsc::Receiver<PeerId> {
        mpsc::channel(1).1
    }

    /// Keeps a certified record, its key and its addresses, the latter as certified and for an hour. Whether it was
    /// newer than the one known.
    fn put_record(&self, record: &SignedRecord) -> bool;

    /// The newest certified record of a peer.
    fn record(&self, peer: &PeerId) -> Option<SignedRecord>;

    /// Keeps a peer's public key. Whether it is the key of that peer id.
    fn set_key(&self, peer: &PeerId, key: &PublicKey) -> bool;

    /// A peer's public key.
    fn key(&self, peer: &PeerId) -> Option<PublicKey>;

    /// Replaces the protocols that a peer says it serves; those beyond the cap are left out.
    fn set_protocols(&self, peer: &PeerId, protocols: &[String]);

    /// The protocols that a peer says it serves.
    fn protocols(&self, peer: &PeerId) -> Vec<String>;

    /// Keeps bytes for a peer under a name, or with `None` forgets them.
    ///
    /// # Errors
    /// [`PeerStoreErrorKind::Limit`] if it is too much for one peer; what was there stays.
    fn set_metadata(&self, peer: &PeerId, name: &str, value: Option<&[u8]>) -> Result<(), PeerStoreError>;

    /// What was kept for a peer under a name.
    fn metadata(&self, peer: &PeerId, name: &str) -> Option<Vec<u8>>;

    /// Takes a measured round-trip time into the peer's moving average (weight 0.1).
    fn record_latency(&self, peer: &PeerId, rtt: Duration);

    /// The moving average of a peer's round-trip times.
    fn latency(&self, peer: &PeerId) -> Option<Duration>;

    /// The peers of which anything is known, in the order of their ids.
    fn peers(&self) -> Vec<PeerId>;

    /// Forgets all about a peer, permanent addresses included.
    fn forget(&self, peer: &PeerId);

    /// How much is kept.
    fn stats(&self) -> PeerStoreStats;

    /// Waits until everything written so far is safe. At once for a store in memory.
    ///
    /// # Errors
    /// [`PeerStoreErrorKind::Io`] if it could not be written; a later `flush` tries again.
    async fn flush(&self) -> Result<(), PeerStoreError> {
        Ok(())
    }
}

/// How long an address is worth keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ttl {
    /// Heard of from somebody: two minutes.
    Temporary,
    /// Was connected a while ago: a quarter of an hour.
    RecentlyConnected,
    /// While the peer is connected.
    Connected,
    /// Given by the operator: until removed.
    Permanent,
    /// As long as this.
    For(Duration),
}

/// An address of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownAddr {
    /// The address, without `/p2p/…`.
    pub addr: Multiaddr,
    /// Why it is kept. Of two reasons, the one that lasts longer.
    pub ttl: Ttl,
    /// Whether it stood in a record that the peer signed.
    pub certified: bool,
    /// How long it is still valid; `None` for ever, or while connected.
    pub left: Option<Duration>,
}

impl KnownAddr {
    /// An address that is not certified.
    #[must_use]
    pub fn new(addr: Multiaddr, ttl: Ttl, left: Option<Duration>) -> Self {
        Self { addr, ttl, certified: false, left }
    }

    /// Whether a connection to the address has worked.
    #[must_use]
    pub fn worked(&self) -> bool {
        matches!(self.ttl, Ttl::Connected | Ttl::RecentlyConnected)
    }
}

/// How much a store keeps, and its caps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStoreStats {
    /// Peers.
    pub peers: usize,
    /// Peers at most.
    pub max_peers: usize,
    /// Addresses of all peers.
    pub addrs: usize,
    /// Addresses at most.
    pub max_addrs: usize,
    /// Certified records.
    pub records: usize,
    /// Certified records at most.
    pub max_records: usize,
}

layer_error! {
    /// A peer store that could not do what it was asked.
    PeerStoreError,
    /// What went wrong in a peer store.
    PeerStoreErrorKind {
        /// The file cannot be read or written.
        Io => "peerstore_io", Local, Later, "the peer store's file cannot be used",
            "check the path, its permissions and the space left";
        /// Another process has the file open.
        InUse => "peerstore_in_use", Local, Later, "another process uses the peer store's file",
            "give each node a file of its own";
        /// The file is not what it should be.
        Corrupted => "peerstore_corrupted", Local, Permanent, "the peer store's file is damaged",
            "restore the file, or set `on_corruption = \"start_afresh\"`, which moves it aside";
        /// The file is of a later version.
        Version => "peerstore_version", Local, Permanent, "the peer store's file is of another version",
            "use the version that wrote the file, or give another file";
        /// Too much for one peer.
        Limit => "peerstore_limit", Local, Permanent, "a limit of the peer store is reached",
            "store less for this peer, or raise the key named";
    }
}
