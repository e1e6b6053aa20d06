//! The dials in flight that can be joined, and who is interested in them.

use super::flight::Request;
use crate::swarm::Inner;
use skep_api::{Multiaddr, PeerId};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// The dials in flight that can be joined.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<Key, InFlight>>);

#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) id: u64,
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) wake: Arc<Notify>,
    /// Those who wait for it. The last one to go ends it.
    pub(super) interested: usize,
    pub(super) since: Instant,
    pub(super) cancel: CancellationToken,
}

/// A dial under way that others can join.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DialInFlight {
    /// The peer that is dialled.
    pub peer: Option<PeerId>,
    /// The address that is dialled, where no peer is known.
    pub addr: Option<Multiaddr>,
    /// How many wait for it.
    pub callers: usize,
    /// How long it has been under way.
    pub elapsed: Duration,
}

/// Somebody's interest in a dial in flight.
pub(super) struct Interest {
    pub(super) node: Arc<Inner>,
    pub(super) key: Key,
    pub(super) id: u64,
}

impl Drop for Interest {
    fn drop(&mut self) {
        let mut flights = self.node.dialer.flights.lock();
        let Some(flight) = flights.get_mut(&self.key).filter(|flight| flight.id == self.id) else { return };
        flight.interested = flight.interested.saturating_sub(1);
        if flight.interested == 0 {
            flight.cancel.cancel();
            flights.remove(&self.key);
        }
    }
}

impl Flights {
    /// What is being dialled, and for how many.
    pub(super) fn list(&self) -> Vec<DialInFlight> {
        let flights = self.lock();
        let dial = |(key, flight): (&Key, &InFlight)| {
            let (peer, addr) = match key {
                Key::Peer(peer) => (Some(*peer), None),
                Key::Addr(addr) => (None, Some(addr.clone())),
            };
            DialInFlight { peer, addr, callers: flight.interested, elapsed: flight.since.elapsed() }
        };
        flights.iter().map(dial).collect()
    }

    /// Takes a dial out, if `when` holds while nobody can join it. Whether nobody can any more.
    pub(super) fn leave(&self, key: &Key, id: u64, when: impl FnOnce() -> bool) -> bool {
        let mut flights = self.lock();
        if flights.get(key).is_none_or(|flight| flight.id != id) {
            return true;
        }
        let leave = when();
        if leave {
            flights.remove(key);
        }
        leave
    }

    /// A peer has connected: whoever dials it should know.
    pub(crate) fn arrived(&self, peer: PeerId) {
        if let Some(flight) = self.lock().get(&Key::Peer(peer)) {
            flight.wake.notify_one();
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<Key, InFlight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By what a dial in flight is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Peer(PeerId),
    /// An address without a peer.
    Addr(Multiaddr),
}
