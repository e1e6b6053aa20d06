//! Which peers may be dialled: a bounded sample of a store of any size.

use super::choose::Candidate;
use skep_api::{
    PeerId,
    address::{self, Subnet},
    peerstore::PeerStore,
    random::Random,
    tags::{CommonTags, Tags},
};
use std::collections::HashSet;

/// Candidates at most.
const SAMPLE: usize = 512;

/// Peers whose addresses are looked at, at most.
const LOOKED_AT: usize = 2_048;

/// Gathers peers with addresses that are `eligible`, in a random order: those tagged `bootstrap`, those with other tags,
/// and the rest, as far as the sample goes.
pub(super) fn gather(
    tags: &dyn Tags,
    store: &dyn PeerStore,
    random: &Random,
    eligible: &dyn Fn(&PeerId) -> bool,
) -> Vec<Candidate> {
    let bootstrap = tags.tagged(&|tag| tag == CommonTags::BOOTSTRAP);
    let tagged = tags.tagged(&|_| true);
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut looked_at = 0_usize;
    for mut group in [bootstrap.clone(), tagged, store.peers()] {
        group.retain(|peer| eligible(peer) && seen.insert(*peer));
        random.shuffle(&mut group);
        for peer in group {
            if found.len() >= SAMPLE || looked_at >= LOOKED_AT {
                break;
            }
            looked_at = looked_at.saturating_add(1);
            let is_bootstrap = bootstrap.binary_search(&peer).is_ok();
            found.extend(candidate(peer, is_bootstrap, tags.value(&peer), store));
        }
    }
    // The groups are mixed, so that chance decides among equals.
    random.shuffle(&mut found);
    found
}

/// A peer with what its addresses say; `None` if it has none.
fn candidate(peer: PeerId, bootstrap: bool, value: i64, store: &dyn PeerStore) -> Option<Candidate> {
    let addrs = store.addrs(&peer);
    let mut subnets: Vec<_> =
        addrs.iter().filter_map(|known| address::ip(&known.addr)).map(Subnet::of).collect();
    subnets.dedup();
    let worked = addrs.iter().any(|known| known.worked());
    (!addrs.is_empty()).then_some(Candidate { peer, bootstrap, value, worked, subnets })
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_api::peerstore::Ttl;
    use skep_testkit::node::{FakeStore, FakeTags, addr, peer};

    #[test]
    fn of_a_large_store_a_sample_is_taken_and_those_with_tags_are_in_it() {
        let (tags, store) = (FakeTags::default(), FakeStore::default());
        for n in 1..2_000 {
            store.add_addrs(&peer(n), &[addr("/ip4/192.0.2.1/tcp/1")], Ttl::Permanent);
        }
        let tagged = |n: u64| if n.is_multiple_of(2) { CommonTags::BOOTSTRAP } else { "mine" };
        (1..100).for_each(|n| tags.tag(&peer(n), tagged(n), 3).unwrap());
        let gather = |seed| gather(&tags, &store, &Random::seeded(seed), &|candidate| *candidate != peer(1));
        let found = gather(1);
        assert_eq!(found.len(), SAMPLE);
        assert_eq!(found.iter().filter(|candidate| candidate.value == 3).count(), 98);
        assert_eq!(found.iter().filter(|candidate| candidate.bootstrap).count(), 49);
        let peers = |found: &[Candidate]| found.iter().map(|candidate| candidate.peer).collect::<Vec<_>>();
        assert!(!peers(&found).contains(&peer(1)));
        assert_eq!(peers(&found), peers(&gather(1)));
        assert_ne!(peers(&found), peers(&gather(2)));
    }

    #[test]
    fn peers_without_addresses_are_none() {
        let (tags, store) = (FakeTags::default(), FakeStore::default());
        tags.tag(&peer(1), CommonTags::BOOTSTRAP, 50).unwrap();
        assert!(gather(&tags, &store, &Random::seeded(1), &|_| true).is_empty());
    }
}
