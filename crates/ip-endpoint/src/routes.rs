//! From where the system reaches an address.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

/// The address of this host from which the system reaches `target`. Asks the system's table of routes, and sends nothing.
///
/// # Errors
/// The system's, such as that there is no route: a datagram would be lost without a word.
pub fn source_for(target: SocketAddr) -> io::Result<SocketAddr> {
    let socket = UdpSocket::bind(wildcard(target.is_ipv6()))?;
    socket.connect(target)?;
    socket.local_addr()
}

/// Whether a socket that is bound to `bound` may be used to dial what the system reaches from `source`.
///
/// It has to be bound to that very address, or to all: packets from another address of the host may be lost on their
/// way, or their answers. A link-local address would tie the dial to one interface.
#[must_use]
pub fn can_dial_from(bound: SocketAddr, source: IpAddr) -> bool {
    bound.is_ipv4() == source.is_ipv4()
        && !matches!(bound.ip(), IpAddr::V6(ip) if ip.is_unicast_link_local())
        && (bound.ip().is_unspecified() || bound.ip() == source)
}

/// The wildcard address of a family with the port left to the system.
#[must_use]
pub fn wildcard(ipv6: bool) -> SocketAddr {
    let ip: IpAddr = if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    SocketAddr::new(ip, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_dials_what_is_reached_from_its_address() {
        for (bound, source, fits) in [
            ("127.0.0.1:4001", "127.0.0.1", true),
            ("127.0.0.1:4001", "192.0.2.1", false),
            ("192.0.2.7:4001", "127.0.0.1", false),
            ("192.0.2.7:4001", "192.0.2.7", true),
            // Of another interface.
            ("192.0.2.7:4001", "198.51.100.2", false),
            ("0.0.0.0:4001", "127.0.0.1", true),
            ("0.0.0.0:4001", "192.0.2.1", true),
            ("0.0.0.0:4001", "::1", false),
            ("[::]:4001", "2001:db8::1", true),
            ("[fe80::1%3]:4001", "fe80::1", false),
        ] {
            let fitted = can_dial_from(bound.parse().unwrap(), source.parse().unwrap());
            assert_eq!(fitted, fits, "{bound} from {source}");
        }
    }

    #[test]
    fn loopback_is_reached_from_loopback() {
        assert_eq!(source_for("127.0.0.1:1".parse().unwrap()).unwrap().ip(), Ipv4Addr::LOCALHOST);
    }
}
