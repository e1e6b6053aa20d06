//! What is between nodes, changed while they run.

use crate::{LinkConditions, MemoryHub, MemoryNode};

/// What is between the nodes of a hub can be changed at any time, for links in use and for those to come. A node is
/// meant by a number that it listens on or by its `name`, and several nodes by a name that they share.
impl MemoryHub {
    /// Sets what is between two nodes, in both directions, in place of what their configurations say.
    ///
    /// What is on its way arrives as it would have; what waits for the bandwidth is sent under the new conditions. Where
    /// a link is meant by several such settings, the last one counts.
    pub fn set_conditions(
        &self,
        a: impl Into<MemoryNode>,
        b: impl Into<MemoryNode>,
        conditions: LinkConditions,
    ) {
        let (a, b) = (a.into(), b.into());
        self.change(|rules| {
            rules.set(a.clone(), b.clone(), conditions);
            rules.set(b, a, conditions);
        });
    }

    /// The same for what the first node sends to the second.
    pub fn set_conditions_one_way(
        &self,
        from: impl Into<MemoryNode>,
        to: impl Into<MemoryNode>,
        conditions: LinkConditions,
    ) {
        self.change(|rules| rules.set(from.into(), to.into(), conditions));
    }

    /// Takes back what was set between two nodes, named as they were then, in both directions.
    pub fn clear_conditions(&self, a: impl Into<MemoryNode>, b: impl Into<MemoryNode>) {
        let (a, b) = (a.into(), b.into());
        self.change(|rules| {
            rules.clear(a.clone(), b.clone());
            rules.clear(b, a);
        });
    }

    /// From now on nothing passes between two nodes, in either direction.
    ///
    /// What is on its way is lost, writers go on until the link's capacity is full, and dials wait. No end learns
    /// of it by itself. Nodes with one name can be parted from each other too: `hub.partition("a", "a")`.
    pub fn partition(&self, a: impl Into<MemoryNode>, b: impl Into<MemoryNode>) {
        self.change(|rules| rules.part(a.into(), b.into()));
    }

    /// Ends the partition of two nodes, named as they were then, from either side.
    ///
    /// What was written and has not arrived is sent again after `retransmit`, ends of links included, and so are dials
    /// that still wait.
    pub fn heal(&self, a: impl Into<MemoryNode>, b: impl Into<MemoryNode>) {
        self.change(|rules| rules.join(a.into(), b.into()));
    }

    /// Ends all partitions.
    pub fn heal_all(&self) {
        self.change(crate::rules::Rules::join_all);
    }
}
