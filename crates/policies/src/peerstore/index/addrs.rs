//! The addresses of one peer.

use crate::peerstore::limits::{Limits, MAX_ADDR_LEN};
use skep_api::{
    Multiaddr, PeerId, address,
    peerstore::{KnownAddr, Ttl},
};
use tokio::time::Instant;

/// The addresses of one peer, in the order in which they became known.
#[derive(Clone, Debug, Default)]
pub(in crate::peerstore) struct Addrs(Vec<Held>);

/// An address and how long it is kept.
#[derive(Clone, Debug)]
pub(in crate::peerstore) struct Held {
    pub(in crate::peerstore) addr: Multiaddr,
    pub(in crate::peerstore) ttl: Ttl,
    /// `None` without an end.
    pub(in crate::peerstore) expires: Option<Instant>,
    pub(in crate::peerstore) certified: bool,
}

impl Held {
    pub(in crate::peerstore) fn new(addr: Multiaddr, ttl: Ttl, limits: &Limits, now: Instant) -> Self {
        Self { addr, ttl, expires: end_of(ttl, limits, now), certified: false }
    }

    /// What lasts longer is greater.
    fn lasts(&self) -> (u8, Option<Instant>) {
        match self.ttl {
            Ttl::Permanent => (2, None),
            _ if self.expires.is_none() => (1, None),
            _ => (0, self.expires),
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

impl Addrs {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(in crate::peerstore) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.0.iter()
    }

    pub(super) fn contains(&self, addr: &Multiaddr) -> bool {
        self.0.iter().any(|held| held.addr == *addr)
    }

    /// Whether an address is connected or permanent, so that the peer goes last.
    pub(super) fn are_needed(&self) -> bool {
        self.0.iter().any(|held| held.expires.is_none())
    }

    /// When the first of them ends.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.0.iter().filter_map(|held| held.expires).min()
    }

    pub(super) fn known(&self, now: Instant) -> Vec<KnownAddr> {
        let known = |held: &Held| {
            let left = held.expires.map(|end| end.saturating_duration_since(now));
            let mut known = KnownAddr::new(held.addr.clone(), held.ttl, left);
            known.certified = held.certified;
            known
        };
        self.0.iter().filter(|held| !held.is_over(now)).map(known).collect()
    }

    /// Adds an address, or lets a known one live longer. Whether it was new. Beyond the cap, the address that
    /// ends first goes: that may be the new one.
    pub(in crate::peerstore) fn add(&mut self, new: Held, most: usize, now: Instant) -> bool {
        if new.is_over(now) {
            return false;
        }
        if let Some(held) = self.0.iter_mut().find(|held| held.addr == new.addr) {
            held.certified |= new.certified;
            if new.lasts() > held.lasts() {
                (held.ttl, held.expires) = (new.ttl, new.expires);
            }
            return false;
        }
        self.0.push(new);
        if self.0.len() > most {
            let first = self.0.iter().enumerate().min_by_key(|(_, held)| held.lasts()).map(|(at, _)| at);
            first.map(|at| self.0.remove(at));
        }
        true
    }

    pub(in crate::peerstore) fn reclass(&mut self, from: Ttl, to: Ttl, limits: &Limits, now: Instant) {
        let class = std::mem::discriminant(&from);
        for held in self.0.iter_mut().filter(|held| std::mem::discriminant(&held.ttl) == class) {
            (held.ttl, held.expires) = (to, end_of(to, limits, now));
        }
        self.expire(now);
    }

    pub(super) fn remove(&mut self, addr: &Multiaddr) {
        self.0.retain(|held| held.addr != *addr);
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.0.retain(|held| !held.is_over(now));
    }
}

fn end_of(ttl: Ttl, limits: &Limits, now: Instant) -> Option<Instant> {
    limits.time_to_live(ttl).map(|time| now.checked_add(time).unwrap_or(now))
}

/// An address as it is kept: without the peer at its end. `None` if it is that of another peer, or too long.
pub(in crate::peerstore) fn own(peer: &PeerId, addr: &Multiaddr) -> Option<Multiaddr> {
    let of_another = address::peer(addr).is_some_and(|named| named != *peer);
    let bare = if of_another { return None } else { address::without_peer(addr) };
    (!bare.is_empty() && bare.len() <= MAX_ADDR_LEN).then_some(bare)
}
