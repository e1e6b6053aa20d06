//! Who is dialled first. Pure: it is told all it needs.

use skep_api::{PeerId, address::Subnet};
use std::{cmp::Reverse, collections::HashSet};

/// A peer that may be dialled.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) peer: PeerId,
    /// Others are found through it.
    pub(super) bootstrap: bool,
    /// The sum of its tags.
    pub(super) value: i64,
    /// A connection to one of its addresses has worked.
    pub(super) worked: bool,
    /// The networks of its addresses.
    pub(super) subnets: Vec<Subnet>,
}

/// Chooses up to `count` of the candidates, which come in a random order; among equals the first goes.
///
/// Before each choice: with fewer peers than `bootstrap_until`, `connected` and those chosen together, one to bootstrap
/// from goes first, otherwise last. Then the greater value, then one that has worked, then one in networks that none of
/// the others is in.
pub(super) fn choose(
    mut candidates: Vec<Candidate>,
    mut subnets: HashSet<Subnet>,
    connected: usize,
    bootstrap_until: usize,
    count: usize,
) -> Vec<PeerId> {
    let mut chosen = Vec::new();
    while chosen.len() < count {
        let few = connected.saturating_add(chosen.len()) < bootstrap_until;
        let worth = |at: usize, candidate: &Candidate| {
            let elsewhere =
                !candidate.subnets.is_empty() && candidate.subnets.iter().all(|net| !subnets.contains(net));
            (candidate.bootstrap == few, candidate.value, candidate.worked, elsewhere, Reverse(at))
        };
        let best = candidates.iter().enumerate().max_by_key(|(at, candidate)| worth(*at, candidate));
        let Some((at, _)) = best else { break };
        let best = candidates.remove(at);
        subnets.extend(best.subnets);
        chosen.push(best.peer);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use skep_testkit::node::peer;

    fn net(n: u8) -> Subnet {
        Subnet::of([192, 0, n, 1].into())
    }

    fn candidate(n: u64) -> Candidate {
        Candidate { peer: peer(n), bootstrap: false, value: 0, worked: false, subnets: vec![net(1)] }
    }

    fn chosen(candidates: &[Candidate], connected: usize, count: usize) -> Vec<u64> {
        let chosen = choose(candidates.to_vec(), [net(1)].into(), connected, 2, count);
        let number = |chosen: &PeerId| (0..20).find(|n| peer(*n) == *chosen).unwrap();
        chosen.iter().map(number).collect()
    }

    #[test]
    fn each_reason_goes_before_the_next() {
        let mut candidates: Vec<_> = (1..=6).map(candidate).collect();
        candidates[1].subnets = vec![net(2)];
        candidates[2].worked = true;
        candidates[3].value = 1;
        candidates[4].bootstrap = true;
        candidates[5].value = -1;
        assert_eq!(chosen(&candidates, 1, 9), [5, 4, 3, 2, 1, 6]);
        assert_eq!(chosen(&candidates, 2, 9), [4, 3, 2, 1, 6, 5]);
    }

    #[test]
    fn no_two_of_one_network_while_there_are_others() {
        let mut candidates: Vec<_> = (1..=6).map(candidate).collect();
        for (candidate, n) in candidates.iter_mut().zip([2, 2, 2, 3, 3, 4]) {
            candidate.subnets = vec![net(n)];
        }
        assert_eq!(chosen(&candidates, 5, 4), [1, 4, 6, 2]);
        // One that names many networks is in the taken one, too; one without an IP is in none that is known.
        candidates[0].subnets = vec![net(1), net(5)];
        candidates[1].subnets = Vec::new();
        assert_eq!(chosen(&candidates, 5, 2), [3, 4]);
    }

    proptest! {
        #[test]
        fn as_many_as_asked_for_and_none_twice(
            given in prop::collection::vec((any::<bool>(), -2..3_i64, any::<bool>(), 0..4_u8), 0..20),
            connected in 0..5_usize, until in 0..5_usize, count in 0..25_usize,
        ) {
            let candidates: Vec<_> = (1..).zip(&given).map(|(n, (bootstrap, value, worked, at))| Candidate {
                bootstrap: *bootstrap, value: *value, worked: *worked, subnets: vec![net(*at)], ..candidate(n)
            }).collect();
            let chosen = choose(candidates, HashSet::new(), connected, until, count);
            prop_assert_eq!(chosen.len(), count.min(given.len()));
            prop_assert_eq!(chosen.iter().collect::<HashSet<_>>().len(), chosen.len());
        }
    }
}
