//! What is simulated: how many nodes, with which marks, and what happens to them when.

use crate::Failure;
use serde::Serialize;
use std::{ops::RangeInclusive, time::Duration};

/// The connections that a node has: how many it wants, how many it keeps, how many it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Marks {
    /// Peers that `auto_connect` wants.
    pub target: u32,
    /// Connections that are left after pruning.
    pub low: u32,
    /// Connections above which pruning starts.
    pub high: u32,
    /// `[swarm] max_connections`.
    pub cap: u32,
}

/// A simulation. Times are minutes of the simulation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// Where all chance comes from.
    pub seed: u64,
    /// Nodes, those for bootstrapping included.
    pub nodes: usize,
    /// Of these, those whose addresses all others start with: the first ones, so that each half has some.
    pub bootstrap: usize,
    /// Whether the bootstrap nodes hold on to each other, which brings halves together again that have met nobody of the
    /// other for long.
    pub bridge: bool,
    /// The time within which the nodes start, one after the other.
    pub start: u64,
    /// From the first start to the loss.
    pub settle: u64,
    /// Percent of the nodes that are lost at once.
    pub loss_percent: u64,
    /// From the loss to the partition.
    pub recover: u64,
    /// How long the partition lasts.
    pub partition: u64,
    /// From its end to the end of the simulation.
    pub heal: u64,
    /// The marks of the nodes that are not for bootstrapping.
    pub ordinary: Marks,
    /// The marks of those that are.
    pub large: Marks,
    /// Minutes that the network may take to be whole and within its marks: after the last start, the loss, and the end of
    /// the partition.
    pub patience: u64,
    /// Dials that no ordinary node may exceed in any hour.
    pub max_dials: u32,
    /// Dials that no bootstrap node may exceed in any hour.
    pub max_dials_large: u32,
}

impl Plan {
    /// The usual course with so many nodes and this seed.
    #[must_use]
    pub fn new(nodes: usize, seed: u64) -> Self {
        // No more than there are others in a half of what is left: who misses peers for ever dials for ever.
        let large = u32::try_from(nodes / 8).unwrap_or(u32::MAX).clamp(8, 32);
        Self {
            seed,
            nodes,
            bootstrap: 5,
            bridge: true,
            start: 5,
            settle: 20,
            loss_percent: 30,
            recover: 25,
            partition: 10,
            heal: 25,
            ordinary: Marks { target: 8, low: 12, high: 16, cap: 24 },
            large: Marks { target: large, low: 192, high: 256, cap: 512 },
            patience: 10,
            max_dials: 80,
            max_dials_large: 320,
        }
    }

    /// The minute of the loss.
    #[must_use]
    pub fn lost_at(&self) -> u64 {
        self.settle
    }

    /// The minute at which the partition begins.
    #[must_use]
    pub fn parted_at(&self) -> u64 {
        self.settle.saturating_add(self.recover)
    }

    /// The minute at which it ends.
    #[must_use]
    pub fn healed_at(&self) -> u64 {
        self.parted_at().saturating_add(self.partition)
    }

    /// The last minute.
    #[must_use]
    pub fn ends_at(&self) -> u64 {
        self.healed_at().saturating_add(self.heal)
    }

    /// How many nodes are lost.
    #[must_use]
    pub fn losses(&self) -> usize {
        let percent = usize::try_from(self.loss_percent).unwrap_or(usize::MAX);
        self.nodes.saturating_mul(percent).checked_div(100).unwrap_or_default()
    }

    pub(crate) fn marks_of(&self, node: usize) -> Marks {
        if node < self.bootstrap { self.large } else { self.ordinary }
    }

    /// How long after the beginning a node starts: bootstrap nodes at once, the others evenly over the time for it.
    pub(crate) fn starts_at(&self, node: usize) -> Duration {
        let others = self.nodes.saturating_sub(self.bootstrap).max(1);
        let nth = node.saturating_sub(self.bootstrap);
        minutes(self.start).mul_f64(ratio(nth, others))
    }

    /// # Errors
    /// [`Failure::Plan`] for the first part that makes no sense.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let least = count(self.bootstrap.saturating_add(usize::try_from(self.ordinary.cap).unwrap_or(0)));
        within("the number of nodes", count(self.nodes), least..=100_000)?;
        within("the number of bootstrap nodes", count(self.bootstrap), 2..=64)?;
        within("the time for starting", self.start, 1..=60)?;
        within("the time for settling", self.settle, self.start.saturating_add(1)..=1_440)?;
        within("the percentage that is lost", self.loss_percent, 0..=90)?;
        within("the time for recovering", self.recover, 1..=1_440)?;
        within("the time of the partition", self.partition, 1..=1_440)?;
        within("the time for healing", self.heal, 1..=1_440)
    }
}

fn within(what: &'static str, given: u64, allowed: RangeInclusive<u64>) -> Result<(), Failure> {
    if allowed.contains(&given) {
        return Ok(());
    }
    Err(Failure::Plan { what, given, allowed: format!("{} to {}", allowed.start(), allowed.end()) })
}

/// So many minutes.
pub(crate) fn minutes(n: u64) -> Duration {
    Duration::from_secs(n.saturating_mul(60))
}

/// A part of a whole; 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "counts of nodes are far below 2^52")]
pub(crate) fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
