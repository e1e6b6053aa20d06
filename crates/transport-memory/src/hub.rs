//! Where nodes of one process meet.

use crate::{
    address::multiaddr_of,
    link::MemoryLink,
    listen::MemoryIncoming,
    shape::{Shape, Shapes},
};
use skep_api::transport::{TransportError, TransportErrorKind};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::sync::mpsc::{self, error::TrySendError};

/// The first number that is given out, far from those that people write.
const FIRST_FREE: u64 = 1 << 32;

/// The hubs that profiles name.
///
/// This is the one thing in skep that belongs to the process and not to a node. An in-process address means
/// nothing outside of the process and the same everywhere inside; two nodes that are assembled from profiles have
/// no other place to meet. Only weak references are kept, so a hub is gone with its last transport. Code that
/// wants no such place makes a [`MemoryHub::new`] and hands it around.
static NAMED: Mutex<BTreeMap<String, Weak<Mutex<State>>>> = Mutex::new(BTreeMap::new());

/// The address space of `/memory/…`. Transports on one hub reach each other, others do not. Cheap to clone.
#[derive(Clone, Default)]
pub struct MemoryHub(Arc<Mutex<State>>);

struct State {
    next_free: u64,
    listeners: BTreeMap<u64, Door>,
}

/// What the hub knows of a listener.
struct Door {
    queue: mpsc::Sender<MemoryIncoming>,
    shapes: Shapes,
}

/// A link that was asked for and waits to be accepted.
#[derive(Debug)]
pub(crate) struct Knocked {
    pub(crate) link: MemoryLink,
    /// The number of this end.
    pub(crate) local: u64,
    /// How long the listener's answer takes.
    pub(crate) answer_takes: Duration,
}

impl MemoryHub {
    /// A hub of its own, which is reached through clones of it alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The hub of this name, the same one as long as anything uses it.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = named.get(name).and_then(Weak::upgrade) {
            return Self(state);
        }
        named.retain(|_, state| state.strong_count() > 0);
        let hub = Self::new();
        named.insert(name.to_string(), Arc::downgrade(&hub.0));
        hub
    }

    /// Opens a door at a number, or at a free one if it is 0, and returns the number.
    pub(crate) fn open(
        &self,
        number: u64,
        queue: mpsc::Sender<MemoryIncoming>,
        shapes: Shapes,
    ) -> Result<u64, TransportError> {
        let mut state = self.lock();
        let number = if number == 0 { state.take_free_number() } else { number };
        match state.listeners.entry(number) {
            Entry::Vacant(place) => {
                place.insert(Door { queue, shapes });
                Ok(number)
            }
            Entry::Occupied(_) => {
                Err(TransportError::new(TransportErrorKind::AddressInUse, multiaddr_of(number).to_string()))
            }
        }
    }

    /// Takes the door away; dials are refused from now on.
    pub(crate) fn close(&self, number: u64) {
        // Dropped outside of the lock: with it may go the last handle of a queue, and links that take locks.
        let door = self.lock().listeners.remove(&number);
        drop(door);
    }

    /// Puts a new link into the queue of a listener. `shape` is that of what the dialler sends.
    pub(crate) fn knock(&self, number: u64, shape: Shape) -> Result<Knocked, TransportError> {
        let refused = |why: &str| {
            let detail = format!("{}: {why}", multiaddr_of(number));
            TransportError::new(TransportErrorKind::Refused, detail)
        };
        let mut state = self.lock();
        let Some(door) = state.listeners.get(&number) else {
            return Err(refused("nobody on this hub listens there"));
        };
        let place = match door.queue.clone().try_reserve_owned() {
            Ok(place) => place,
            Err(TrySendError::Full(_)) => {
                return Err(refused("the listener's queue is full (its `backlog`)"));
            }
            Err(TrySendError::Closed(_)) => return Err(refused("the listener has ended")),
        };
        let answer = door.shapes.next();
        let answer_takes = answer.latency();
        let local = state.take_free_number();
        let (link, theirs) = MemoryLink::pair(shape, answer);
        place.send(MemoryIncoming::new(theirs, multiaddr_of(number), multiaddr_of(local)));
        Ok(Knocked { link, local, answer_takes })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_free_number(&mut self) -> u64 {
        loop {
            let number = self.next_free;
            self.next_free = number.checked_add(1).unwrap_or(FIRST_FREE);
            if !self.listeners.contains_key(&number) {
                return number;
            }
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self { next_free: FIRST_FREE, listeners: BTreeMap::new() }
    }
}

impl fmt::Debug for MemoryHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryHub").field("listeners", &self.lock().listeners.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_one_hub_while_it_is_used() {
        let first = MemoryHub::named("a name of this test");
        let second = MemoryHub::named("a name of this test");
        assert!(Arc::ptr_eq(&first.0, &second.0));
        assert!(!Arc::ptr_eq(&first.0, &MemoryHub::named("another name of this test").0));
        let gone = Arc::downgrade(&first.0);
        drop((first, second));
        assert!(gone.upgrade().is_none(), "the table keeps the hub alive");
    }

    #[test]
    fn free_numbers_are_not_those_of_listeners() {
        let hub = MemoryHub::new();
        let shapes = || Shapes::for_accepts(&crate::Config::default());
        let open = |number| hub.open(number, mpsc::channel(1).0, shapes());
        assert_eq!(open(FIRST_FREE).unwrap(), FIRST_FREE);
        assert_eq!(open(0).unwrap(), FIRST_FREE + 1);
        assert_eq!(open(FIRST_FREE).unwrap_err().kind(), TransportErrorKind::AddressInUse);
    }
}
