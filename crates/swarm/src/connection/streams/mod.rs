//! The streams of a connection: each is entered here before it exists, and what it holds is given back when it leaves.

mod guard;

pub(crate) use guard::StreamGuard;

use super::Shared;
use crate::{
    events::{Event, EventKinds, StreamEvent},
    permits::per_connection,
};
use skep_api::{
    CloseReason,
    resources::{ConnectionScope, LimitExceeded, StreamScope},
    security::Role,
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// The streams of one connection.
#[derive(Debug)]
pub(crate) struct Streams {
    state: Mutex<State>,
    /// Room for streams that this node opens.
    pub(in crate::connection) room: Semaphore,
    max_inbound: u32,
    /// Open streams of protocols that keep the connection alive.
    busy: AtomicUsize,
    quiet: Notify,
    /// Whether a stream was ever among the busy ones, with its protocol agreed on.
    of_use: AtomicBool,
    opened: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// In the order of their numbers.
    open: Vec<Entry>,
    last: u64,
    inbound: u32,
    closed: bool,
    scope: Option<Box<dyn ConnectionScope>>,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    role: Role,
    protocol: Option<Arc<str>>,
    since: Instant,
    keeps_alive: bool,
    scope: Option<Box<dyn StreamScope>>,
    /// Room among all streams of the node, of this direction.
    _room: Option<OwnedSemaphorePermit>,
}

/// An open stream of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamInfo {
    /// Unique on its connection, rising.
    pub id: u64,
    /// `Dialer` if this node opened it.
    pub role: Role,
    /// The protocol; `None` while it is agreed on.
    pub protocol: Option<Arc<str>>,
    /// How long it has been open.
    pub age: Duration,
}

/// Why a stream cannot be entered.
#[derive(Debug)]
pub(crate) enum NoStream {
    /// The connection has ended, or is being closed.
    Closed,
    Limit(LimitExceeded),
}

impl State {
    fn find(&self, id: u64) -> Option<usize> {
        self.open.binary_search_by_key(&id, |entry| entry.id).ok()
    }

    fn take(&mut self, id: u64) -> Option<Entry> {
        let entry = self.find(id).map(|at| self.open.remove(at));
        if self.open.is_empty() {
            // A connection at rest keeps nothing of its busy times.
            self.open = Vec::new();
        }
        entry
    }
}

