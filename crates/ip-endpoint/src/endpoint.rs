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

/// What carries a transport's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// `/tcp`
    Tcp,
    /// `/udp`
    Udp,
}

/// An IP address and a port as a multiaddr states them, in canonical form: an IPv4 address that is written as an IPv6 one
/// (`::ffff:192.0.2.1`) is an IPv4 address here, so that filters cannot be passed by spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whose port it is.
    pub carrier: Carrier,
    /// The address.
    pub ip: IpAddr,
    /// The port.
    pub port: u16,
    /// The interface of an IPv6 address, as a name or a number (RFC 4007, section 11).
    zone: Option<String>,
}

impl Endpoint {
    /// The endpoint of a socket: IPv4 in IPv6 becomes IPv4, and a scope becomes a zone's number.
    #[must_use]
    pub fn new(carrier: Carrier, socket: SocketAddr) -> Self {
        let zone = match socket {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => Some(v6.scope_id().to_string()),
            _ => None,
        };
        Self { carrier, ip: socket.ip().to_canonical(), port: socket.port(), zone }
    }

    /// Reads `[/ip6zone/<zone>]/ip4|ip6/<ip>/tcp|udp/<port>[/p2p/<id>]`; any other form is `None`.
    #[must_use]
    pub fn parse(addr: &Multiaddr, carrier: Carrier) -> Option<Self> {
        let mut parts = addr.iter();
        let endpoint = Self::take(&mut parts, carrier)?;
        match (parts.next(), parts.next()) {
            (None, _) | (Some(Protocol::P2p(_)), None) => Some(endpoint),
            _ => None,
        }
    }

    /// Takes `[/ip6zone/<zone>]/ip4|ip6/<ip>/tcp|udp/<port>` from the front of an address; what follows is left.
    #[must_use]
    pub fn take(parts: &mut multiaddr::Iter<'_>, carrier: Carrier) -> Option<Self> {
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
        let ((Protocol::Tcp(port), Carrier::Tcp) | (Protocol::Udp(port), Carrier::Udp)) =
            (parts.next()?, carrier)
        else {
            return None;
        };
        Some(Self { carrier, ip, port, zone })
    }

    /// The same address with another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        Self { port, ..self.clone() }
    }

    /// The multiaddr up to the port.
    #[must_use]
    pub fn to_multiaddr(&self) -> Multiaddr {
        let mut addr = Multiaddr::empty();
        if let Some(zone) = &self.zone {
            addr.push(Protocol::Ip6zone(zone.as_str().into()));
        }
        addr.push(self.ip.into());
        addr.push(match self.carrier {
            Carrier::Tcp => Protocol::Tcp(self.port),
            Carrier::Udp => Protocol::Udp(self.port),
        });
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
                return Err(not_available(problem));
            }
            None => 0,
        };
        Ok(SocketAddrV6::new(ip, self.port, 0, scope).into())
    }

    /// The socket address to dial. Systems disagree on what a wildcard or port 0 means as a destination, and Linux takes
    /// `0.0.0.0` for this very host, past any filter for loopback addresses. Here they are none, as POSIX has it.
    ///
    /// # Errors
    /// `AddrNotAvailable` for these two, and as [`Endpoint::to_socket_addr`].
    pub fn to_destination(&self) -> io::Result<SocketAddr> {
        if self.ip.is_unspecified() {
            return Err(not_available("a wildcard address is for listening and cannot be dialled"));
        }
        if self.port == 0 {
            return Err(not_available("port 0 is for listening and cannot be dialled"));
        }
        self.to_socket_addr()
    }
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

    fn parse(text: &str) -> Option<Endpoint> {
        Endpoint::parse(&text.parse().unwrap(), Carrier::Tcp)
    }

    #[test]
    fn addresses_are_read_and_written_back() {
        let id = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        for text in ["/ip4/192.0.2.1/tcp/80", "/ip6/2001:db8::1/tcp/0", "/ip6zone/eth0/ip6/fe80::1/tcp/1"] {
            assert_eq!(parse(text).unwrap().to_multiaddr().to_string(), text);
            assert_eq!(parse(&format!("{text}/p2p/{id}")), parse(text));
        }
    }

    #[test]
    fn other_forms_are_none() {
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
        assert_eq!(Endpoint::parse(&Multiaddr::empty(), Carrier::Tcp), None);
    }

    #[test]
    fn ipv4_in_ipv6_is_shown_as_ipv4() {
        let mapped = parse("/ip6/::ffff:192.0.2.1/tcp/80").unwrap();
        assert_eq!(mapped.to_multiaddr().to_string(), "/ip4/192.0.2.1/tcp/80");
        let socket: SocketAddr = "[::ffff:192.0.2.1]:80".parse().unwrap();
        assert_eq!(Endpoint::new(Carrier::Tcp, socket).to_multiaddr().to_string(), "/ip4/192.0.2.1/tcp/80");
    }

    #[test]
    fn a_zone_is_a_number_or_the_name_of_an_interface() {
        let numbered = parse("/ip6zone/7/ip6/fe80::1/tcp/80").unwrap().to_socket_addr().unwrap();
        assert_eq!(numbered, SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 0, 7).into());
        assert_eq!(
            Endpoint::new(Carrier::Tcp, numbered).to_multiaddr().to_string(),
            "/ip6zone/7/ip6/fe80::1/tcp/80"
        );
        let error = parse("/ip6zone/nope0/ip6/fe80::1/tcp/80").unwrap().to_socket_addr().unwrap_err();
        assert_eq!(error.to_string(), "no interface is named `nope0`");
        let error = parse("/ip6/fe80::1/tcp/80").unwrap().to_socket_addr().unwrap_err();
        assert!(error.to_string().starts_with("a link-local address needs its interface"), "{error}");
    }

    #[test]
    fn a_port_is_that_of_its_carrier() {
        let addr: Multiaddr = "/ip4/192.0.2.1/udp/80".parse().unwrap();
        let udp = Endpoint::parse(&addr, Carrier::Udp).unwrap();
        assert_eq!(udp.to_multiaddr(), addr);
        assert_eq!(Endpoint::parse(&addr, Carrier::Tcp), None);
    }

    #[test]
    fn wildcards_and_port_zero_are_no_destination() {
        for text in ["/ip4/0.0.0.0/tcp/1", "/ip6/::/tcp/1", "/ip4/127.0.0.1/tcp/0"] {
            let error = parse(text).unwrap().to_destination().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable, "{text}");
        }
    }
}
