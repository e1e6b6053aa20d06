//! The UDP sockets of a transport, and who shares them.
//!
//! A socket belongs to a listener, or to the dials of one address family that have no listener's to use. Connections
//! hold the socket that carries them, so that it outlives its listener while they last; a new listener on the same
//! address takes it over.

use crate::{kept::Kept, runtime::NodeRuntime, socket, tuning::Tuning};
use quinn::{Endpoint, ServerConfig};
use skep_api::TaskScope;
use skep_ip_endpoint::{can_dial_from, wildcard};
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
    kept: Kept,
}

impl Endpoints {
    pub(crate) fn new(tuning: Tuning, tasks: TaskScope) -> Self {
        Self { tuning, tasks, entries: Mutex::default(), kept: Kept::default() }
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

    /// The socket to dial what the system reaches from `source`: that of a listener there, if ports are to be reused, else
    /// the one that all other dials of the family share.
    pub(crate) fn dial(&self, source: IpAddr) -> io::Result<Arc<Socket>> {
        let mut entries = self.lock();
        if self.tuning.config().port_reuse
            && let Some(socket) = find(&entries, Use::Listener, source)
        {
            return Ok(socket);
        }
        let socket = match find(&entries, Use::Dials, source) {
            Some(socket) => socket,
            None => {
                let socket = self.bind(wildcard(source.is_ipv6()))?;
                entries.push(Entry { socket: Arc::downgrade(&socket), used: Use::Dials });
                socket
            }
        };
        self.kept.keep(&socket, &self.tasks);
        Ok(socket)
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

/// A socket with this use that what the system reaches from `source` can be dialled from.
fn find(entries: &[Entry], used: Use, source: IpAddr) -> Option<Arc<Socket>> {
    let live = entries.iter().filter(|entry| entry.used == used);
    live.filter_map(|entry| entry.socket.upgrade()).find(|socket| can_dial_from(socket.addr, source))
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
