//! The UDP sockets of a transport, and who shares them.
//!
//! A socket belongs to a listener, or to the dials of one address family that have no listener's to use. Connections
//! hold the socket that carries them, so that it outlives its listener while they last; a new listener on the same
//! address takes it over.

use crate::{interfaces::wildcard, runtime::NodeRuntime, socket, tuning::Tuning};
use quinn::{Endpoint, ServerConfig};
use skep_api::TaskScope;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A bound UDP socket with QUIC on it. It is closed when nobody holds it any more.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) endpoint: Endpoint,
    pub(crate) addr: SocketAddr,
    /// Lets the library's tasks for it end with the node.
    _released: DropGuard,
}

/// What a socket is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// A listener holds it.
    Listener,
    /// It had one.
    Orphan,
    /// Dials alone.
    Dials,
}

#[derive(Debug)]
struct Entry {
    socket: Weak<Socket>,
    used: Use,
}

/// The sockets of one transport.
#[derive(Debug)]
pub(crate) struct Endpoints {
    tuning: Tuning,
    tasks: TaskScope,
    /// Few: one for each listener, and one for each address family.
    entries: Mutex<Vec<Entry>>,
}

impl Endpoints {
    pub(crate) fn new(tuning: Tuning, tasks: TaskScope) -> Self {
        Self { tuning, tasks, entries: Mutex::default() }
    }

    /// A socket on `addr` for a listener, which takes over one that still carries connections of a listener before.
    pub(crate) fn listen(self: &Arc<Self>, addr: SocketAddr, server: ServerConfig) -> io::Result<Listening> {
        let mut entries = self.lock();
        let known = entries.iter_mut().find_map(|entry| match entry.socket.upgrade() {
            Some(socket) if socket.addr == addr && entry.used != Use::Dials => Some((socket, entry)),
            _ => None,
        });
        let socket = match known {
            Some((_, entry)) if entry.used == Use::Listener => {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "this transport listens there already"));
            }
            Some((socket, entry)) => {
                entry.used = Use::Listener;
                socket
            }
            None => {
                let socket = self.bind(addr)?;
                entries.push(Entry { socket: Arc::downgrade(&socket), used: Use::Listener });
                socket
            }
        };
        socket.endpoint.set_server_config(Some(server));
        Ok(Listening { socket, endpoints: Arc::clone(self) })
    }

    /// The socket to dial `target` from: a listener's if ports are to be reused and there is one from which the target
    /// can be reached, else the one that all other dials of the family share.
    pub(crate) fn dial(&self, target: SocketAddr) -> io::Result<Arc<Socket>> {
        let mut entries = self.lock();
        let known = self.known_for(&entries, target);
        if let Some(socket) = known {
            return Ok(socket);
        }
        let socket = self.bind(wildcard(target.is_ipv6()))?;
        entries.push(Entry { socket: Arc::downgrade(&socket), used: Use::Dials });
        Ok(socket)
    }

    fn known_for(&self, entries: &[Entry], target: SocketAddr) -> Option<Arc<Socket>> {
        let live = || entries.iter().filter_map(|entry| Some((entry.used, entry.socket.upgrade()?)));
        let reused = || live().find(|(used, socket)| *used == Use::Listener && reaches(socket.addr, target));
        let own = || live().find(|(used, socket)| *used == Use::Dials && reaches(socket.addr, target));
        let listener = if self.tuning.config().port_reuse { reused() } else { None };
        listener.or_else(own).map(|(_, socket)| socket)
    }

    fn bind(&self, addr: SocketAddr) -> io::Result<Arc<Socket>> {
        let socket = socket::bind(addr, self.tuning.config())?;
        let addr = socket.local_addr()?;
        let released = CancellationToken::new();
        let runtime = Arc::new(NodeRuntime::new(self.tasks.clone(), released.clone()));
        let endpoint = Endpoint::new(self.tuning.endpoint(), None, socket, runtime)?;
        Ok(Arc::new(Socket { endpoint, addr, _released: released.drop_guard() }))
    }

    /// The entries of sockets that are still there.
    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.socket.strong_count() > 0);
        entries
    }
}

/// A listener on one loopback address serves loopback targets only, and the other way round; a wildcard serves both. A
/// link-local address would tie the dial to one interface.
fn reaches(bound: SocketAddr, target: SocketAddr) -> bool {
    bound.is_ipv4() == target.is_ipv4()
        && !matches!(bound.ip(), IpAddr::V6(ip) if ip.is_unicast_link_local())
        && (bound.ip().is_unspecified() || bound.ip().is_loopback() == target.ip().is_loopback())
}

/// A listener's hold on its socket. Dropping it ends the listening, not the connections.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) socket: Arc<Socket>,
    endpoints: Arc<Endpoints>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Within the lock, so that a listener that takes over is not undone.
        let mut entries = self.endpoints.lock();
        self.socket.endpoint.set_server_config(None);
        let own = Arc::as_ptr(&self.socket);
        if let Some(entry) = entries.iter_mut().find(|entry| std::ptr::eq(entry.socket.as_ptr(), own)) {
            entry.used = Use::Orphan;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_serves_targets_of_its_family_and_reach() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (bound, target, fits) in [
            ("127.0.0.1:4001", "127.0.0.1:1", true),
            ("127.0.0.1:4001", "192.0.2.1:1", false),
            ("192.0.2.7:4001", "127.0.0.1:1", false),
            ("0.0.0.0:4001", "127.0.0.1:1", true),
            ("0.0.0.0:4001", "192.0.2.1:1", true),
            ("0.0.0.0:4001", "[::1]:1", false),
            ("[::]:4001", "[2001:db8::1]:1", true),
            ("[fe80::1%3]:4001", "[2001:db8::1]:1", false),
        ] {
            assert_eq!(reaches(at(bound), at(target)), fits, "{bound} to {target}");
        }
    }
}
