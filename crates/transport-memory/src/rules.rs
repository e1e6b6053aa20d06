//! What was set between nodes at run time.

use crate::{LinkConditions, MemoryNode, node::Node, pipe::Pipe};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
    task::Waker,
};

/// The conditions and partitions of a hub, and who the numbers are.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// From whom, to whom; with the number of the change, of which the last one counts.
    conditions: BTreeMap<(MemoryNode, MemoryNode), (u64, LinkConditions)>,
    changes: u64,
    /// Pairs that nothing passes between, in either direction; the smaller of the two first.
    partitions: BTreeSet<(MemoryNode, MemoryNode)>,
    /// Who listens at a number, or did so last.
    owners: BTreeMap<u64, Weak<Node>>,
}

impl Rules {
    pub(crate) fn set(&mut self, from: MemoryNode, to: MemoryNode, conditions: LinkConditions) {
        self.changes = self.changes.saturating_add(1);
        self.conditions.insert((from, to), (self.changes, conditions.within_range()));
    }

    pub(crate) fn clear(&mut self, from: MemoryNode, to: MemoryNode) {
        self.conditions.remove(&(from, to));
    }

    pub(crate) fn part(&mut self, a: MemoryNode, b: MemoryNode) {
        self.partitions.insert(in_order(a, b));
    }

    pub(crate) fn join(&mut self, a: MemoryNode, b: MemoryNode) {
        self.partitions.remove(&in_order(a, b));
    }

    pub(crate) fn join_all(&mut self) {
        self.partitions.clear();
    }

    /// Whether nothing was set.
    pub(crate) fn are_none(&self) -> bool {
        self.conditions.is_empty() && self.partitions.is_empty()
    }

    /// Puts what is set between the ends of a pipe into effect. Returns who is to be woken, once no lock is held.
    #[must_use]
    pub(crate) fn apply(&self, pipe: &Pipe) -> [Option<Waker>; 3] {
        let (from, to) = pipe.ends();
        pipe.set(self.between(from, to), self.are_parted(from, to))
    }

    /// From now on the number is this node's.
    pub(crate) fn own(&mut self, number: u64, node: &Arc<Node>) {
        if let Some(before) = self.owner(number) {
            before.remove(number);
        }
        node.add(number);
        self.owners.insert(number, Arc::downgrade(node));
    }

    /// The node that listens at a number, or did so last, if anything of it is still there.
    pub(crate) fn owner(&self, number: u64) -> Option<Arc<Node>> {
        self.owners.get(&number).and_then(Weak::upgrade)
    }

    /// Forgets nodes of which nothing is left.
    pub(crate) fn prune(&mut self) {
        self.owners.retain(|_, owner| owner.strong_count() > 0);
    }

    /// What was set last from one node to another, if anything.
    pub(crate) fn between(&self, from: &Node, to: &Node) -> Option<LinkConditions> {
        if self.conditions.is_empty() {
            return None;
        }
        let rules = pairs(from, to).filter_map(|pair| self.conditions.get(&pair));
        rules.max_by_key(|(change, _)| *change).map(|(_, conditions)| *conditions)
    }

    /// Whether nothing passes between two nodes.
    pub(crate) fn are_parted(&self, one: &Node, two: &Node) -> bool {
        !self.partitions.is_empty() && pairs(one, two).any(|(a, b)| self.partitions.contains(&in_order(a, b)))
    }
}

/// All that two nodes can be called.
fn pairs(from: &Node, to: &Node) -> impl Iterator<Item = (MemoryNode, MemoryNode)> {
    let to = to.aliases();
    from.aliases().into_iter().flat_map(move |a| to.clone().into_iter().map(move |b| (a.clone(), b)))
}

fn in_order(a: MemoryNode, b: MemoryNode) -> (MemoryNode, MemoryNode) {
    if a <= b { (a, b) } else { (b, a) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> Arc<Node> {
        Node::new(name)
    }

    fn latency(ms: u64) -> LinkConditions {
        LinkConditions { latency: std::time::Duration::from_millis(ms), ..LinkConditions::default() }
    }

    #[test]
    fn a_rule_has_a_direction_and_the_last_one_counts() {
        let mut rules = Rules::default();
        let (a, b) = (node("a"), node("b"));
        rules.set("a".into(), "b".into(), latency(1));
        assert_eq!(rules.between(&a, &b), Some(latency(1)));
        assert_eq!(rules.between(&b, &a), None);
        rules.own(7, &b);
        rules.set("a".into(), 7.into(), latency(2));
        assert_eq!(rules.between(&a, &b), Some(latency(2)));
        rules.set("a".into(), "b".into(), latency(3));
        assert_eq!(rules.between(&a, &b), Some(latency(3)));
        rules.clear("a".into(), "b".into());
        assert_eq!(rules.between(&a, &b), Some(latency(2)));
    }

    #[test]
    fn a_partition_has_none_and_is_taken_back_from_either_side() {
        let mut rules = Rules::default();
        let (a, b, c) = (node("a"), node("b"), node("c"));
        rules.part("a".into(), "b".into());
        rules.part("b".into(), "a".into());
        assert!(rules.are_parted(&a, &b) && rules.are_parted(&b, &a));
        assert!(!rules.are_parted(&a, &c) && !rules.are_parted(&a, &a));
        rules.join("a".into(), "b".into());
        assert!(!rules.are_parted(&a, &b));
    }

    #[test]
    fn a_number_is_that_of_the_last_who_listened() {
        let mut rules = Rules::default();
        let (a, b, client) = (node(""), node(""), node("client"));
        rules.own(1, &a);
        rules.part(1.into(), "client".into());
        assert!(rules.are_parted(&client, &a) && !rules.are_parted(&client, &b));
        rules.own(1, &b);
        assert!(rules.are_parted(&client, &b) && !rules.are_parted(&client, &a));
        drop(b);
        assert!(rules.owner(1).is_none());
    }

    #[test]
    fn nodes_without_a_name_are_not_those_named_nothing() {
        let mut rules = Rules::default();
        rules.part("".into(), "".into());
        assert!(!rules.are_parted(&node(""), &node("")));
    }
}
