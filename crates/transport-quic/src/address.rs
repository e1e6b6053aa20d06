//! Which multiaddrs are QUIC's, and what they say.

use skep_api::{Multiaddr, PeerId, multiaddr::Protocol};
use skep_ip_endpoint::{Carrier, Endpoint};
use std::net::SocketAddr;

/// A QUIC endpoint as a multiaddr states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) endpoint: Endpoint,
    /// The peer that the address names at its end.
    pub(crate) peer: Option<PeerId>,
}

impl Address {
    /// Reads `[/ip6zone/<zone>]/ip4|ip6/<ip>/udp/<port>/quic-v1[/p2p/<id>]`; any other form is `None`.
    pub(crate) fn parse(addr: &Multiaddr) -> Option<Self> {
        let mut parts = addr.iter();
        let endpoint = Endpoint::take(&mut parts, Carrier::Udp)?;
        let Protocol::QuicV1 = parts.next()? else { return None };
        let peer = match (parts.next(), parts.next()) {
            (None, _) => None,
            (Some(Protocol::P2p(peer)), None) => Some(peer),
            _ => return None,
        };
        Some(Self { endpoint, peer })
    }

    /// The multiaddr, without `/p2p/…`.
    pub(crate) fn to_multiaddr(&self) -> Multiaddr {
        multiaddr_at(&self.endpoint)
    }
}

/// The multiaddr of QUIC at an endpoint.
pub(crate) fn multiaddr_at(endpoint: &Endpoint) -> Multiaddr {
    endpoint.to_multiaddr().with(Protocol::QuicV1)
}

/// The multiaddr of a socket address.
pub(crate) fn multiaddr_of(socket: SocketAddr) -> Multiaddr {
    multiaddr_at(&Endpoint::new(Carrier::Udp, socket))
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
}
