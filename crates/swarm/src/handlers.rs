//! Which handler serves which protocol id. What nobody serves is refused, never parked.

use async_trait::async_trait;
use skep_api::{
    protocol::{InboundStream, ProtocolError, ProtocolHandler},
    resources::LimitExceeded,
};
use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::Semaphore;

/// The handlers of a node, replaceable while it runs.
#[derive(Debug, Default)]
pub(crate) struct Handlers(RwLock<Arc<Table>>);

/// One state of the table; inbound streams negotiate against a snapshot of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    by_protocol: BTreeMap<Arc<str>, Served>,
}

/// How many streams of peers a handler serves at once, all of its protocol ids together; more are reset. `None` leaves
/// it to the limits of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandlerLimits {
    /// On one connection, for one protocol id.
    pub per_connection: Option<u32>,
    /// On all connections.
    pub total: Option<u32>,
}

/// A handler, and the room it has.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) handler: Arc<dyn ProtocolHandler>,
    pub(crate) limits: HandlerLimits,
    pub(crate) room: Option<Arc<Semaphore>>,
}

impl Served {
    pub(crate) fn exceeded(&self, protocol: &str, whose: &str, current: usize, limit: u32) -> LimitExceeded {
        LimitExceeded {
            scope: format!("streams of {protocol} {whose}"),
            current: current as u64,
            limit: limit.into(),
            key: "HandlerLimits".into(),
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
        let room = limits.total.map(|total| Arc::new(Semaphore::new(total as usize)));
        let served = Served { handler: Arc::clone(handler), limits, room };
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&current);
        for id in handler.protocols() {
            if !id.starts_with('/') || id.contains('\n') {
                return Err(HandlerError::BadId(id));
            }
            if table.by_protocol.insert(id.as_str().into(), served.clone()).is_some() {
                return Err(HandlerError::Taken(id));
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
