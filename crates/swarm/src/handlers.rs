//! Which handler serves which protocol id. What nobody serves is refused, never parked.

use crate::{stack::Named, swarm::Swarm};
use async_trait::async_trait;
use skep_api::{
    PeerId,
    protocol::{HandlerLimits, InboundStream, ProtocolError, ProtocolHandler},
    resources::LimitExceeded,
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    future::Future,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

impl Swarm {
    /// Serves the protocol ids of a handler from now on.
    ///
    /// # Errors
    /// [`HandlerError`] for an id that is not possible or is taken.
    pub fn add_handler(&self, handler: Arc<dyn ProtocolHandler>) -> Result<(), HandlerError> {
        let limits = handler.limits();
        self.add_handler_with(handler, limits)
    }

    /// [`Swarm::add_handler`] with limits on the streams that it serves at once.
    ///
    /// # Errors
    /// [`HandlerError`] for an id that is not possible or is taken.
    pub fn add_handler_with(
        &self,
        handler: Arc<dyn ProtocolHandler>,
        limits: HandlerLimits,
    ) -> Result<(), HandlerError> {
        self.0.handlers.add(&handler, limits)
    }

    /// Serves one protocol by a function, each stream in a task of its own. What the function drops before it has
    /// finished it is reset.
    ///
    /// # Errors
    /// [`HandlerError`] for an id that is not possible or is taken.
    pub fn set_stream_handler<F, S>(&self, protocol: &str, serve: F) -> Result<(), HandlerError>
    where
        F: Fn(InboundStream) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        self.add_handler(Arc::new(Closure::new(protocol, serve)))
    }

    /// Refuses a protocol id from now on. Whether it was served.
    #[must_use = "false means that the protocol was not served"]
    pub fn remove_handler(&self, protocol: &str) -> bool {
        self.0.handlers.remove(protocol)
    }
}

/// The handlers of a node, replaceable while it runs.
#[derive(Debug, Default)]
pub(crate) struct Handlers(RwLock<Arc<Table>>);

/// One state of the table; inbound streams negotiate against a snapshot of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    by_protocol: BTreeMap<Arc<str>, Served>,
}

/// A handler, and what it serves.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) handler: Arc<dyn ProtocolHandler>,
    limits: HandlerLimits,
    running: Arc<Running>,
    warned: Arc<AtomicBool>,
}

/// The streams that a handler serves. Kept only as far as there are limits.
#[derive(Debug, Default)]
struct Running(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    total: u32,
    by_connection: HashMap<u64, u32>,
    by_peer: HashMap<PeerId, u32>,
}

/// A place among the streams that a handler serves, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    running: Arc<Running>,
    connection: u64,
    peer: PeerId,
}

impl Served {
    fn new(handler: &Arc<dyn ProtocolHandler>, limits: HandlerLimits) -> Self {
        let handler = Arc::clone(handler);
        Self { handler, limits, running: Arc::default(), warned: Arc::default() }
    }

    /// Takes a place among the streams of the handler. `None` where nothing is limited.
    pub(crate) fn place(&self, connection: u64, peer: PeerId) -> Result<Option<Place>, LimitExceeded> {
        if self.limits == HandlerLimits::default() {
            return Ok(None);
        }
        let mut counts = self.running.lock();
        let on_one = counts.by_connection.get(&connection).copied().unwrap_or(0);
        let of_one = counts.by_peer.get(&peer).copied().unwrap_or(0);
        let each = [
            (self.limits.per_connection, on_one, "on one connection", "per_connection"),
            (self.limits.per_peer, of_one, "of one peer", "per_peer"),
            (self.limits.total, counts.total, "in all", "total"),
        ];
        for (limit, current, whose, key) in each {
            let Some(limit) = limit.filter(|limit| current >= *limit) else { continue };
            let scope = format!("streams of {} {whose}", self.handler.protocols().join(", "));
            let (current, limit, key) = (current.into(), limit.into(), format!("HandlerLimits::{key}"));
            return Err(LimitExceeded { scope, current, limit, key });
        }
        counts.total = counts.total.saturating_add(1);
        counts.by_connection.insert(connection, on_one.saturating_add(1));
        counts.by_peer.insert(peer, of_one.saturating_add(1));
        Ok(Some(Place { running: Arc::clone(&self.running), connection, peer }))
    }

    /// Whether this is the first time, so that the log is not flooded.
    pub(crate) fn first_warning(&self) -> bool {
        !self.warned.swap(true, Ordering::Relaxed)
    }
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.running.lock();
        counts.total = counts.total.saturating_sub(1);
        one_less(&mut counts.by_connection, &self.connection);
        one_less(&mut counts.by_peer, &self.peer);
    }
}

