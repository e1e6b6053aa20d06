//! The guards: what they hold is given back when they are dropped, in whatever order.

use super::{counts::Counts, report::broken, rules::Rules, tree::Tree};
use skep_api::{
    PeerId,
    resources::{ConnectionRequest, ConnectionScope, LimitExceeded, MemoryGuard, Priority, StreamScope},
    security::Role,
};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The tree and its rules.
pub(super) struct Shared {
    pub(super) rules: Rules,
    pub(super) tree: Mutex<Tree>,
}

impl Shared {
    /// The tree, for taking: after a panic within, it grants nothing any more.
    fn to_take(&self) -> Result<MutexGuard<'_, Tree>, LimitExceeded> {
        self.tree.lock().map_err(|_| broken("a step within it panicked"))
    }

    /// The tree, for giving back and looking at, which cannot exceed a limit.
    pub(super) fn to_give(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's guard.
pub(super) struct ConnectionGuard {
    shared: Arc<Shared>,
    id: usize,
}

/// A stream's guard.
struct StreamGuard {
    shared: Arc<Shared>,
    id: usize,
}

/// The guard of memory.
struct Reserved {
    shared: Arc<Shared>,
    owner: Owner,
    bytes: u64,
}

/// Whose memory it is.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Connection(usize),
    Stream(usize),
}

impl ConnectionGuard {
    pub(super) fn open(shared: &Arc<Shared>, request: &ConnectionRequest<'_>) -> Result<Self, LimitExceeded> {
        let id = shared.to_take()?.open_connection(&shared.rules, request)?;
        Ok(Self { shared: Arc::clone(shared), id })
    }
}

impl ConnectionScope for ConnectionGuard {
    fn set_peer(&mut self, peer: &PeerId) -> Result<(), LimitExceeded> {
        self.shared.to_take()?.set_peer(&self.shared.rules, self.id, peer)
    }

    fn open_stream(&self, role: Role) -> Result<Box<dyn StreamScope>, LimitExceeded> {
        let id = self.shared.to_take()?.open_stream(&self.shared.rules, self.id, role)?;
        Ok(Box::new(StreamGuard { shared: Arc::clone(&self.shared), id }))
    }

    fn reserve(&self, bytes: u64, priority: Priority) -> Result<Box<dyn MemoryGuard>, LimitExceeded> {
        let Self { shared, id } = self;
        shared.to_take()?.reserve_for_connection(&shared.rules, *id, bytes, priority)?;
        Ok(Box::new(Reserved { shared: Arc::clone(shared), owner: Owner::Connection(*id), bytes }))
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.shared.to_give().close_connection(self.id);
    }
}

impl StreamScope for StreamGuard {
    fn set_protocol(&mut self, protocol: &str) -> Result<(), LimitExceeded> {
        self.shared.to_take()?.set_protocol(&self.shared.rules, self.id, protocol)
    }

    fn reserve(&self, bytes: u64, priority: Priority) -> Result<Box<dyn MemoryGuard>, LimitExceeded> {
        let Self { shared, id } = self;
        shared.to_take()?.reserve_for_stream(&shared.rules, *id, bytes, priority)?;
        Ok(Box::new(Reserved { shared: Arc::clone(shared), owner: Owner::Stream(*id), bytes }))
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.shared.to_give().close_stream(self.id);
    }
}

impl MemoryGuard for Reserved {
    fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let counts = Counts::memory(self.bytes);
        match self.owner {
            Owner::Connection(id) => self.shared.to_give().release_from_connection(id, &counts),
            Owner::Stream(id) => self.shared.to_give().release_from_stream(id, &counts),
        }
    }
}

impl fmt::Debug for ConnectionGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionGuard({})", self.id)
    }
}

impl fmt::Debug for StreamGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamGuard({})", self.id)
    }
}

impl fmt::Debug for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserved").field("owner", &self.owner).field("bytes", &self.bytes).finish()
    }
}
