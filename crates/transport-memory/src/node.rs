//! Who a transport is on its hub, and how others name it.

use crate::address::number_of;
use skep_api::Multiaddr;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// One transport on a hub. Links keep it, so that they are known by it after the transport is gone.
#[derive(Debug)]
pub(crate) struct Node {
    name: String,
    /// Where it listens, or was the last to listen.
    numbers: Mutex<BTreeSet<u64>>,
}

impl Node {
    /// A node that listens nowhere yet; an empty name is none.
    pub(crate) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.into(), numbers: Mutex::default() })
    }

    pub(crate) fn add(&self, number: u64) {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
    }

    pub(crate) fn remove(&self, number: u64) {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    /// All that it can be called.
    pub(crate) fn aliases(&self) -> Vec<MemoryNode> {
        let numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let name = Some(&self.name).filter(|name| !name.is_empty());
        let name = name.map(|name| MemoryNode::Name(name.clone()));
        numbers.iter().copied().map(MemoryNode::Number).chain(name).collect()
    }
}

/// The node or nodes that a change of conditions is about.
///
/// A number and a name make one: `hub.partition(1, "clients")`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryNode {
    /// The node that listens, or was the last to listen, at this number.
    Number(u64),
    /// All nodes with this `name` in their configuration, those to come included.
    Name(String),
}

impl MemoryNode {
    /// The node that listens at an address such as `/memory/7`; `None` for any other form of address.
    #[must_use]
    pub fn at(addr: &Multiaddr) -> Option<Self> {
        number_of(addr).map(Self::Number)
    }
}

impl From<u64> for MemoryNode {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for MemoryNode {
    fn from(name: &str) -> Self {
        Self::Name(name.into())
    }
}

impl From<String> for MemoryNode {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}
