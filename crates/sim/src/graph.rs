//! Arithmetic on who is linked to whom.

use std::collections::BTreeSet;

/// The nodes that take part, and the links between them.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    /// For each node, whether it takes part.
    live: Vec<bool>,
    /// For each node, those it says it is linked to.
    said: Vec<BTreeSet<usize>>,
}

impl Graph {
    /// Of `said`, only links count that both ends say and that `stands` is true for.
    pub(crate) fn new(
        live: Vec<bool>,
        mut said: Vec<BTreeSet<usize>>,
        stands: impl Fn(usize, usize) -> bool,
    ) -> Self {
        said.resize(live.len(), BTreeSet::new());
        let is_live = |node: usize| live.get(node).copied().unwrap_or_default();
        let says = |a: usize, b: usize| said.get(a).is_some_and(|peers| peers.contains(&b));
        let links = (0..live.len()).map(|a| {
            let peers = said.get(a).into_iter().flatten().copied();
            peers.filter(|b| a != *b && is_live(a) && is_live(*b) && says(*b, a) && stands(a, *b)).collect()
        });
        let said = links.collect();
        Self { live, said }
    }

    /// The nodes that take part.
    pub(crate) fn live(&self) -> impl Iterator<Item = usize> {
        self.live.iter().enumerate().filter(|(_, live)| **live).map(|(node, _)| node)
    }

    /// The links of a node.
    pub(crate) fn links(&self, node: usize) -> impl Iterator<Item = usize> {
        self.said.get(node).into_iter().flatten().copied()
    }

    pub(crate) fn degree(&self, node: usize) -> usize {
        self.said.get(node).map_or(0, BTreeSet::len)
    }

    /// The sizes of the parts that hang together, the largest first.
    pub(crate) fn components(&self) -> Vec<usize> {
        let mut unseen: BTreeSet<usize> = self.live().collect();
        let mut sizes = Vec::new();
        while let Some(first) = unseen.pop_first() {
            let (mut size, mut edge) = (0_usize, vec![first]);
            while let Some(node) = edge.pop() {
                size = size.saturating_add(1);
                edge.extend(self.links(node).filter(|next| unseen.remove(next)));
            }
            sizes.push(size);
        }
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes
    }
}

/// The value below which so many percent of the values lie, by the nearest rank; 0 of nothing.
pub(crate) fn percentile<T: Copy + Default>(sorted: &[T], percent: usize) -> T {
    let rank = sorted.len().saturating_mul(percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn graph(nodes: usize, links: &[(usize, usize)]) -> Graph {
        let mut said = vec![BTreeSet::new(); nodes];
        for (a, b) in links {
            said[*a].insert(*b);
            said[*b].insert(*a);
        }
        Graph::new(vec![true; nodes], said, |_, _| true)
    }

    #[test]
    fn parts_are_counted() {
        assert_eq!(graph(0, &[]).components(), Vec::<usize>::new());
        assert_eq!(graph(3, &[]).components(), [1, 1, 1]);
        assert_eq!(graph(6, &[(0, 1), (1, 2), (2, 0), (4, 5)]).components(), [3, 2, 1]);
    }

    #[test]
    fn a_link_has_two_live_ends_that_say_so() {
        let said = vec![[1, 2, 3, 0].into(), [0].into(), BTreeSet::new(), [0].into()];
        let graph = Graph::new(vec![true, true, true, false], said.clone(), |_, _| true);
        assert_eq!((graph.degree(0), graph.degree(1), graph.degree(2), graph.degree(3)), (1, 1, 0, 0));
        assert_eq!(graph.live().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(graph.components(), [2, 1]);
        assert_eq!(Graph::new(vec![true; 4], said, |a, b| a + b != 1).components(), [2, 1, 1]);
    }

    #[test]
    fn percentiles_are_values_that_occur() {
        let values: Vec<usize> = (1..=100).collect();
        assert_eq!([0, 5, 50, 99, 100].map(|p| percentile(&values, p)), [1, 5, 50, 99, 100]);
        assert_eq!(percentile(&[7], 5), 7);
        assert_eq!(percentile::<u32>(&[], 50), 0);
    }

    proptest! {
        #[test]
        fn every_node_is_in_one_part_and_a_link_joins_two_at_most(
            links in prop::collection::vec((0..12_usize, 0..12_usize), 0..20),
        ) {
            let links: Vec<_> = links.into_iter().filter(|(a, b)| a != b).collect();
            let parts = |count: usize| graph(12, &links[..count]).components();
            prop_assert_eq!(parts(links.len()).iter().sum::<usize>(), 12);
            for n in 1..=links.len() {
                let (before, after) = (parts(n - 1).len(), parts(n).len());
                prop_assert!(after == before || after + 1 == before);
            }
        }
    }
}
