//! What several services check of their keys.

use skep_api::{Problems, config::DurationText};
use std::{ops::RangeInclusive, time::Duration};

/// Notes a duration outside of its range.
pub(super) fn range(
    problems: &mut Problems,
    key: &str,
    value: DurationText,
    allowed: RangeInclusive<Duration>,
) {
    if !allowed.contains(&value.0) {
        let (least, most) = (DurationText(*allowed.start()), DurationText(*allowed.end()));
        problems.add(key, format!("{value} is out of range"), format!("allowed: {least} to {most}"));
    }
}

/// Notes that the second of two durations is below the first.
pub(super) fn order(problems: &mut Problems, low: (&str, DurationText), high: (&str, DurationText)) {
    if high.1 < low.1 {
        let problem = format!("{} is below `{}`, which is {}", high.1, low.0, low.1);
        problems.add(high.0, problem, format!("allowed: {} or more, or lower `{}`", low.1, low.0));
    }
}

/// Notes a number that is not from 0 to 1.
pub(super) fn share(problems: &mut Problems, key: &str, value: f64) {
    if !(0.0..=1.0).contains(&value) {
        problems.add(key, format!("{value} is out of range"), "allowed: 0 to 1");
    }
}

/// A number of the configuration.
pub(super) fn count(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
