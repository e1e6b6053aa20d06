//! A handler, and its limits on the streams that it serves at once.

use skep_api::{
    PeerId,
    protocol::{HandlerLimits, ProtocolHandler},
    resources::LimitExceeded,
};
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

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
    pub(super) fn new(handler: &Arc<dyn ProtocolHandler>, limits: HandlerLimits) -> Self {
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
