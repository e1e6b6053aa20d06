//! What the network looks like at a minute.

use crate::{
    graph::{Graph, percentile},
    net::in_other_halves,
    network::Network,
    plan::ratio,
};
use serde::Serialize;

/// The network at a minute, before what happens in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Sample {
    /// The minute, counted from the first start.
    pub minute: u64,
    /// Nodes that run.
    pub live: usize,
    /// How many live peers they are linked to. A link counts if both ends have it, and it carries something.
    pub degree: Degrees,
    /// The share of them that have at least their target.
    pub at_target: f64,
    /// The share of those that have no more than their high mark.
    pub below_high: f64,
    /// The share of those that have no more connections than their cap, dead ones included.
    pub within_cap: f64,
    /// In how many parts the network lies.
    pub components: usize,
    /// The share of the nodes in the largest of them.
    pub largest: f64,
    /// The share of the links that lead from one half to the other.
    pub across: f64,
    /// Dials of those nodes that are not for bootstrapping, in the last hour.
    pub dials: Dials,
    /// Dials of those that are.
    pub dials_large: Dials,
    /// Dials of all nodes since the beginning.
    pub dialled: u64,
    /// Of these, those that have ended without a link.
    pub failed: u64,
    /// Connections that were pruned since the beginning.
    pub pruned: u64,
}

/// How the degrees are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Degrees {
    /// The least.
    pub min: usize,
    /// 5 % have no more.
    pub p5: usize,
    /// Half of them have no more.
    pub median: usize,
    /// The greatest.
    pub max: usize,
}

/// How the dials of nodes within an hour are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Dials {
    /// On average.
    pub mean: f64,
    /// 99 % have no more.
    pub p99: u32,
    /// The greatest.
    pub max: u32,
}

impl Sample {
    pub(crate) fn take(minute: u64, network: &mut Network) -> Self {
        let pruned = network.pruned();
        let graph = network.graph();
        let plan = &network.world().plan;
        let live: Vec<_> = graph.live().collect();
        let share = |which: &dyn Fn(usize) -> bool| {
            rounded(ratio(live.iter().filter(|node| which(**node)).count(), live.len()))
        };
        let degree = |node: usize| u32::try_from(graph.degree(node)).unwrap_or(u32::MAX);
        let caps = network.connections();
        let over = caps.filter(|(node, n)| u32::try_from(*n).unwrap_or(u32::MAX) > plan.marks_of(*node).cap);
        let components = graph.components();
        let (dialled, failed) = totals(network);
        Self {
            minute,
            live: live.len(),
            degree: Degrees::of(&graph),
            at_target: share(&|node| degree(node) >= plan.marks_of(node).target),
            below_high: share(&|node| degree(node) <= plan.marks_of(node).high),
            within_cap: rounded(1.0 - ratio(over.count(), live.len())),
            components: components.len(),
            largest: rounded(ratio(components.first().copied().unwrap_or_default(), live.len())),
            across: across(&graph),
            dials: Dials::of(network, live.iter().copied().filter(|node| *node >= plan.bootstrap)),
            dials_large: Dials::of(network, live.iter().copied().filter(|node| *node < plan.bootstrap)),
            dialled,
            failed,
            pruned,
        }
    }

    /// Whether the network is whole, and as good as all nodes are within their marks.
    pub(crate) fn is_well(&self) -> bool {
        self.components == 1 && self.is_within_marks()
    }

    /// Whether 99 % have their target, and 99 % no more than their high mark.
    pub(crate) fn is_within_marks(&self) -> bool {
        self.at_target >= 0.99 && self.below_high >= 0.99
    }
}

impl Degrees {
    fn of(graph: &Graph) -> Self {
        let mut degrees: Vec<_> = graph.live().map(|node| graph.degree(node)).collect();
        degrees.sort_unstable();
        Self {
            min: degrees.first().copied().unwrap_or_default(),
            p5: percentile(&degrees, 5),
            median: percentile(&degrees, 50),
            max: degrees.last().copied().unwrap_or_default(),
        }
    }
}

impl Dials {
    fn of(network: &Network, nodes: impl Iterator<Item = usize>) -> Self {
        let mut dials: Vec<_> = nodes.map(|node| network.world().net.tally(node).in_hour()).collect();
        dials.sort_unstable();
        let sum = dials.iter().fold(0_usize, |sum, n| sum.saturating_add(usize::try_from(*n).unwrap_or(0)));
        Self {
            mean: rounded(ratio(sum, dials.len())),
            p99: percentile(&dials, 99),
            max: dials.last().copied().unwrap_or_default(),
        }
    }
}

/// The share of the links between the halves.
fn across(graph: &Graph) -> f64 {
    let (mut all, mut across) = (0_usize, 0_usize);
    for a in graph.live() {
        for b in graph.links(a) {
            all = all.saturating_add(1);
            across = across.saturating_add(usize::from(in_other_halves(a, b)));
        }
    }
    rounded(ratio(across, all))
}

/// The dials of all nodes, lost ones included, and those of them that led to nothing.
fn totals(network: &Network) -> (u64, u64) {
    let world = network.world();
    let tallies = (0..world.plan.nodes).map(|node| world.net.tally(node));
    tallies.fold((0_u64, 0_u64), |(made, missed), tally| {
        (made.saturating_add(tally.made), missed.saturating_add(tally.failed))
    })
}

/// To four places, which is what is shown.
fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
