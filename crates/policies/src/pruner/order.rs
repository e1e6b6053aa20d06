//! The order that the pruners here have in common, and the marks.

use skep_api::{
    Problems,
    config::DurationText,
    pruner::{Marks, PruneCandidate, Victim},
    tags::CommonTags,
};
use std::{cmp::Reverse, time::Duration};

/// Sorts the least valuable first.
pub(super) type Worth = (bool, i64, bool, bool, Duration, Reverse<u64>);

/// What a connection is worth: nothing if nobody has tagged its peer, else the sum of the tags; more in use than at rest,
/// outbound than inbound, old than new. The id makes the order total.
pub(super) fn worth(candidate: &PruneCandidate) -> Worth {
    let connection = &candidate.connection;
    let outbound = candidate.outbound();
    (
        is_tagged(candidate),
        candidate.value,
        connection.busy > 0,
        outbound,
        connection.age,
        Reverse(connection.id),
    )
}

/// Whether somebody of this node has tagged the peer; its own streams do not count.
fn is_tagged(candidate: &PruneCandidate) -> bool {
    candidate.tags.keys().any(|tag| tag != CommonTags::ACTIVE_STREAMS)
}

/// A victim with the parts of its worth, after those that come first.
pub(super) fn victim(candidate: &PruneCandidate, first: Option<(&'static str, String)>) -> Victim {
    let tagged = if is_tagged(candidate) { "yes" } else { "no" };
    let parts = [
        ("tagged", tagged.into()),
        ("value", candidate.value.to_string()),
        ("streams in use", candidate.connection.busy.to_string()),
        ("direction", candidate.connection.role.to_string()),
        ("age", format!("{} s", candidate.age().as_secs())),
    ];
    Victim::new(candidate.connection.id, first.into_iter().chain(parts).collect())
}

/// What is wrong with marks.
pub(super) fn check_marks(low: u32, high: u32, problems: &mut Problems) {
    if low == 0 {
        problems.add("low", "0 would close every connection", "allowed: 1 or more");
    }
    if high < low {
        let help = format!("allowed: {low} or more, or lower `low`");
        problems.add("high", format!("{high} is below `low`, which is {low}"), help);
    }
}

pub(super) fn marks(low: u32, high: u32, grace: DurationText, silence: DurationText) -> Marks {
    let mark = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    Marks { low: mark(low), high: mark(high), grace: grace.0, silence: silence.0 }
}
