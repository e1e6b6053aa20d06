//! Verdicts: a decorator around each gate.

use super::names;
use crate::stack::{Named, Stack};
use skep_api::{
    gate::{Checkpoint, Gate, GateCx, Verdict},
    metrics::{Counter, Counters, Instrument, Sink, Values},
};
use std::{fmt, sync::Arc};

pub(super) fn verdicts(sink: &Sink, stack: &Stack) -> Counters {
    let instrument = Instrument::new("skep_gate_verdicts", "What gates were asked and have said.")
        .label("gate", &names(&stack.gates))
        .label("checkpoint", &Values::of(Checkpoint::NAMES))
        .label("verdict", &Values::of(["allow", "deny"]));
    sink.counters(instrument)
}

/// Counts the verdicts of gates from now on. The gates of a node without metrics stay as they are.
pub(super) fn count(verdicts: &Counters, gates: &mut [Named<dyn Gate>]) {
    if !verdicts.is_attached() {
        return;
    }
    for gate in gates {
        let verdict = |checkpoint, verdict| verdicts.with(&[&gate.name, checkpoint, verdict]);
        let counters = Checkpoint::NAMES.map(|point| (verdict(point, "allow"), verdict(point, "deny")));
        gate.object = Arc::new(Counted { gate: Arc::clone(&gate.object), counters });
    }
}

struct Counted {
    gate: Arc<dyn Gate>,
    /// Allowed and denied, in the order of [`Checkpoint::NAMES`].
    counters: [(Counter, Counter); 7],
}

impl Gate for Counted {
    fn check(&self, point: &Checkpoint<'_>, cx: &GateCx<'_>) -> Verdict {
        let verdict = self.gate.check(point, cx);
        let name = point.name();
        let at = Checkpoint::NAMES.iter().position(|checkpoint| *checkpoint == name);
        if let Some((allowed, denied)) = at.and_then(|at| self.counters.get(at)) {
            match verdict {
                Verdict::Allow => allowed.inc(),
                Verdict::Deny(_) => denied.inc(),
            }
        }
        verdict
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.gate.fmt(f)
    }
}
