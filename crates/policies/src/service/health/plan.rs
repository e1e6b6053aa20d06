//! Which connections are to be replaced, the worst first.

use super::{
    config::Config,
    score::HealthState,
    table::{Table, Watched},
};
use skep_api::PeerId;
use std::collections::{BTreeMap, BTreeSet};

/// By how much another connection has to be better to be worth a change.
const MARGIN: f64 = 0.1;

/// A connection that should be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) peer: PeerId,
    pub(super) old: u64,
    /// A better one that stands already: no dial is needed.
    pub(super) better: Option<u64>,
}

impl Table {
    /// What should be replaced: one connection of a peer, the worst first.
    pub(super) fn plans(&self, config: &Config) -> Vec<Plan> {
        let mut bad: Vec<_> =
            self.connections.iter().filter(|(_, watched)| is_due(watched, config)).collect();
        if bad.is_empty() {
            return Vec::new();
        }
        bad.sort_by(|a, b| a.1.health.score().total_cmp(&b.1.health.score()).then(a.0.cmp(b.0)));
        let (best, unjudged) = self.others();
        let mut peers = BTreeSet::new();
        bad.retain(|(_, watched)| !unjudged.contains(&watched.peer) && peers.insert(watched.peer));
        let plan = |(old, watched): (&u64, &Watched)| {
            let better =
                best.get(&watched.peer).filter(|(score, _)| *score >= watched.health.score() + MARGIN);
            Plan { peer: watched.peer, old: *old, better: better.map(|(_, id)| *id) }
        };
        bad.into_iter().map(plan).collect()
    }

    /// The best healthy connection of each peer, and the peers with one that has not had its turn: it may be better.
    fn others(&self) -> (BTreeMap<PeerId, (f64, u64)>, BTreeSet<PeerId>) {
        let (mut best, mut unjudged) = (BTreeMap::new(), BTreeSet::new());
        for (id, watched) in self.connections.iter().filter(|(_, watched)| !watched.limited) {
            if watched.turns == 0 {
                unjudged.insert(watched.peer);
            }
            let score = watched.health.score();
            if watched.health.state() == HealthState::Healthy && !watched.leaving {
                let so_far = best.entry(watched.peer).or_insert((score, *id));
                if score > so_far.0 {
                    *so_far = (score, *id);
                }
            }
        }
        (best, unjudged)
    }

    /// Whether a connection, just judged, is enough better than another to take its place.
    pub(super) fn is_better(&self, new: u64, old: u64) -> bool {
        let (Some(new), Some(old)) = (self.connections.get(&new), self.connections.get(&old)) else {
            return false;
        };
        !new.health.state().is_bad()
            && !new.health.is_unanswered()
            && new.health.score() >= old.health.score() + MARGIN
    }
}

/// Streams in use would be lost with it: only a critical connection is not worth keeping for them.
fn is_due(watched: &Watched, config: &Config) -> bool {
    let usable = watched.busy > 0 && watched.health.state() != HealthState::Critical;
    watched.health.wants_replacement(config) && !watched.limited && !watched.leaving && !usable
}
