//! Between multiaddrs and socket addresses.

use crate::interfaces;
use skep_api::{
    Multiaddr, escape,
    multiaddr::{self, Protocol},
};
use std::{
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6},
};

/// A TCP endpoint as a multiaddr states it, in canonical form: an IPv4 address that is written as an IPv6 one
/// (`::ffff:192.0.2.1`) is an IPv4 address here, so that filters cannot be passed by spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
    /// The interface of an IPv6 address, as a name or a number (RFC 4007, section 11).
    zone: Option<String>,
}

impl Endpoint {
    /// Reads `[/ip6zone/<zone>]/ip4|ip6/<ip>/tcp/<port>[/p2p/<id>]`; any other form is `None`.
    #[must_use]
    pub fn parse(addr: &Multiaddr) -> Option<Self> {
        let mut parts = addr.iter();
        let endpoint = Self::take(&mut parts)?;
        match (parts.next(), parts.next()) {
            (None, _) | (Some(Protocol::P2p(_)), None) => Some(endpoint),
            _ => None,
        }
    }

    /// Takes `[/ip6zone/<zone>]/ip4|ip6/<ip>/tcp/<port>` from the front of an address; what follows is left.
    #[must_use]
    pub fn take(parts: &mut multiaddr::Iter<'_>) -> Option<Self> {
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
        let Protocol::Tcp(port) = parts.next()? else { return None };
        Some(Self { ip, port, zone })
    }

    /// The same address with another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        Self { port, ..self.clone() }
    }

    /// The multiaddr, without `/p2p/…`.
    #[must_use]
    pub fn to_multiaddr(&self) -> Multiaddr {
        let mut addr = Multiaddr::empty();
        if let Some(zone) = &self.zone {
            addr.push(Protocol::Ip6zone(zone.as_str().into()));
        }
        addr.push(self.ip.into());
        addr.push(Protocol::Tcp(self.port));
        addr
    }

    /// The socket address. Looks up the number of a named zone.
    ///
    /// # Errors
    /// `AddrNotAvailable` when no interface has the zone's name, or when a link-local address has no zone.
    pub fn to_socket_addr(&self) -> io::Result<SocketAddr> {
        let IpAddr::V6(ip) = self.ip else { return Ok(SocketAddr::new(self.ip, self.port)) };
        let scope = match &self.zone {
            Some(zone) => scope_of(zone)?,
            None if ip.is_unicast_link_local() => {
                let problem = "a link-local address needs its interface: /ip6zone/<interface>/ip6/…";
                return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, problem));
            }
            None => 0,
        };
        Ok(SocketAddrV6::new(ip, self.port, 0, scope).into())
    }
}

impl From<SocketAddr> for Endpoint {
    /// IPv4 in IPv6 becomes IPv4, and a scope becomes a zone's number.
    fn from(socket: SocketAddr) -> Self {
        let zone = match socket {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => Some(v6.scope_id().to_string()),
            _ => None,
        };
        Self { ip: socket.ip().to_canonical(), port: socket.port(), zone }
    }
}

fn scope_of(zone: &str) -> io::Result<u32> {
    if let Ok(number) = zone.parse() {
        return Ok(number);
    }
    interfaces::index_of(zone)?.ok_or_else(|| {
        let problem = format!("no interface is named `{}`", escape::remote(zone));
        io::Error::new(io::ErrorKind::AddrNotAvailable, problem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Endpoint> {
        Endpoint::parse(&text.parse().unwrap())
    }

    #[test]
    fn addresses_of_this_transport_are_read_and_written_back() {
        let id = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        for text in ["/ip4/192.0.2.1/tcp/80", "/ip6/2001:db8::1/tcp/0", "/ip6zone/eth0/ip6/fe80::1/tcp/1"] {
            assert_eq!(parse(text).unwrap().to_multiaddr().to_string(), text);
            assert_eq!(parse(&format!("{text}/p2p/{id}")), parse(text));
        }
    }

    #[test]
    fn other_forms_are_not_ours() {
        let id = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        for text in [
            "/ip4/192.0.2.1",
            "/ip4/192.0.2.1/udp/80",
            "/ip4/192.0.2.1/tcp/80/ws",
            &format!("/ip4/192.0.2.1/tcp/80/p2p/{id}/p2p-circuit"),
            "/dns4/example.org/tcp/80",
            "/ip6zone/eth0/ip4/192.0.2.1/tcp/80",
            "/memory/1",
            "/tcp/80",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(Endpoint::parse(&Multiaddr::empty()), None);
    }

    #[test]
    fn ipv4_in_ipv6_is_shown_as_ipv4() {
        let mapped = parse("/ip6/::ffff:192.0.2.1/tcp/80").unwrap();
        assert_eq!(mapped.to_multiaddr().to_string(), "/ip4/192.0.2.1/tcp/80");
        let socket: SocketAddr = "[::ffff:192.0.2.1]:80".parse().unwrap();
        assert_eq!(Endpoint::from(socket).to_multiaddr().to_string(), "/ip4/192.0.2.1/tcp/80");
    }

    #[test]
    fn a_zone_is_a_number_or_the_name_of_an_interface() {
        let numbered = parse("/ip6zone/7/ip6/fe80::1/tcp/80").unwrap().to_socket_addr().unwrap();
        assert_eq!(numbered, SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 0, 7).into());
        assert_eq!(Endpoint::from(numbered).to_multiaddr().to_string(), "/ip6zone/7/ip6/fe80::1/tcp/80");
        let error = parse("/ip6zone/nope0/ip6/fe80::1/tcp/80").unwrap().to_socket_addr().unwrap_err();
        assert_eq!(error.to_string(), "no interface is named `nope0`");
        let error = parse("/ip6/fe80::1/tcp/80").unwrap().to_socket_addr().unwrap_err();
        assert!(error.to_string().starts_with("a link-local address needs its interface"), "{error}");
    }
}
