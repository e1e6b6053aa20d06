//! A set of networks that answers in logarithmic time.

use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;

/// Networks, sorted and without those that another one covers.
///
/// Two networks are either disjoint or one within the other, so what is left is disjoint, and the one that
/// may hold an address is the last that starts at or before it.
#[derive(Clone, Debug, Default)]
pub(super) struct Nets(Vec<IpNet>);

impl Nets {
    /// The set of `nets`. Networks of IPv4 addresses mapped into IPv6 become IPv4 networks.
    pub(super) fn new(nets: impl IntoIterator<Item = IpNet>) -> Self {
        let mut sorted: Vec<_> = nets.into_iter().map(|net| canonical(net.trunc())).collect();
        // A network comes before those within it.
        sorted.sort_unstable_by_key(|net| (net.addr(), net.prefix_len()));
        let mut disjoint: Vec<IpNet> = Vec::with_capacity(sorted.len());
        for net in sorted {
            if !disjoint.last().is_some_and(|last| last.contains(&net)) {
                disjoint.push(net);
            }
        }
        Self(disjoint)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The network that holds `ip`, which is not an IPv4 address mapped into IPv6.
    pub(super) fn find(&self, ip: IpAddr) -> Option<IpNet> {
        let after = self.0.partition_point(|net| net.addr() <= ip);
        let candidate = self.0.get(after.checked_sub(1)?)?;
        candidate.contains(&ip).then_some(*candidate)
    }
}

/// `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let mapped = v6.prefix_len().checked_sub(96).zip(v6.addr().to_ipv4_mapped());
    mapped.and_then(|(len, ip)| Ipv4Net::new(ip, len).ok()).map_or(net, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nets(texts: &[&str]) -> Nets {
        Nets::new(texts.iter().map(|text| text.parse().unwrap()))
    }

    #[test]
    fn covered_networks_are_merged() {
        let set = nets(&["10.1.0.0/16", "10.0.0.0/8", "10.0.0.0/8", "192.0.2.7/32", "::/0"]);
        assert_eq!(set.0.len(), 3);
        assert_eq!(set.find("10.1.2.3".parse().unwrap()), Some("10.0.0.0/8".parse().unwrap()));
        assert_eq!(set.find("11.0.0.0".parse().unwrap()), None);
        assert!(set.find("2001:db8::1".parse().unwrap()).is_some());
    }

    #[test]
    fn mapped_networks_are_ipv4() {
        let set = nets(&["::ffff:10.0.0.0/104"]);
        assert_eq!(set.find("10.255.255.255".parse().unwrap()), Some("10.0.0.0/8".parse().unwrap()));
        assert!(nets(&["::ffff:0:0/96"]).find("192.0.2.1".parse().unwrap()).is_some());
    }

    proptest! {
        #[test]
        fn finds_what_a_walk_over_all_rules_finds(
            rules in proptest::collection::vec((any::<u32>(), 0..=32u8), 0..30),
            probes in proptest::collection::vec(any::<u32>(), 0..30),
        ) {
            let rules: Vec<IpNet> =
                rules.iter().map(|(ip, len)| IpNet::V4(Ipv4Net::new((*ip).into(), *len).unwrap())).collect();
            let set = Nets::new(rules.iter().copied());
            let edges = rules.iter().flat_map(|net| [net.network(), net.broadcast()]);
            for ip in probes.into_iter().map(|ip| IpAddr::V4(ip.into())).chain(edges) {
                prop_assert_eq!(set.find(ip).is_some(), rules.iter().any(|net| net.contains(&ip)));
            }
        }
    }
}
