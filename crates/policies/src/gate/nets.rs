//! Networks and peers as the configuration names them, and a set of networks that answers in logarithmic time.

use ipnet::{IpNet, Ipv4Net};
use skep_api::{PeerId, Problems};
use std::net::IpAddr;

/// Networks, sorted and without those that another one covers.
///
/// Two networks are either disjoint or one within the other, so what is left is disjoint, and the one that
/// may hold an address is the last that starts at or before it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nets(Vec<IpNet>);

impl Nets {
    /// The set of `nets`. Networks of IPv4 addresses mapped into IPv6 become IPv4 networks.
    pub(crate) fn new(nets: impl IntoIterator<Item = IpNet>) -> Self {
        let mut sorted: Vec<_> = nets.into_iter().map(canonical).collect();
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

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The network that holds `ip`, which is not an IPv4 address mapped into IPv6.
    pub(crate) fn find(&self, ip: IpAddr) -> Option<IpNet> {
        let after = self.0.partition_point(|net| net.addr() <= ip);
        let candidate = self.0.get(after.checked_sub(1)?)?;
        candidate.contains(&ip).then_some(*candidate)
    }
}

/// Without address bits beyond the prefix length, and mapped IPv4 as IPv4: `::ffff:10.0.0.1/104` is `10.0.0.0/8`.
pub(crate) fn canonical(net: IpNet) -> IpNet {
    let net = net.trunc();
    let IpNet::V6(v6) = net else { return net };
    let mapped = v6.prefix_len().checked_sub(96).zip(v6.addr().to_ipv4_mapped());
    mapped.and_then(|(len, ip)| Ipv4Net::new(ip, len).ok()).map_or(net, IpNet::V4)
}

/// A network as the configuration has it: a single address without its prefix length.
pub(crate) fn shown(net: IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

/// Reads a network or an address; what is wrong with it, and what would be right.
pub(crate) fn parse_net(text: &str) -> Result<IpNet, (String, String)> {
    let net = match (text.parse::<IpAddr>(), text.parse::<IpNet>()) {
        (Ok(ip), _) => IpNet::from(ip),
        (_, Ok(net)) => net,
        _ => {
            let help = "an address or a network, such as \"192.0.2.7\", \"10.0.0.0/8\" or \"2001:db8::/32\"";
            return Err((format!("\"{text}\" is neither an IP address nor a network"), help.into()));
        }
    };
    if net.trunc() != net {
        // Whether the one address or the whole network was meant cannot be known.
        let problem = format!("\"{text}\" has address bits beyond its prefix length");
        return Err((
            problem,
            format!("write \"{}\" for the network or \"{}\" for the address", net.trunc(), net.addr()),
        ));
    }
    Ok(net)
}

/// Reads a peer id; what is wrong with it, and what would be right.
pub(crate) fn parse_peer(text: &str) -> Result<PeerId, (String, String)> {
    text.parse().map_err(|e| {
        (
            format!("\"{text}\" is not a peer id: {e}"),
            "the text form of a peer id, such as \"12D3KooW…\"".into(),
        )
    })
}

/// Reads the entries of one key; those that do not parse are noted with their place.
pub(crate) fn parse_all<'a, T>(
    key: &'a str,
    entries: &'a [String],
    parse: fn(&str) -> Result<T, (String, String)>,
    problems: &'a mut Problems,
) -> impl Iterator<Item = T> {
    entries.iter().enumerate().filter_map(move |(at, entry)| {
        parse(entry).map_err(|(problem, help)| problems.add(&format!("{key}[{at}]"), problem, help)).ok()
    })
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
