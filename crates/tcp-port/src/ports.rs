//! The TCP ports of a node.

use crate::{Options, accepted::Accepted, kind::Kind, shared::Shared, socket};
use skep_ip_endpoint::{Endpoint, can_dial_from};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

/// The bound addresses of a node, for the transports that share them: a plugin gets the node's one table from
/// [`BuildCx::shared`](skep_api::BuildCx::shared).
#[derive(Debug, Default)]
pub struct Ports(Mutex<BTreeMap<SocketAddr, Port>>);

/// A bound address.
#[derive(Debug)]
struct Port {
    shared: Arc<Shared>,
    /// The kinds whose transports dial from this port.
    dialled_from: Vec<Kind>,
}

impl Ports {
    /// Binds an address for a kind, or joins those that have it. Port 0 is always a fresh one.
    pub(crate) fn take(
        self: &Arc<Self>,
        endpoint: &Endpoint,
        kind: Kind,
        options: &Options,
    ) -> io::Result<Slot> {
        let wanted = endpoint.to_socket_addr()?;
        let mut table = self.lock();
        let bound = if table.contains_key(&wanted) {
            wanted
        } else {
            let shared = Shared::new(socket::listening(wanted, options)?, endpoint.to_multiaddr());
            let bound = shared.local_addr()?;
            table.insert(bound, Port { shared: Arc::new(shared), dialled_from: Vec::new() });
            bound
        };
        let port = table.get_mut(&bound).ok_or(io::ErrorKind::NotFound)?;
        if !port.shared.open(kind) {
            let problem = format!("another transport of this node takes {kind:?} connections there");
            return Err(io::Error::new(io::ErrorKind::AddrInUse, problem));
        }
        let slot = Slot { ports: Arc::clone(self), shared: Some(Arc::clone(&port.shared)), bound, kind };
        let shared = options.port_reuse.then(|| port.shared.let_dials_share()).transpose();
        port.dialled_from.extend(options.port_reuse.then_some(kind));
        // The slot gives back what was taken, which needs the table.
        drop(table);
        shared.map(|_| slot)
    }

    /// An address to bind before a transport of this kind dials what the system reaches from `source`: that of its listener
    /// there, if it has one.
    pub(crate) fn dial_from(&self, kind: Kind, source: IpAddr) -> Option<SocketAddr> {
        let table = self.lock();
        let found = table
            .iter()
            .find(|(bound, port)| port.dialled_from.contains(&kind) && can_dial_from(**bound, source));
        found.map(|(bound, _)| *bound)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Port>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A kind's place on a port, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    ports: Arc<Ports>,
    /// Empty only while it is dropped.
    shared: Option<Arc<Shared>>,
    bound: SocketAddr,
    kind: Kind,
}

impl Slot {
    pub(crate) fn bound(&self) -> SocketAddr {
        self.bound
    }

    pub(crate) fn poll_accept(&self, cx: &Context<'_>) -> Poll<io::Result<Accepted>> {
        match &self.shared {
            Some(shared) => shared.poll_accept(self.kind, cx),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.ports.lock();
        // The socket closes while the table is locked, so that whoever binds the address next finds it free.
        if self.shared.take().is_some_and(|shared| shared.close(self.kind)) {
            table.remove(&self.bound);
        } else if let Some(port) = table.get_mut(&self.bound) {
            port.dialled_from.retain(|kind| *kind != self.kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_port_is_dialled_from_by_its_kind_where_it_is_bound() {
        let ports = Arc::new(Ports::default());
        let bind = |addr: &str, kind, port_reuse| {
            let options = Options { port_reuse, ..Options::default() };
            ports.take(&crate::endpoint(socket(addr)), kind, &options).unwrap()
        };
        let from = |source: &str| ports.dial_from(Kind::Stream, source.parse().unwrap());
        assert_eq!(from("192.0.2.1"), None);
        let loopback = bind("127.0.0.1:0", Kind::Stream, true);
        assert_eq!(from("192.0.2.1"), None);
        assert_eq!(from("127.0.0.1"), Some(loopback.bound()));
        assert_eq!(ports.dial_from(Kind::Http, loopback.bound().ip()), None);
        assert_eq!(from("::1"), None);
        let _not_shared = bind("0.0.0.0:0", Kind::Stream, false);
        assert_eq!(from("192.0.2.1"), None);
        let wildcard = bind("0.0.0.0:0", Kind::Stream, true);
        assert_eq!(from("192.0.2.1"), Some(wildcard.bound()));
        drop(loopback);
        assert_eq!(from("127.0.0.1"), Some(wildcard.bound()));
    }
}
