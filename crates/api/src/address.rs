//! What an address says by itself: how far it reaches, over what, and in which network it lies.

use crate::{Multiaddr, PeerId, multiaddr::Protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// This host.
    Loopback,
    /// This link: 169.254.0.0/16, fe80::/10.
    LinkLocal,
    /// Networks that are not routed in public: RFC 1918, RFC 6598 (100.64.0.0/10), RFC 4193 (fc00::/7).
    Private,
    /// Anywhere.
    Public,
    /// The address begins with no IP: a name, or a transport of its own.
    Unknown,
}

/// The scope of an IP address. One that is mapped into IPv6 counts as IPv4.
#[must_use]
pub fn ip_scope(ip: IpAddr) -> Scope {
    match ip.to_canonical() {
        IpAddr::V4(ip) if ip.is_loopback() => Scope::Loopback,
        IpAddr::V4(ip) if ip.is_link_local() => Scope::LinkLocal,
        IpAddr::V4(ip) if ip.is_private() || is_shared(ip) => Scope::Private,
        IpAddr::V6(ip) if ip.is_loopback() => Scope::Loopback,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Scope::LinkLocal,
        IpAddr::V6(ip) if ip.is_unique_local() => Scope::Private,
        _ => Scope::Public,
    }
}

/// Addresses that carriers share among customers (RFC 6598).
fn is_shared(ip: Ipv4Addr) -> bool {
    matches!(ip.octets(), [100, second, ..] if second & 0xc0 == 64)
}

/// The scope of an address, by the IP that it begins with.
#[must_use]
pub fn scope(addr: &Multiaddr) -> Scope {
    ip(addr).map_or(Scope::Unknown, ip_scope)
}

/// The IP that an address begins with. A zone before it is passed over.
#[must_use]
pub fn ip(addr: &Multiaddr) -> Option<IpAddr> {
    let mut parts = addr.iter();
    let mut first = parts.next()?;
    if matches!(first, Protocol::Ip6zone(_)) {
        first = parts.next()?;
    }
    match first {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// The port behind the IP or the name, where there is one.
#[must_use]
pub fn port(addr: &Multiaddr) -> Option<u16> {
    addr.iter().find_map(|part| match part {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    })
}

/// What an address goes over, as far as dialling is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Carrier {
    /// QUIC version 1.
    QuicV1,
    /// QUIC draft 29.
    QuicDraft,
    /// HTTP/3 sessions over QUIC.
    WebTransport,
    /// Plain TCP.
    Tcp,
    /// WebSocket, with or without TLS.
    WebSocket,
    /// Anything else.
    Other,
}

/// What an address goes over. The outermost word decides: `/tcp/…/ws` is WebSocket.
#[must_use]
pub fn carrier(addr: &Multiaddr) -> Carrier {
    let mut found = Carrier::Other;
    for part in addr.iter() {
        found = match part {
            Protocol::Tcp(_) => Carrier::Tcp,
            Protocol::Quic => Carrier::QuicDraft,
            Protocol::QuicV1 => Carrier::QuicV1,
            Protocol::WebTransport => Carrier::WebTransport,
            Protocol::Ws(_) | Protocol::Wss(_) => Carrier::WebSocket,
            Protocol::P2pCircuit => break,
            _ => found,
        };
    }
    found
}

/// Whether an address goes over UDP.
#[must_use]
pub fn is_udp(addr: &Multiaddr) -> bool {
    addr.iter().any(|part| matches!(part, Protocol::Udp(_)))
}

/// Whether an address leads through a relay.
#[must_use]
pub fn is_relayed(addr: &Multiaddr) -> bool {
    addr.iter().any(|part| matches!(part, Protocol::P2pCircuit))
}

/// Whether an address holds a name that has to be resolved.
#[must_use]
pub fn has_name(addr: &Multiaddr) -> bool {
    addr.iter().any(|part| {
        matches!(part, Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_))
    })
}

/// The peer that an address names at its end.
#[must_use]
pub fn peer(addr: &Multiaddr) -> Option<PeerId> {
    match addr.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// An address without the peer at its end. `/p2p/…/p2p-circuit` keeps the relay's.
#[must_use]
pub fn without_peer(addr: &Multiaddr) -> Multiaddr {
    let mut bare = addr.clone();
    if peer(addr).is_some() {
        bare.pop();
    }
    bare
}

/// A block of addresses that one owner is likely to hold: a /24 of IPv4, a /48 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subnet(IpAddr);

impl Subnet {
    /// The block that an IP lies in.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & 0xffff_ff00).into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !((1 << 80) - 1)).into(),
        })
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.0, if self.0.is_ipv4() { 24 } else { 48 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn scopes() {
        for (text, expected) in [
            ("/ip4/127.0.0.1/tcp/1", Scope::Loopback),
            ("/ip6/::1/udp/1/quic-v1", Scope::Loopback),
            ("/ip6/::ffff:10.0.0.1/tcp/1", Scope::Private),
            ("/ip4/192.168.1.1/tcp/1", Scope::Private),
            ("/ip4/100.64.0.1/tcp/1", Scope::Private),
            ("/ip4/100.128.0.1/tcp/1", Scope::Public),
            ("/ip6/fd00::1/tcp/1", Scope::Private),
            ("/ip4/169.254.1.1/tcp/1", Scope::LinkLocal),
            ("/ip6zone/eth0/ip6/fe80::1/tcp/1", Scope::LinkLocal),
            ("/ip4/203.0.113.1/tcp/1", Scope::Public),
            ("/dns4/example.com/tcp/1", Scope::Unknown),
            ("/memory/1", Scope::Unknown),
        ] {
            assert_eq!(scope(&addr(text)), expected, "{text}");
        }
    }

    #[test]
    fn carriers() {
        for (text, expected) in [
            ("/ip4/1.2.3.4/tcp/1", Carrier::Tcp),
            ("/ip4/1.2.3.4/tcp/1/tls/ws", Carrier::WebSocket),
            ("/ip4/1.2.3.4/udp/1/quic-v1", Carrier::QuicV1),
            ("/ip4/1.2.3.4/udp/1/quic-v1/webtransport", Carrier::WebTransport),
            ("/ip4/1.2.3.4/udp/1/webrtc-direct", Carrier::Other),
            ("/memory/1", Carrier::Other),
        ] {
            assert_eq!(carrier(&addr(text)), expected, "{text}");
        }
    }

    #[test]
    fn peers_and_relays() {
        let id = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        let relayed = addr(&format!("/ip4/1.2.3.4/tcp/1/p2p/{id}/p2p-circuit"));
        assert!(is_relayed(&relayed) && peer(&relayed).is_none());
        assert_eq!(without_peer(&relayed), relayed);
        let direct = addr(&format!("/ip4/1.2.3.4/tcp/1/p2p/{id}"));
        assert_eq!(peer(&direct).map(|p| p.to_string()).as_deref(), Some(id));
        assert_eq!(without_peer(&direct), addr("/ip4/1.2.3.4/tcp/1"));
        assert_eq!(port(&direct), Some(1));
    }

    #[test]
    fn subnets() {
        let of = |ip: &str| Subnet::of(ip.parse().unwrap()).to_string();
        assert_eq!(of("203.0.113.77"), "203.0.113.0/24");
        assert_eq!(of("2001:db8:1:2::3"), "2001:db8:1::/48");
        assert_eq!(of("::ffff:203.0.113.77"), "203.0.113.0/24");
    }
}
