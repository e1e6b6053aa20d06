//! The transports on a port, each with the connections that are ready for it.

use crate::{accepted::Accepted, kind::Kind};
use std::collections::VecDeque;

/// Most connections that wait for a transport that does not take them. Each holds a file descriptor.
pub(crate) const MAX_READY: usize = 64;

/// One lane for each kind that is bound.
#[derive(Debug, Default)]
pub(crate) struct Lanes([Option<VecDeque<Accepted>>; Kind::ALL.len()]);

impl Lanes {
    /// Opens a lane; false if it is open.
    pub(crate) fn open(&mut self, kind: Kind) -> bool {
        let Some(lane) = self.0.get_mut(kind.index()) else { return false };
        let is_new = lane.is_none();
        lane.get_or_insert_default();
        is_new
    }

    /// Closes a lane, and turns away what waits in it.
    pub(crate) fn close(&mut self, kind: Kind) {
        if let Some(lane) = self.0.get_mut(kind.index()) {
            *lane = None;
        }
    }

    /// Whether there is one lane only, so that nothing needs to be told apart.
    pub(crate) fn is_single(&self) -> bool {
        self.0.iter().flatten().count() == 1
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().flatten().next().is_none()
    }

    /// The lane that connections of this kind go to: its own, or else that of streams.
    pub(crate) fn lane_for(&self, kind: Kind) -> Option<Kind> {
        [kind, Kind::Stream].into_iter().find(|kind| self.0.get(kind.index()).is_some_and(Option::is_some))
    }

    /// Puts a connection into a lane. One that finds it full is turned away: it must not hold up the other lanes.
    pub(crate) fn push(&mut self, lane: Kind, connection: Accepted) {
        match self.0.get_mut(lane.index()) {
            Some(Some(queue)) if queue.len() < MAX_READY => queue.push_back(connection),
            _ => tracing::debug!(kind = ?lane, "a connection is turned away: nobody takes those before it"),
        }
    }

    pub(crate) fn pop(&mut self, lane: Kind) -> Option<Accepted> {
        self.0.get_mut(lane.index())?.as_mut()?.pop_front()
    }
}
