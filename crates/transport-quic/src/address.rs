//! Between multiaddrs and socket addresses.

use crate::interfaces;
use skep_api::{Multiaddr, PeerId, escape, multiaddr::Protocol};
use std::{
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6},
};

/// A QUIC endpoint as a multiaddr states it, in canonical form: an IPv4 address that is written as an IPv6 one
/// (`::ffff:192.0.2.1`) is an IPv4 address here, so that filters cannot be passed by spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
    /// The interface of an IPv6 address, as a name or a number (RFC 4007, section 11).
    zone: Option<String>,
    /// The peer that the address names at its end.
    pub(crate) peer: Option<PeerId>,
}

impl Address {
    /// Reads `[/ip6zone/<zone>]/ip4|ip6/<ip>/udp/<port>/quic-v1[/p2p/<id>]`; any other form is `None`.
    pub(crate) fn parse(addr: &Multiaddr) -> Option<Self> {
        let mut parts = addr.iter();
        let (zone, ip) = match parts.next()? {
            Protocol::Ip4(ip) => (None, IpAddr::V4(ip)),
            Protocol::Ip6(ip) => (None, IpAddr::V6(ip).to_canonical()),
            Protocol::Ip6zone(zone) => match parts.next()? {
                Protocol::Ip6(ip) if ip.to_ipv4_mapped().is_none() => {
                    (Some(zone.into_owned()), IpAddr::V6(ip))
                }
                _ => return None,
            },
            _ => return None,
        };
        let Protocol::Udp(port) = parts.next()? else { return None };
        let Protocol::QuicV1 = parts.next()? else { return None };
        let peer = match (parts.next(), parts.next()) {
            (None, _) => None,
            (Some(Protocol::P2p(peer)), None) => Some(peer),
            _ => return None,
        };
        Some(Self { ip, port, zone, peer })
    }

    /// The same address with another port.
    pub(crate) fn with_port(&self, port: u16) -> Self {
        Self { port, ..self.clone() }
    }

    /// The multiaddr, without `/p2p/…`.
    pub(crate) fn to_multiaddr(&self) -> Multiaddr {
        let mut addr = Multiaddr::empty();
        if let Some(zone) = &self.zone {
            addr.push(Protocol::Ip6zone(zone.as_str().into()));
        }
        addr.push(self.ip.into());
        addr.push(Protocol::Udp(self.port));
        addr.push(Protocol::QuicV1);
        addr
    }

    /// The socket address. Looks up the number of a named zone.
    ///
    /// # Errors
    /// `AddrNotAvailable` when no interface has the zone's name, or when a link-local address has no zone.
    pub(crate) fn to_socket_addr(&self) -> io::Result<SocketAddr> {
        let IpAddr::V6(ip) = self.ip else { return Ok(SocketAddr::new(self.ip, self.port)) };
        let scope = match &self.zone {
            Some(zone) => scope_of(zone)?,
            None if ip.is_unicast_link_local() => {
                let problem = "a link-local address needs its interface: /ip6zone/<interface>/ip6/…";
                return Err(not_available(problem));
            }
            None => 0,
        };
        Ok(SocketAddrV6::new(ip, self.port, 0, scope).into())
    }

    /// The socket address to dial. Systems disagree on what a wildcard or port 0 means as a destination, and Linux takes
    /// `0.0.0.0` for this very host, past any filter for loopback addresses.
    ///
    /// # Errors
    /// `AddrNotAvailable` for these two, and as [`Address::to_socket_addr`].
    pub(crate) fn to_destination(&self) -> io::Result<SocketAddr> {
        if self.ip.is_unspecified() {
            return Err(not_available("a wildcard address is for listening and cannot be dialled"));
        }
        if self.port == 0 {
            return Err(not_available("port 0 is for listening and cannot be dialled"));
        }
        self.to_socket_addr()
    }
}