/// Nothing is kept of what is no more.
fn one_less<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// A protocol id that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerError {
    /// multistream-select knows ids that begin with a slash only.
    #[error("protocol id {0:?} must begin with `/` and hold no line break")]
    BadId(String),
    /// Nothing to serve.
    #[error("the handler names no protocol id")]
    NoId,
    /// The handler names an id twice.
    #[error("the handler names protocol {0} twice")]
    Twice(String),
    /// Somebody serves it already.
    #[error("protocol {0} has a handler already; remove that first")]
    Taken(String),
}

impl Table {
    pub(crate) fn protocols(&self) -> impl Iterator<Item = Arc<str>> {
        self.by_protocol.keys().cloned()
    }

    pub(crate) fn find(&self, protocol: &str) -> Option<&Served> {
        self.by_protocol.get(protocol)
    }

    /// Whether streams of a protocol keep their connection alive.
    pub(crate) fn keeps_alive(&self, protocol: &str) -> bool {
        self.find(protocol).is_none_or(|served| served.handler.keeps_alive())
    }

    /// Every handler once, however many ids it serves.
    pub(crate) fn distinct(&self) -> Vec<Arc<dyn ProtocolHandler>> {
        let mut distinct: Vec<Arc<dyn ProtocolHandler>> = Vec::new();
        for Served { handler, .. } in self.by_protocol.values() {
            if !distinct.iter().any(|known| Arc::ptr_eq(known, handler)) {
                distinct.push(Arc::clone(handler));
            }
        }
        distinct
    }
}

/// Whether multistream-select can carry such an id.
pub(crate) fn possible(id: &str) -> bool {
    id.starts_with('/') && !id.contains('\n')
}

impl Handlers {
    pub(crate) fn snapshot(&self) -> Arc<Table> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a handler under all of its ids, or under none of them.
    pub(crate) fn add(
        &self,
        handler: &Arc<dyn ProtocolHandler>,
        limits: HandlerLimits,
    ) -> Result<(), HandlerError> {
        // Not under the lock: it is the handler's own code.
        let ids = handler.protocols();
        if ids.is_empty() {
            return Err(HandlerError::NoId);
        }
        let served = Served::new(handler, limits);
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&current);
        for (at, id) in ids.iter().enumerate() {
            if !possible(id) {
                return Err(HandlerError::BadId(id.clone()));
            }
            if ids.iter().take(at).any(|before| before == id) {
                return Err(HandlerError::Twice(id.clone()));
            }
            if table.by_protocol.insert(id.as_str().into(), served.clone()).is_some() {
                return Err(HandlerError::Taken(id.clone()));
            }
        }
        *current = Arc::new(table);
        Ok(())
    }

    /// Takes the ids of some handlers away and gives others theirs, all at once or, if one of them is taken, not at all.
    /// Handlers that are in both lists stay as they are.
    pub(crate) fn exchange(
        &self,
        before: &[Named<dyn ProtocolHandler>],
        after: &[Named<dyn ProtocolHandler>],
    ) -> Result<(), HandlerError> {
        let lacks = |list: &[Named<dyn ProtocolHandler>], of: &Named<dyn ProtocolHandler>| {
            !list.iter().any(|one| Arc::ptr_eq(&one.object, &of.object))
        };
        let next = Self::default();
        // Not under the lock: it is the handlers' own code.
        let gone: Vec<_> = before.iter().filter(|old| lacks(after, old)).collect();
        let gone: Vec<_> = gone.iter().flat_map(|old| old.object.protocols()).collect();
        for new in after.iter().filter(|new| lacks(before, new)) {
            next.add(&new.object, new.object.limits())?;
        }
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&current);
        for id in gone {
            table.by_protocol.remove(id.as_str());
        }
        for (id, served) in &next.snapshot().by_protocol {
            if table.by_protocol.insert(Arc::clone(id), served.clone()).is_some() {
                return Err(HandlerError::Taken(id.to_string()));
            }
        }
        *current = Arc::new(table);
        Ok(())
    }

    pub(crate) fn remove(&self, protocol: &str) -> bool {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&current);
        let removed = table.by_protocol.remove(protocol).is_some();
        *current = Arc::new(table);
        removed
    }
}

/// A handler that is a function.
pub(crate) struct Closure<F> {
    protocol: String,
    serve: F,
}

impl<F> Closure<F> {
    pub(crate) fn new(protocol: &str, serve: F) -> Self {
        Self { protocol: protocol.into(), serve }
    }
}

impl<F> fmt::Debug for Closure<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Closure({})", self.protocol)
    }
}

#[async_trait]
impl<F, S> ProtocolHandler for Closure<F>
where
    F: Fn(InboundStream) -> S + Send + Sync + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    fn protocols(&self) -> Vec<String> {
        vec![self.protocol.clone()]
    }

    async fn serve(&self, stream: InboundStream) -> Result<(), ProtocolError> {
        (self.serve)(stream).await;
        Ok(())
    }
}