impl Streams {
    pub(in crate::connection) fn new(
        max_inbound: u32,
        max_outbound: u32,
        scope: Option<Box<dyn ConnectionScope>>,
    ) -> Self {
        Self {
            state: Mutex::new(State { scope, ..State::default() }),
            room: Semaphore::new(max_outbound as usize),
            max_inbound,
            busy: AtomicUsize::new(0),
            quiet: Notify::new(),
            of_use: AtomicBool::new(false),
            opened: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that are open now.
    pub(in crate::connection) fn list(&self) -> Vec<StreamInfo> {
        let info = |entry: &Entry| StreamInfo {
            id: entry.id,
            role: entry.role,
            protocol: entry.protocol.clone(),
            age: entry.since.elapsed(),
        };
        self.lock().open.iter().map(info).collect()
    }

    pub(in crate::connection) fn len(&self) -> usize {
        self.lock().open.len()
    }

    /// Whether a stream keeps the connection alive.
    pub(crate) fn busy(&self) -> bool {
        self.num_busy() > 0
    }

    /// The streams that keep the connection alive.
    pub(crate) fn num_busy(&self) -> usize {
        self.busy.load(Ordering::Acquire)
    }

    /// Whether a stream has ever kept the connection alive.
    pub(crate) fn was_of_use(&self) -> bool {
        self.of_use.load(Ordering::Relaxed)
    }

    /// Waits until no stream keeps the connection alive.
    pub(crate) async fn quiet(&self) {
        loop {
            let quiet = self.quiet.notified();
            tokio::pin!(quiet);
            quiet.as_mut().enable();
            if !self.busy() {
                return;
            }
            quiet.await;
        }
    }

    /// Streams that this node has opened so far, and those of them that failed.
    pub(in crate::connection) fn health(&self) -> (u64, u64) {
        (self.opened.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// Counts one that could not be opened.
    pub(in crate::connection) fn count_failed(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// Enters a stream, if there is room for it. Room for one of this node's own has been taken from `streams.room`.
    pub(in crate::connection) fn enter(
        self: &Arc<Self>,
        role: Role,
        keeps_alive: bool,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<StreamGuard, NoStream> {
        let mut state = self.streams.lock();
        if state.closed || self.closing().is_some() {
            return Err(NoStream::Closed);
        }
        let max = self.streams.max_inbound;
        if role == Role::Listener && state.inbound >= max {
            return Err(NoStream::Limit(per_connection(&self.info.peer, state.inbound, max)));
        }
        let scope = state.scope.as_ref().map(|scope| scope.open_stream(role)).transpose();
        let scope = scope.map_err(NoStream::Limit)?;
        if role == Role::Listener {
            state.inbound = state.inbound.saturating_add(1);
        }
        state.last = state.last.saturating_add(1);
        let (id, since) = (state.last, Instant::now());
        state.open.push(Entry { id, role, protocol: None, since, keeps_alive, scope, _room: room });
        if keeps_alive {
            self.streams.busy.fetch_add(1, Ordering::AcqRel);
        }
        Ok(StreamGuard { conn: Arc::clone(self), id })
    }

    /// Takes the scope of a connection that comes to nothing.
    pub(crate) fn take_scope(&self) -> Option<Box<dyn ConnectionScope>> {
        self.streams.lock().scope.take()
    }

    /// Begins to close a connection of no use, unless it has come into use meanwhile. Under the lock that streams and
    /// leases come in by, so that none of them is lost to it.
    pub(in crate::connection) fn close_if_idle(&self, reason: &CloseReason) -> bool {
        let _entering = self.streams.lock();
        let idle = !self.in_use();
        if idle {
            self.begin_close(reason.clone());
        }
        idle
    }

    /// Begins to close a connection that there are too many of; one with streams in use only if that is no obstacle. Under
    /// the lock that streams come in by, so that none of them is lost to it.
    pub(crate) fn close_for_pruning(&self, reason: &CloseReason, may_cut: bool) -> bool {
        let entering = self.streams.lock();
        let goes = !entering.closed && self.closing().is_none() && (may_cut || !self.streams.busy());
        if goes {
            self.begin_close(reason.clone());
        }
        goes
    }

    /// Counts a lease.
    pub(in crate::connection) fn add_lease(&self) {
        let _entering = self.streams.lock();
        self.life.add_lease();
    }

    /// The connection has ended: so have its streams, whoever still holds them. There will be no more.
    pub(crate) fn end_streams(&self) {
        let (open, scope) = {
            let mut state = self.streams.lock();
            state.closed = true;
            (std::mem::take(&mut state.open), state.scope.take())
        };
        for entry in open {
            self.left(&entry);
        }
        drop(scope);
    }

    /// A stream has left the table.
    fn left(&self, entry: &Entry) {
        if entry.role == Role::Dialer {
            self.streams.room.add_permits(1);
        }
        if entry.keeps_alive {
            self.no_longer_busy();
        }
        if let Some(protocol) = &entry.protocol {
            self.tell(Event::StreamClosed, entry.id, entry.role, protocol);
        }
    }

    fn no_longer_busy(&self) {
        // First: the moment at which the last stream ends is the one that counts.
        self.life.touch();
        if self.streams.busy.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.streams.quiet.notify_waiters();
        }
    }

    fn tell(&self, event: fn(StreamEvent) -> Event, id: u64, role: Role, protocol: &Arc<str>) {
        let Some(node) = self.node.upgrade() else { return };
        if node.events.want(EventKinds::STREAMS) {
            let (connection, peer, protocol) = (self.id, self.info.peer, Arc::clone(protocol));
            node.emit(&event(StreamEvent { connection, id, peer, role, protocol }));
        }
    }
}
