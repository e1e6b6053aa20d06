//! What is counted of pruning.

use super::Meters;
use crate::prune::{PruneReason, PruneRule};
use skep_api::metrics::{Counters, Instrument, Sink, Values};

/// The counters of pruning.
#[derive(Debug)]
pub(super) struct Pruned {
    closed: Counters,
    rounds: Counters,
    spared: Counters,
}

impl Pruned {
    pub(super) fn new(sink: &Sink) -> Self {
        let reasons = Values::of(PruneReason::ALL.map(PruneReason::name));
        let rules = Values::of(PruneRule::ALL.map(PruneRule::name));
        let closed = Instrument::new("skep_pruned", "Connections that were pruned.");
        let rounds = Instrument::new("skep_prune_rounds", "Rounds of pruning.");
        let spared = Instrument::new("skep_prune_spared", "Peers that a rule kept from being pruned.");
        Self {
            closed: sink.counters(closed.label("reason", &reasons)),
            rounds: sink.counters(rounds),
            spared: sink.counters(spared.label("rule", &rules)),
        }
    }
}

impl Meters {
    /// A connection was pruned.
    pub(crate) fn pruned(&self, reason: PruneReason) {
        self.pruned.closed.with(&[reason.name()]).inc();
    }

    /// There was a round, in which these rules have kept a peer each.
    pub(crate) fn prune_round(&self, spared: impl Iterator<Item = PruneRule>) {
        self.pruned.rounds.with(&[]).inc();
        for rule in spared {
            self.pruned.spared.with(&[rule.name()]).inc();
        }
    }
}
