//! Which listening ports a dial can start from.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The bound addresses of one transport's listeners. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListeningPorts(Arc<Mutex<BTreeMap<SocketAddr, usize>>>);

impl ListeningPorts {
    /// Notes a bound address until the guard is dropped.
    pub(crate) fn add(&self, bound: SocketAddr) -> PortGuard {
        *self.lock().entry(bound).or_default() += 1;
        PortGuard { ports: self.clone(), bound }
    }

    /// An address to bind before dialling `target`: that of a listener of the same family from which `target`
    /// can be reached. A listener on a loopback address serves loopback targets only, and the other way round; a
    /// wildcard serves both.
    pub(crate) fn source_for(&self, target: SocketAddr) -> Option<SocketAddr> {
        let fits = |bound: &&SocketAddr| {
            bound.is_ipv4() == target.is_ipv4()
                && !is_link_local(bound.ip())
                && (bound.ip().is_unspecified() || bound.ip().is_loopback() == target.ip().is_loopback())
        };
        self.lock().keys().find(fits).copied()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Binding a link-local address would tie the dial to one interface.
fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// Takes a listener's address out again when dropped.
#[derive(Debug)]
pub(crate) struct PortGuard {
    ports: ListeningPorts,
    bound: SocketAddr,
}

impl Drop for PortGuard {
    fn drop(&mut self) {
        let mut ports = self.ports.lock();
        match ports.get_mut(&self.bound) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(ports.remove(&self.bound)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_source_has_the_family_and_reach_of_the_target() {
        let ports = ListeningPorts::default();
        assert_eq!(ports.source_for(socket("192.0.2.1:1")), None);
        let loopback = ports.add(socket("127.0.0.1:4001"));
        assert_eq!(ports.source_for(socket("192.0.2.1:1")), None);
        assert_eq!(ports.source_for(socket("127.0.0.1:1")), Some(socket("127.0.0.1:4001")));
        assert_eq!(ports.source_for(socket("[::1]:1")), None);
        let _wildcard = ports.add(socket("0.0.0.0:4002"));
        assert_eq!(ports.source_for(socket("192.0.2.1:1")), Some(socket("0.0.0.0:4002")));
        drop(loopback);
        assert_eq!(ports.source_for(socket("127.0.0.1:1")), Some(socket("0.0.0.0:4002")));
    }
}
