//! Where nodes of one process meet.

use crate::{
    LinkConditions,
    address::multiaddr_of,
    link::MemoryLink,
    listen::MemoryIncoming,
    node::Node,
    pipe::{Pipe, wake},
    rules::Rules,
    shape::{Shape, Shapes},
};
use skep_api::transport::{TransportError, TransportErrorKind};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};
use tokio::sync::{
    Notify,
    futures::Notified,
    mpsc::{self, error::TrySendError},
};

/// The first number that is given out, far from those that people write.
const FIRST_FREE: u64 = 1 << 32;

/// So many directions of links are kept in mind before those that are gone are looked for.
const FIRST_PRUNE: usize = 64;

/// The hubs that profiles name.
///
/// This is the one thing in skep that belongs to the process and not to a node. An in-process address means
/// nothing outside of the process and the same everywhere inside; two nodes that are assembled from profiles have
/// no other place to meet. Only weak references are kept, so a hub is gone with its last transport. Code that
/// wants no such place makes a [`MemoryHub::new`] and hands it around.
static NAMED: Mutex<BTreeMap<String, Weak<Hub>>> = Mutex::new(BTreeMap::new());

/// The address space of `/memory/…`. Transports on one hub reach each other, others do not. Cheap to clone.
#[derive(Clone, Default)]
pub struct MemoryHub(Arc<Hub>);

#[derive(Default)]
struct Hub {
    state: Mutex<State>,
    /// Told of each change of the rules.
    changed: Notify,
}

struct State {
    next_free: u64,
    listeners: BTreeMap<u64, Door>,
    rules: Rules,
    /// Both directions of all links, in the order of their dials; those that are gone are taken out now and then.
    pipes: Vec<Weak<Pipe>>,
    /// So many pipes are a reason to take some out.
    prune_at: usize,
}

/// What the hub knows of a listener.
pub(crate) struct Door {
    queue: mpsc::Sender<MemoryIncoming>,
    shapes: Shapes,
    node: Arc<Node>,
}

impl Door {
    pub(crate) fn new(queue: mpsc::Sender<MemoryIncoming>, shapes: Shapes, node: &Arc<Node>) -> Self {
        Self { queue, shapes, node: Arc::clone(node) }
    }
}

/// A link that was asked for and waits to be accepted.
#[derive(Debug)]
pub(crate) struct Knocked {
    pub(crate) link: MemoryLink,
    /// The number of this end.
    pub(crate) local: u64,
    pub(crate) listener: Arc<Node>,
    /// What the listener's configuration says of its answer.
    pub(crate) answer: LinkConditions,
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
    pub(crate) fn open(&self, number: u64, door: Door) -> Result<u64, TransportError> {
        let mut state = self.lock();
        let number = if number == 0 { state.take_free_number() } else { number };
        let node = Arc::clone(&door.node);
        match state.listeners.entry(number) {
            Entry::Vacant(place) => {
                place.insert(door);
            }
            Entry::Occupied(_) => {
                let addr = multiaddr_of(number).to_string();
                return Err(TransportError::new(TransportErrorKind::AddressInUse, addr));
            }
        }
        state.rules.own(number, &node);
        let unruled = state.rules.are_none();
        drop(state);
        if !unruled {
            // What was said of the number is said of this node now.
            self.change(|_| {});
        }
        Ok(number)
    }

    /// Takes the door away; dials are refused from now on.
    pub(crate) fn close(&self, number: u64) {
        // Dropped outside of the lock: with it may go the last handle of a queue, and links that take locks.
        let door = self.lock().listeners.remove(&number);
        drop(door);
    }

    /// Puts a new link into the queue of a listener. `shape` is that of what the dialler sends.
    pub(crate) fn knock(
        &self,
        number: u64,
        from: &Arc<Node>,
        shape: Shape,
    ) -> Result<Knocked, TransportError> {
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
        let (shape_back, listener) = (door.shapes.next(), Arc::clone(&door.node));
        let answer = shape_back.conditions;
        let there = Arc::new(Pipe::new(Arc::clone(from), Arc::clone(&listener), shape));
        let back = Arc::new(Pipe::new(Arc::clone(&listener), Arc::clone(from), shape_back));
        for pipe in [&there, &back] {
            state.register(pipe);
        }
        let local = state.take_free_number();
        let (link, theirs) = MemoryLink::pair(there, back);
        place.send(MemoryIncoming::new(theirs, multiaddr_of(number), multiaddr_of(local)));
        Ok(Knocked { link, local, listener, answer })
    }

    /// Changes the rules, and with them what is between the ends of the links in use.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Rules)) {
        let mut state = self.lock();
        change(&mut state.rules);
        let pipes: Vec<_> = state.pipes.iter().filter_map(Weak::upgrade).collect();
        let wakers: Vec<_> = pipes.iter().flat_map(|pipe| state.rules.apply(pipe)).collect();
        // Whoever is woken, and whatever goes with the last handle of a pipe, may want the lock.
        drop(state);
        wake(wakers);
        self.0.changed.notify_waiters();
    }

    /// What the rules say now.
    pub(crate) fn look<T>(&self, what: impl Fn(&Rules) -> T) -> T {
        what(&self.lock().rules)
    }

    /// Ends with the next change of the rules.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Keeps a new pipe in mind for changes to come, and puts what was set before into effect.
    fn register(&mut self, pipe: &Arc<Pipe>) {
        // Nobody waits for a new pipe.
        let _ = self.rules.apply(pipe);
        if self.pipes.len() >= self.prune_at {
            self.pipes.retain(|pipe| pipe.strong_count() > 0);
            self.rules.prune();
            self.prune_at = self.pipes.len().saturating_mul(2).max(FIRST_PRUNE);
        }
        self.pipes.push(Arc::downgrade(pipe));
    }

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
        Self {
            next_free: FIRST_FREE,
            listeners: BTreeMap::new(),
            rules: Rules::default(),
            pipes: Vec::new(),
            prune_at: FIRST_PRUNE,
        }
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
    fn links_that_are_gone_are_forgotten() {
        let hub = MemoryHub::new();
        let node = Node::new("");
        let shapes = || Shapes::for_accepts(&crate::Config::default());
        let (sender, mut queue) = mpsc::channel(1);
        hub.open(1, Door::new(sender, shapes(), &node)).unwrap();
        let kept = hub.knock(1, &node, shapes().next()).unwrap();
        let accepted = queue.try_recv().unwrap();
        for _ in 0..1_000 {
            drop(hub.knock(1, &node, shapes().next()).unwrap());
            drop(queue.try_recv().unwrap());
        }
        let state = hub.lock();
        assert!(state.pipes.len() <= FIRST_PRUNE, "{}", state.pipes.len());
        assert_eq!(state.pipes.iter().filter(|pipe| pipe.strong_count() > 0).count(), 2);
        drop((kept, accepted));
    }

    #[test]
    fn free_numbers_are_not_those_of_listeners() {
        let hub = MemoryHub::new();
        let shapes = || Shapes::for_accepts(&crate::Config::default());
        let node = Node::new("");
        let open = |number| hub.open(number, Door::new(mpsc::channel(1).0, shapes(), &node));
        assert_eq!(open(FIRST_FREE).unwrap(), FIRST_FREE);
        assert_eq!(open(0).unwrap(), FIRST_FREE + 1);
        assert_eq!(open(FIRST_FREE).unwrap_err().kind(), TransportErrorKind::AddressInUse);
    }
}
