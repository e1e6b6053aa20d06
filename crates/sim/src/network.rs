//! The nodes of a simulation, as they come and go.

use crate::{
    Failure, Plan,
    graph::Graph,
    net::in_other_halves,
    node::{Node, World},
};
use skep::{Swarm, api::PeerId};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long a node that is lost may take to end, where nobody hears it.
const END: Duration = Duration::from_secs(1);

/// All nodes, running or not.
#[derive(Debug)]
pub(crate) struct Network {
    world: World,
    /// Those that run.
    nodes: BTreeMap<usize, Node>,
    started: usize,
    /// The numbers of the nodes.
    numbers: BTreeMap<PeerId, usize>,
    parted: bool,
    pruned: u64,
}

impl Network {
    /// Nodes that have not started yet.
    pub(crate) fn new(plan: &Plan) -> Result<Self, Failure> {
        let world = World::new(plan)?;
        let numbers = world.peers().into_iter().enumerate().map(|(node, peer)| (peer, node)).collect();
        Ok(Self { world, nodes: BTreeMap::new(), started: 0, numbers, parted: false, pruned: 0 })
    }

    /// When the next node is to start, counted from the beginning.
    pub(crate) fn next_start(&self) -> Option<Duration> {
        let plan = &self.world.plan;
        (self.started < plan.nodes).then(|| plan.starts_at(self.started))
    }

    pub(crate) async fn start_next(&mut self) -> Result<(), Failure> {
        let node = self.started;
        self.nodes.insert(node, self.world.start(node).await?);
        self.started = node.saturating_add(1);
        Ok(())
    }

    /// Loses nodes at once, without a goodbye. Which ones is up to chance, but for one bootstrap node of each half.
    pub(crate) fn lose_some(&mut self) {
        let mut bootstrap: Vec<_> = (0..self.world.plan.bootstrap).collect();
        self.world.random().shuffle(&mut bootstrap);
        let spared: Vec<_> =
            (0..2).filter_map(|half| bootstrap.iter().copied().find(|node| node % 2 == half)).collect();
        let mut victims: Vec<_> = self.nodes.keys().copied().filter(|node| !spared.contains(node)).collect();
        self.world.random().shuffle(&mut victims);
        victims.truncate(self.world.plan.losses());
        victims.iter().for_each(|node| self.world.net.lose(*node));
        for node in victims.iter().filter_map(|node| self.nodes.remove(node)) {
            end(node.swarm);
        }
    }

    pub(crate) fn part(&mut self) {
        self.parted = true;
        self.world.net.part();
    }

    pub(crate) fn heal(&mut self) {
        self.parted = false;
        self.world.net.heal();
    }

    /// Who is linked to whom.
    pub(crate) fn graph(&self) -> Graph {
        let nodes = self.world.plan.nodes;
        let live = (0..nodes).map(|node| self.nodes.contains_key(&node)).collect();
        let said =
            (0..nodes).map(|node| self.nodes.get(&node).map(|n| self.peers(&n.swarm)).unwrap_or_default());
        // A link that was cut is on both tables until both ends notice.
        Graph::new(live, said.collect(), |a, b| !(self.parted && in_other_halves(a, b)))
    }

    fn peers(&self, swarm: &Swarm) -> BTreeSet<usize> {
        swarm.connections().iter().filter_map(|conn| self.numbers.get(&conn.peer()).copied()).collect()
    }

    /// The connections of each node that runs, those included that come to nothing.
    pub(crate) fn connections(&self) -> impl Iterator<Item = (usize, usize)> {
        self.nodes.iter().map(|(node, running)| (*node, running.swarm.total_connections()))
    }

    /// Connections that were pruned so far.
    pub(crate) fn pruned(&mut self) -> u64 {
        let more = self.nodes.values_mut().map(Node::pruned).fold(0, u64::saturating_add);
        self.pruned = self.pruned.saturating_add(more);
        self.pruned
    }

    /// Tasks of nodes that have panicked.
    pub(crate) fn panics(&self) -> u64 {
        self.nodes.values().map(|node| node.swarm.metrics().panics).fold(0, u64::saturating_add)
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }
}

fn end(swarm: Swarm) {
    tokio::spawn(async move { swarm.shutdown(END).await });
}
