//! What the host's network interfaces say.

use std::{collections::BTreeSet, io, net::IpAddr};

/// The addresses of one family that a wildcard stands for, sorted, loopback included.
///
/// Link-local IPv6 addresses are left out: without the zone of the reader's own host they lead nowhere.
pub(crate) fn addresses(ipv6: bool) -> io::Result<Vec<IpAddr>> {
    let found: BTreeSet<IpAddr> = if_addrs::get_if_addrs()?
        .iter()
        .map(if_addrs::Interface::ip)
        .filter(|ip| match ip {
            IpAddr::V4(_) => !ipv6,
            IpAddr::V6(ip) => ipv6 && !ip.is_unicast_link_local(),
        })
        .collect();
    Ok(found.into_iter().collect())
}

/// The number of the interface of this name.
pub(crate) fn index_of(name: &str) -> io::Result<Option<u32>> {
    let interfaces = if_addrs::get_if_addrs()?;
    Ok(interfaces.into_iter().find(|interface| interface.name == name).and_then(|found| found.index))
}
