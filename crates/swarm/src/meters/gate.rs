//! Verdicts of gates.

use super::names;
use crate::stack::Stack;
use skep_api::{
    gate::{Checkpoint, Denial},
    metrics::{Counter, Counters, Instrument, Sink, Values},
};

/// Rules that are told apart, at most.
const MAX_RULES: u16 = 64;

/// The instruments of all gates.
#[derive(Debug)]
pub(super) struct Gates {
    verdicts: Counters,
    denials: Counters,
    rules: Values,
}

/// The counters of one gate.
#[derive(Debug)]
pub(crate) struct GateMeter {
    name: String,
    /// Allowed, denied, and denied without effect, in the order of the checkpoints.
    verdicts: Vec<[Counter; 3]>,
    denials: Counters,
    rules: Values,
}

impl Gates {
    pub(super) fn new(sink: &Sink, stack: &Stack) -> Self {
        let (gates, rules) = (names(&stack.gates), Values::up_to(MAX_RULES));
        let verdicts = Instrument::new("skep_gate_verdicts", "What gates were asked and have said.")
            .label("gate", &gates)
            .label("checkpoint", &Values::of(Checkpoint::NAMES))
            .label("verdict", &Values::of(["allow", "deny", "shadow_deny"]));
        let denials = Instrument::new("skep_gate_denials", "Denials of gates, by the key of the rule.")
            .label("gate", &gates)
            .label("rule", &rules)
            .label("effect", &Values::of(["enforced", "shadow"]));
        Self { verdicts: sink.counters(verdicts), denials: sink.counters(denials), rules }
    }

    pub(super) fn of(&self, name: &str) -> GateMeter {
        let counters = |point: &&str| {
            ["allow", "deny", "shadow_deny"].map(|verdict| self.verdicts.with(&[name, point, verdict]))
        };
        let attached = self.verdicts.is_attached();
        GateMeter {
            name: name.into(),
            verdicts: Checkpoint::NAMES.iter().filter(|_| attached).map(counters).collect(),
            denials: self.denials.clone(),
            rules: self.rules.clone(),
        }
    }
}

impl GateMeter {
    /// Counts a verdict at the checkpoint of this position.
    pub(crate) fn count(&self, at: Option<usize>, denial: Option<&Denial>, shadow: bool) {
        let Some([allowed, denied, would_deny]) = at.and_then(|at| self.verdicts.get(at)) else { return };
        let Some(denial) = denial else { return allowed.inc() };
        if shadow {
            would_deny.inc()
        } else {
            denied.inc()
        }
        // The key of a rule is a word of the gate's, never of a peer's.
        self.rules.allow(denial.key());
        let effect = if shadow { "shadow" } else { "enforced" };
        self.denials.with(&[&self.name, denial.key(), effect]).inc();
    }
}
