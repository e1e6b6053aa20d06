//! Which addresses are not worth a packet, and why. Pure: what is judged, and what it is judged by, is given.

use crate::error::Cause;
use skep_api::{
    Multiaddr, PeerId,
    address::{self, Carrier, Scope},
    multiaddr::Protocol,
};
use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

/// What addresses are judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    /// The peer that is wanted.
    pub(crate) peer: Option<PeerId>,
    /// Whether relayed addresses are out of the question.
    pub(crate) force_direct: bool,
    /// Whether addresses of private networks may be dialled.
    pub(crate) private_addresses: bool,
    /// Whether the caller has named the addresses, who then knows which host they are meant for.
    pub(crate) by_caller: bool,
    /// Where this node listens.
    pub(crate) own: &'a [Multiaddr],
}

/// What the addresses of a peer say about each other.
#[derive(Debug, Default)]
pub(crate) struct Together {
    /// One of them leads to this host.
    on_this_host: bool,
    /// One of them leads somewhere else than to a host's own loopback.
    beyond_loopback: bool,
}

/// The best address for each place, of those that are tried.
#[derive(Debug, Default)]
pub(crate) struct Best(HashMap<Place, (Carrier, Multiaddr)>);

/// An IP and a port; UDP and TCP ports are apart.
type Place = (IpAddr, u16, bool);

impl Together {
    /// Looks at all addresses of a peer, those tried before included.
    pub(crate) fn of<'a>(addrs: impl IntoIterator<Item = &'a Multiaddr>, host: &BTreeSet<IpAddr>) -> Self {
        let mut together = Self::default();
        for addr in addrs {
            let scope = address::scope(addr);
            let elsewhere = matches!(scope, Scope::LinkLocal | Scope::Private | Scope::Public);
            together.beyond_loopback |= elsewhere && undialable(addr).is_none();
            together.on_this_host |= address::ip(addr).is_some_and(|ip| host.contains(&ip.to_canonical()));
        }
        together
    }
}

impl Best {
    pub(crate) fn of<'a>(addrs: impl IntoIterator<Item = &'a Multiaddr>) -> Self {
        let mut best: HashMap<_, (Carrier, Multiaddr)> = HashMap::new();
        for addr in addrs {
            let Some((place, carrier)) = place(addr) else { continue };
            if best.get(&place).is_none_or(|(known, _)| carrier < *known) {
                best.insert(place, (carrier, addr.clone()));
            }
        }
        Self(best)
    }

    /// The address that leads to the same place as `addr` and is better.
    ///
    /// Only of two that share a port; a relay's port is shared by all peers behind it.
    pub(crate) fn better(&self, addr: &Multiaddr) -> Option<Multiaddr> {
        let (place, carrier) = place(addr)?;
        self.0.get(&place).filter(|(best, _)| *best < carrier).map(|(_, better)| better.clone())
    }
}

/// Why `addr` should not be dialled, if it should not. Names are judged when they are resolved.
pub(crate) fn judge(addr: &Multiaddr, together: &Together, rules: &Rules<'_>) -> Option<Cause> {
    if let Some(named) = address::peer(addr).filter(|named| rules.peer.is_some_and(|peer| peer != *named)) {
        return Some(Cause::OtherPeer(named));
    }
    if let Some(what) = undialable(addr) {
        return Some(Cause::Undialable(what));
    }
    if rules.own.contains(&address::without_peer(addr)) {
        return Some(Cause::OwnAddress);
    }
    let relayed = address::is_relayed(addr);
    if relayed && rules.force_direct {
        return Some(Cause::Relayed);
    }
    let scope = address::scope(addr);
    let foreign = together.beyond_loopback && !together.on_this_host && !rules.by_caller;
    // A node that dials public addresses only meets strangers, who could send it to the services of its own host.
    if scope == Scope::Loopback && (foreign || (!rules.private_addresses && !rules.by_caller)) {
        return Some(Cause::ForeignLoopback);
    }
    if matches!(scope, Scope::Private | Scope::LinkLocal) && !rules.private_addresses {
        return Some(Cause::PrivateAddress);
    }
    None
}

/// What of an address makes that nobody can be reached there.
fn undialable(addr: &Multiaddr) -> Option<&'static str> {
    match address::ip(addr).map(|ip| ip.to_canonical()) {
        Some(ip) if ip.is_unspecified() => return Some("the wildcard address"),
        Some(ip) if ip.is_multicast() => return Some("a multicast address"),
        // 0.0.0.0/8 is "this network", 240.0.0.0/4 is reserved, the last of it is broadcast (RFC 6890).
        Some(IpAddr::V4(ip)) if matches!(ip.octets(), [0 | 240..=255, ..]) => {
            return Some("a reserved address");
        }
        _ => {}
    }
    let memory = addr.iter().next() == Some(Protocol::Memory(0));
    (memory || address::port(addr) == Some(0)).then_some("port 0")
}

/// Where an address leads, and over what, where that is comparable.
fn place(addr: &Multiaddr) -> Option<(Place, Carrier)> {
    let carrier = address::carrier(addr);
    if carrier == Carrier::Other || address::is_relayed(addr) {
        return None;
    }
    let place = (address::ip(addr)?.to_canonical(), address::port(addr)?, address::is_udp(addr));
    Some((place, carrier))
}

#[cfg(test)]
mod tests;
