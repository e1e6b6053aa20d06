//! The handlers of a node by protocol id, replaceable while it runs.

use super::{HandlerError, Served};
use crate::stack::Named;
use skep_api::protocol::{HandlerLimits, ProtocolHandler};
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
    by_protocol: BTreeMap<Arc<str>, Served>,
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
