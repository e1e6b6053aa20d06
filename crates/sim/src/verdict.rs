//! What is asked of the network, and whether it holds.

use crate::{Plan, Sample};
use serde::Serialize;

/// What came of a simulation. Equal for equal plans.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Figures {
    /// What was simulated.
    pub plan: Plan,
    /// The network at each minute.
    pub samples: Vec<Sample>,
    /// What was asked of it.
    pub verdicts: Vec<Verdict>,
}

/// Something that was asked of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// What was asked, with its bound.
    pub asked: String,
    /// What was found.
    pub found: String,
    /// Whether it holds.
    pub holds: bool,
}

impl Figures {
    pub(crate) fn new(plan: &Plan, samples: Vec<Sample>, panics: u64) -> Self {
        let phases = [
            ("the last start", plan.start, plan.lost_at(), 1),
            ("the loss", plan.lost_at(), plan.parted_at(), 1),
            ("the parting", plan.parted_at(), plan.healed_at(), 2),
            ("the healing", plan.healed_at(), plan.ends_at(), 1),
        ];
        let recoveries = phases
            .into_iter()
            .map(|(after, from, to, parts)| recovery(plan.patience, &samples, after, (from, to), parts));
        let mut verdicts: Vec<_> = recoveries.collect();
        verdicts.push(stays(&samples, plan));
        verdicts.push(dials(&samples, "no ordinary node", |sample| sample.dials.max, plan.max_dials));
        verdicts.push(dials(
            &samples,
            "no bootstrap node",
            |sample| sample.dials_large.max,
            plan.max_dials_large,
        ));
        verdicts.push(cap(&samples));
        let found = panics.to_string();
        verdicts.push(Verdict { asked: "no task panics".into(), found, holds: panics == 0 });
        Self { plan: plan.clone(), samples, verdicts }
    }

    /// Whether all that was asked of the network holds.
    #[must_use]
    pub fn hold(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.holds)
    }
}

/// After something has happened, the network comes to be in so many parts, and within its marks.
fn recovery(patience: u64, samples: &[Sample], after: &str, (from, to): (u64, u64), parts: usize) -> Verdict {
    let mut since = samples.iter().filter(|sample| sample.minute > from && sample.minute <= to);
    let well = since.find(|sample| sample.components == parts && sample.is_within_marks());
    let took = well.map(|sample| sample.minute.saturating_sub(from));
    let state = if parts == 1 { "in one part" } else { "each half in one part" };
    Verdict {
        asked: format!("{state} and within its marks, {patience} minutes after {after} at the latest"),
        found: took.map_or_else(|| "not at all".into(), |minutes| format!("after {minutes}")),
        holds: took.is_some_and(|minutes| minutes <= patience),
    }
}

/// It stays so until the next thing happens, and to the end.
fn stays(samples: &[Sample], plan: &Plan) -> Verdict {
    let ends = [plan.lost_at(), plan.parted_at(), plan.ends_at()];
    let at_ends: Vec<_> = samples.iter().filter(|sample| ends.contains(&sample.minute)).collect();
    let ill: Vec<_> = at_ends.iter().filter(|s| !s.is_well()).map(|s| s.minute.to_string()).collect();
    Verdict {
        asked: "in one part and within its marks before the loss, before the parting, and at the end".into(),
        found: if ill.is_empty() { "yes".into() } else { format!("not at minute {}", ill.join(", ")) },
        holds: ill.is_empty() && at_ends.len() == ends.len(),
    }
}

fn dials(samples: &[Sample], who: &str, dials: impl Fn(&Sample) -> u32, bound: u32) -> Verdict {
    let most = samples.iter().map(dials).max().unwrap_or_default();
    Verdict {
        asked: format!("{who} dials more than {bound} times in any hour"),
        found: format!("{most} at most"),
        holds: most <= bound && !samples.is_empty(),
    }
}

fn cap(samples: &[Sample]) -> Verdict {
    let over: Vec<_> = samples.iter().filter(|s| s.within_cap < 1.0).map(|s| s.minute.to_string()).collect();
    Verdict {
        asked: "no node has more connections than its cap".into(),
        found: if over.is_empty() { "none".into() } else { format!("some at minute {}", over.join(", ")) },
        holds: over.is_empty() && !samples.is_empty(),
    }
}

#[cfg(test)]
mod tests;
