//! Which handler serves which protocol id. What nobody serves is refused, never parked.

use skep_api::protocol::ProtocolHandler;
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

/// The handlers of a node, replaceable while it runs.
#[derive(Debug, Default)]
pub(crate) struct Handlers(RwLock<Arc<Table>>);

/// One state of the table; inbound streams negotiate against a snapshot of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    by_protocol: BTreeMap<Arc<str>, Arc<dyn ProtocolHandler>>,
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

    pub(crate) fn find(&self, protocol: &str) -> Option<&Arc<dyn ProtocolHandler>> {
        self.by_protocol.get(protocol)
    }

    /// Every handler once, however many ids it serves.
    pub(crate) fn distinct(&self) -> Vec<Arc<dyn ProtocolHandler>> {
        let mut distinct: Vec<Arc<dyn ProtocolHandler>> = Vec::new();
        for handler in self.by_protocol.values() {
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
    pub(crate) fn add(&self, handler: &Arc<dyn ProtocolHandler>) -> Result<(), HandlerError> {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&current);
        for id in handler.protocols() {
            if !id.starts_with('/') || id.contains('\n') {
                return Err(HandlerError::BadId(id));
            }
            if table.by_protocol.insert(id.as_str().into(), Arc::clone(handler)).is_some() {
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
