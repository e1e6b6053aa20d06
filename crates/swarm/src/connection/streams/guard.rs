//! A stream's hold on its place.

use super::Shared;
use crate::events::Event;
use skep_api::{resources::LimitExceeded, security::Role};
use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

/// A stream's place on its connection. Dropping it gives back all that the stream holds.
pub(crate) struct StreamGuard {
    pub(super) conn: Arc<Shared>,
    pub(super) id: u64,
}

impl StreamGuard {
    /// Its protocol is known now.
    pub(in crate::connection) fn agreed(
        &self,
        protocol: &Arc<str>,
        keeps_alive: bool,
    ) -> Result<(), LimitExceeded> {
        let mut state = self.conn.streams.lock();
        // The connection may have ended meanwhile.
        let Some(entry) = state.find(self.id).and_then(|at| state.open.get_mut(at)) else { return Ok(()) };
        if let Some(scope) = &mut entry.scope {
            scope.set_protocol(protocol)?;
        }
        entry.protocol = Some(Arc::clone(protocol));
        if entry.role == Role::Dialer {
            self.conn.streams.opened.fetch_add(1, Ordering::Relaxed);
        }
        if keeps_alive {
            self.conn.streams.of_use.store(true, Ordering::Relaxed);
        }
        match (entry.keeps_alive, keeps_alive) {
            (false, true) => drop(self.conn.streams.busy.fetch_add(1, Ordering::AcqRel)),
            (true, false) => self.conn.no_longer_busy(),
            _ => {}
        }
        entry.keeps_alive = keeps_alive;
        // Under the lock, so that it comes before the end of the connection does.
        self.conn.tell(Event::StreamOpened, self.id, entry.role, protocol);
        Ok(())
    }

    /// The stream was reset by the peer, or lost with its connection.
    pub(crate) fn failed(&self) {
        let state = self.conn.streams.lock();
        let entry = state.find(self.id).and_then(|at| state.open.get(at));
        if entry.is_some_and(|entry| entry.role == Role::Dialer) {
            self.conn.streams.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn conn(&self) -> &Arc<Shared> {
        &self.conn
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        let mut state = self.conn.streams.lock();
        let Some(entry) = state.take(self.id) else { return };
        if entry.role == Role::Listener {
            state.inbound = state.inbound.saturating_sub(1);
        }
        // Under the lock, so that it comes before the end of the connection does.
        self.conn.left(&entry);
    }
}

impl fmt::Debug for StreamGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamGuard").field("id", &self.id).finish_non_exhaustive()
    }
}