/// The multiaddr of a socket address: IPv4 in IPv6 becomes `/ip4`, and a scope becomes `/ip6zone/<number>`.
pub(crate) fn multiaddr_of(socket: SocketAddr) -> Multiaddr {
    let zone = match socket {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => Some(v6.scope_id().to_string()),
        _ => None,
    };
    Address { ip: socket.ip().to_canonical(), port: socket.port(), zone, peer: None }.to_multiaddr()
}

fn scope_of(zone: &str) -> io::Result<u32> {
    if let Ok(number) = zone.parse() {
        return Ok(number);
    }
    interfaces::index_of(zone)?
        .ok_or_else(|| not_available(format!("no interface is named `{}`", escape::remote(zone))))
}

fn not_available(problem: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::AddrNotAvailable, problem.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    fn parse(text: &str) -> Option<Address> {
        Address::parse(&text.parse().unwrap())
    }

    #[test]
    fn addresses_of_this_transport_are_read_and_written_back() {
        for text in [
            "/ip4/192.0.2.1/udp/80/quic-v1",
            "/ip6/2001:db8::1/udp/0/quic-v1",
            "/ip6zone/eth0/ip6/fe80::1/udp/1/quic-v1",
        ] {
            let plain = parse(text).unwrap();
            assert_eq!((plain.to_multiaddr().to_string().as_str(), plain.peer), (text, None));
            let named = parse(&format!("{text}/p2p/{ID}")).unwrap();
            assert_eq!(named.to_multiaddr().to_string(), text);
            assert_eq!(named.peer.unwrap().to_string(), ID);
        }
    }

    #[test]
    fn other_forms_are_not_ours() {
        for text in [
            "/ip4/192.0.2.1",
            "/ip4/192.0.2.1/udp/80",
            "/ip4/192.0.2.1/udp/80/quic",
            "/ip4/192.0.2.1/tcp/80/quic-v1",
            "/ip4/192.0.2.1/udp/80/quic-v1/webtransport",
            &format!("/ip4/192.0.2.1/udp/80/quic-v1/p2p/{ID}/p2p-circuit"),
            "/dns4/example.org/udp/80/quic-v1",
            "/ip6zone/eth0/ip4/192.0.2.1/udp/80/quic-v1",
            "/memory/1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(Address::parse(&Multiaddr::empty()), None);
    }

    #[test]
    fn ipv4_in_ipv6_is_shown_as_ipv4() {
        let mapped = parse("/ip6/::ffff:192.0.2.1/udp/80/quic-v1").unwrap();
        assert_eq!(mapped.to_multiaddr().to_string(), "/ip4/192.0.2.1/udp/80/quic-v1");
        let socket = "[::ffff:192.0.2.1]:80".parse().unwrap();
        assert_eq!(multiaddr_of(socket).to_string(), "/ip4/192.0.2.1/udp/80/quic-v1");
    }

    #[test]
    fn a_zone_is_a_number_or_the_name_of_an_interface() {
        let numbered = parse("/ip6zone/7/ip6/fe80::1/udp/80/quic-v1").unwrap().to_socket_addr().unwrap();
        assert_eq!(numbered, SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 0, 7).into());
        assert_eq!(multiaddr_of(numbered).to_string(), "/ip6zone/7/ip6/fe80::1/udp/80/quic-v1");
        let error = parse("/ip6zone/nope0/ip6/fe80::1/udp/80/quic-v1").unwrap().to_socket_addr().unwrap_err();
        assert_eq!(error.to_string(), "no interface is named `nope0`");
        let error = parse("/ip6/fe80::1/udp/80/quic-v1").unwrap().to_socket_addr().unwrap_err();
        assert!(error.to_string().starts_with("a link-local address needs its interface"), "{error}");
    }

    #[test]
    fn wildcards_and_port_zero_are_no_destination() {
        for text in ["/ip4/0.0.0.0/udp/1/quic-v1", "/ip6/::/udp/1/quic-v1", "/ip4/127.0.0.1/udp/0/quic-v1"] {
            let error = parse(text).unwrap().to_destination().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable, "{text}");
        }
    }
}
