//! Peer stores: what is known about peers.

use crate::{Multiaddr, PeerId, PublicKey};
use std::{fmt, time::Duration};

/// Keeps addresses, keys and protocols of peers.
///
/// # Obligations
///
/// * A1. The number of peers, and of addresses of a peer, is bounded; the oldest unprotected go first.
/// * A2. An address is not returned after its time to live.
/// * A3. Adding an address again never shortens its time to live.
/// * A4. Methods do not block on I/O; a persistent store writes behind.
pub trait PeerStore: fmt::Debug + Send + Sync + 'static {
    /// Adds addresses of a peer.
    fn add_addrs(&self, peer: &PeerId, addrs: &[Multiaddr], ttl: Ttl);

    /// The addresses of a peer that are still valid.
    fn addrs(&self, peer: &PeerId) -> Vec<Multiaddr>;

    /// Forgets addresses of a peer.
    fn remove_addrs(&self, peer: &PeerId, addrs: &[Multiaddr]);

    /// Keeps a peer's public key, if it is the key of that peer id.
    fn set_key(&self, peer: &PeerId, key: PublicKey);

    /// A peer's public key.
    fn key(&self, peer: &PeerId) -> Option<PublicKey>;

    /// Replaces the protocols that a peer says it serves.
    fn set_protocols(&self, peer: &PeerId, protocols: Vec<String>);

    /// The protocols that a peer says it serves.
    fn protocols(&self, peer: &PeerId) -> Vec<String>;
}

/// How long an address is worth keeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ttl {
    /// Heard of from somebody: two minutes.
    Temporary,
    /// Was connected a while ago: half an hour.
    RecentlyConnected,
    /// While the peer is connected.
    Connected,
    /// Given by the operator: until removed.
    Permanent,
    /// As long as this.
    For(Duration),
}
