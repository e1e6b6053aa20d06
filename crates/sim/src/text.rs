//! The figures as a table.

use crate::{Figures, Plan, Sample};
use std::fmt::Write;

/// The figures as text: the network every few minutes and around what happens, and what was asked of it.
#[must_use]
pub fn table(figures: &Figures, every: u64) -> String {
    let plan = &figures.plan;
    let mut text = head(plan);
    text.push_str(
        "minute  live  degree min/p5/med/max  at target  ≤ high  parts  largest  across  \
         dials/h mean/p99/max  dialled  failed  pruned\n",
    );
    for sample in figures.samples.iter().filter(|sample| is_shown(plan, sample.minute, every)) {
        line(&mut text, sample);
        if let Some(what) = happens(plan, sample.minute) {
            let _ = writeln!(text, "        {what}");
        }
    }
    text.push('\n');
    for verdict in &figures.verdicts {
        let word = if verdict.holds { "holds" } else { "FAILS" };
        let _ = writeln!(text, "{word}  {}: {}", verdict.asked, verdict.found);
    }
    text
}

fn head(plan: &Plan) -> String {
    let (ordinary, large) = (plan.ordinary, plan.large);
    format!(
        "{} nodes, {} of them for bootstrapping, seed {}; target {}, marks {} and {}, cap {} ({}, {}, {}, {} for \
         bootstrapping)\n\n",
        plan.nodes,
        plan.bootstrap,
        plan.seed,
        ordinary.target,
        ordinary.low,
        ordinary.high,
        ordinary.cap,
        large.target,
        large.low,
        large.high,
        large.cap,
    )
}

fn line(text: &mut String, sample: &Sample) {
    let Sample { degree, dials, .. } = sample;
    let degrees = format!("{}/{}/{}/{}", degree.min, degree.p5, degree.median, degree.max);
    let per_hour = format!("{:.1}/{}/{}", dials.mean, dials.p99, dials.max);
    let _ = writeln!(
        text,
        "{:>6}  {:>4}  {degrees:>21}  {:>7.1} %  {:>4.1} %  {:>5}  {:>5.1} %  {:>4.1} %  {per_hour:>20}  {:>7}  \
         {:>6}  {:>6}",
        sample.minute,
        sample.live,
        100.0 * sample.at_target,
        100.0 * sample.below_high,
        sample.components,
        100.0 * sample.largest,
        100.0 * sample.across,
        sample.dialled,
        sample.failed,
        sample.pruned,
    );
}

/// What happens at a minute, after it was looked at.
fn happens(plan: &Plan, minute: u64) -> Option<String> {
    let what = [
        (plan.start, "the last node has started".to_string()),
        (plan.lost_at(), format!("{} % of the nodes are lost at once", plan.loss_percent)),
        (plan.parted_at(), "the halves are parted".into()),
        (plan.healed_at(), "the parting ends".into()),
    ];
    what.into_iter().find(|(at, _)| *at == minute).map(|(_, what)| what)
}

/// Every so many minutes, and the three after something has happened.
fn is_shown(plan: &Plan, minute: u64, every: u64) -> bool {
    let moments = [plan.start, plan.lost_at(), plan.parted_at(), plan.healed_at()];
    let just_after = moments.iter().any(|moment| (0..=3).contains(&minute.wrapping_sub(*moment)));
    minute.is_multiple_of(every.max(1)) || just_after || minute == plan.ends_at()
}
