//! Hosts: what counts as one, where limits and rates are per host.

use ipnet::IpNet;
use skep_api::{Multiaddr, address};
use std::net::IpAddr;

/// The host that an IP belongs to: an address of IPv4, a /56 of IPv6, which one customer has of a provider.
pub(crate) fn host(ip: IpAddr) -> IpNet {
    let ip = ip.to_canonical();
    IpNet::new(ip, host_bits(ip)).map_or_else(|_| ip.into(), |net| net.trunc())
}

/// The length of a host's prefix.
pub(crate) fn host_bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 56 }
}

/// The IP that speaks for an address, mapped IPv4 as IPv4. Through a relay it would be the relay's, which speaks for
/// nobody else: `None`, as where there is no IP at all.
pub(crate) fn ip_of(addr: &Multiaddr) -> Option<IpAddr> {
    address::ip(addr).filter(|_| !address::is_relayed(addr)).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let of = |ip: &str| host(ip.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.7"), "192.0.2.7/32");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7/32");
        assert_eq!(of("2001:db8:1:2ff:3::4"), "2001:db8:1:200::/56");
    }

    #[test]
    fn only_an_ip_at_the_head_speaks_for_an_address() {
        let of = |text: &str| ip_of(&text.parse().unwrap()).map(|ip| ip.to_string());
        assert_eq!(of("/ip6/::ffff:192.0.2.7/tcp/1").as_deref(), Some("192.0.2.7"));
        assert_eq!(of("/memory/7"), None);
        assert_eq!(of("/dns4/example.com/tcp/1"), None);
        let relay = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        assert_eq!(of(&format!("/ip4/192.0.2.7/tcp/1/p2p/{relay}/p2p-circuit")), None);
    }
}
