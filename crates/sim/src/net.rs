//! The network between the nodes: which links carry something, and who has dialled how often.
//!
//! A node has the listening number `index + 1`. What is cut off is silent: nothing arrives, nothing is refused, and a link
//! that was cut stays dead.

use crate::dials::Tally;
use skep::api::{BoxIo, Multiaddr, multiaddr::Protocol};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The network of one simulation. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Net(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    nodes: Vec<Node>,
    /// Whether the halves are parted.
    parted: bool,
    /// How often they have been.
    partings: u32,
    /// Who dialled from a number, until the other end has asked.
    diallers: BTreeMap<u64, Origin>,
    /// Links whose dials will not be answered any more; they are kept, so that no end of theirs is heard.
    limbo: Vec<BoxIo>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    lost: bool,
    tally: Tally,
}

/// Where a link comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The node that dialled.
    pub(crate) from: usize,
    /// How often the halves had been parted then.
    partings: u32,
}

impl Net {
    pub(crate) fn new(nodes: usize) -> Self {
        let state = State { nodes: vec![Node::default(); nodes], ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts a node off for good.
    pub(crate) fn lose(&self, node: usize) {
        if let Some(node) = self.lock().nodes.get_mut(node) {
            node.lost = true;
        }
    }

    pub(crate) fn is_lost(&self, node: usize) -> bool {
        self.lock().is_lost(node)
    }

    /// Cuts all links between the halves, and keeps new ones from being made.
    pub(crate) fn part(&self) {
        let mut state = self.lock();
        state.parted = true;
        state.partings = state.partings.saturating_add(1);
    }

    /// Lets links between the halves be made again.
    pub(crate) fn heal(&self) {
        self.lock().parted = false;
    }

    /// Whether a link could be made between two nodes at this moment.
    pub(crate) fn is_open(&self, a: usize, b: usize) -> bool {
        self.lock().is_open(a, b)
    }

    /// Whether what one end of a link writes reaches the other.
    pub(crate) fn carries(&self, origin: Origin, to: usize) -> bool {
        let state = self.lock();
        let cut = in_other_halves(origin.from, to) && origin.partings != state.partings;
        !cut && !state.is_lost(origin.from) && !state.is_lost(to)
    }

    /// Counts a dial of a node.
    pub(crate) fn dial(&self, from: usize) -> Origin {
        let mut state = self.lock();
        if let Some(node) = state.nodes.get_mut(from) {
            node.tally.dialled();
        }
        Origin { from, partings: state.partings }
    }

    /// Counts a dial that has ended without a link.
    pub(crate) fn failed(&self, from: usize) {
        if let Some(node) = self.lock().nodes.get_mut(from) {
            node.tally.failed();
        }
    }

    /// Says who is behind the number of a dialling end.
    pub(crate) fn enter(&self, number: u64, origin: Origin) {
        self.lock().diallers.insert(number, origin);
    }

    /// Who is behind it; known once, when the dial has been answered.
    pub(crate) fn take_origin(&self, number: u64) -> Option<Origin> {
        self.lock().diallers.remove(&number)
    }

    /// The dialling end is gone.
    pub(crate) fn leave(&self, number: u64) {
        self.lock().diallers.remove(&number);
    }

    /// Keeps a link whose end nobody is to hear of.
    pub(crate) fn keep_silent(&self, link: BoxIo) {
        self.lock().limbo.push(link);
    }

    /// The dials of a node.
    pub(crate) fn tally(&self, node: usize) -> Tally {
        self.lock().nodes.get(node).map(|node| node.tally.clone()).unwrap_or_default()
    }

    /// Begins the next minute of the counts.
    pub(crate) fn next_minute(&self) {
        self.lock().nodes.iter_mut().for_each(|node| node.tally.next_minute());
    }
}

impl State {
    fn is_lost(&self, node: usize) -> bool {
        self.nodes.get(node).is_none_or(|node| node.lost)
    }

    fn is_open(&self, a: usize, b: usize) -> bool {
        let parted = self.parted && in_other_halves(a, b);
        !(parted || self.is_lost(a) || self.is_lost(b))
    }
}

/// The even nodes are one half, the odd ones the other.
pub(crate) fn in_other_halves(a: usize, b: usize) -> bool {
    a % 2 != b % 2
}

/// The listening number of a node.
pub(crate) fn number_of(node: usize) -> u64 {
    u64::try_from(node).unwrap_or(u64::MAX).saturating_add(1)
}

/// The address that a node listens on.
pub(crate) fn address_of(node: usize) -> Multiaddr {
    Protocol::Memory(number_of(node)).into()
}

/// The number in a `/memory/…` address.
pub(crate) fn number_in(addr: &Multiaddr) -> Option<u64> {
    match addr.iter().next() {
        Some(Protocol::Memory(number)) => Some(number),
        _ => None,
    }
}

/// The node that listens on an address.
pub(crate) fn node_at(addr: &Multiaddr) -> Option<usize> {
    usize::try_from(number_in(addr)?.checked_sub(1)?).ok()
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Net").field("nodes", &state.nodes.len()).field("parted", &state.parted).finish()
    }
}
