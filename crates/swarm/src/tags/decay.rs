//! How the value of a decaying tag falls. It reads no clock; every call is told the time.
//!
//! What is kept is the value at the last bump. What it is now follows from the whole intervals that have passed, so it is
//! the same however often it was looked at, and nothing has to run for it.

use skep_api::tags::{Bump, Decay, TagError};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Intervals that a decay of the application's is followed. A value that was not bumped for so long, and has not come to
/// rest, is gone.
const MAX_STEPS: u64 = 1_000;
/// The shortest interval.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// A decaying tag as it was registered.
pub(super) struct Kind {
    pub(super) name: Arc<str>,
    pub(super) interval: Duration,
    decay: Decay,
    bump: Bump,
}

/// The value of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// Above 0.
    value: i64,
    /// When it was that: the end of an interval.
    at: Instant,
    bumped: Instant,
    /// Intervals after which it is gone, if ever.
    end: Option<u64>,
}

impl Kind {
    pub(super) fn new(name: &str, interval: Duration, decay: Decay, bump: Bump) -> Result<Self, TagError> {
        let wrong = |why| Err(TagError::Decaying(name.into(), why));
        if interval < MIN_INTERVAL {
            return wrong("its interval is shorter than a second");
        }
        match &decay {
            Decay::Fixed(by) if *by <= 0 => return wrong("it has to lose at least 1 in an interval"),
            Decay::Linear(share) if !(0.0..=1.0).contains(share) => {
                return wrong("the share that is left is not from 0 to 1");
            }
            Decay::ExpireWhenInactive(after) if after.is_zero() => {
                return wrong("it would be gone at once");
            }
            _ => {}
        }
        if let Bump::SumBounded { min, max } = bump
            && min > max
        {
            return Err(TagError::Bounds { tag: name.into(), min, max });
        }
        Ok(Self { name: name.into(), interval, decay, bump })
    }

    /// The value now, if anything is left. It calls a function of the application's, if the decay is one.
    pub(super) fn value(&self, sample: &Sample, now: Instant) -> Option<i64> {
        let passed = self.passed(sample.at, now);
        if sample.end.is_some_and(|end| passed >= end) {
            return None;
        }
        Some(self.after(sample.value, passed).max(1))
    }

    /// Whether nothing is left.
    pub(super) fn is_gone(&self, sample: &Sample, now: Instant) -> bool {
        sample.end.is_some_and(|end| self.passed(sample.at, now) >= end)
    }

    /// When nothing will be left; `None` for never, or beyond what a clock can say.
    pub(super) fn gone_at(&self, sample: &Sample) -> Option<Instant> {
        let nanos = self.interval.as_nanos().checked_mul(sample.end?.into())?;
        let secs = u64::try_from(nanos.checked_div(1_000_000_000)?).ok()?;
        let rest = u32::try_from(nanos.checked_rem(1_000_000_000)?).ok()?;
        sample.at.checked_add(Duration::new(secs, rest))
    }

    /// What a bump makes of a value, and that value; `None` if nothing is left. It calls functions of the application's.
    pub(super) fn bumped(&self, old: Option<Sample>, delta: i64, now: Instant) -> Option<(Sample, i64)> {
        let left = old.and_then(|old| Some((old.at, self.value(&old, now)?)));
        // A bump does not put off the end of the interval.
        let (at, before) = left.map_or((now, 0), |(at, value)| (self.last_end(at, now), value));
        let value = match &self.bump {
            Bump::SumBounded { min, max } => before.saturating_add(delta).min(*max).max(*min),
            Bump::Overwrite => delta,
            Bump::Custom(bump) => bump(before, delta),
            _ => before.saturating_add(delta),
        };
        let end = (value > 0).then(|| self.end(value, at, now))?;
        Some((Sample { value, at, bumped: now, end }, value))
    }

    /// Whole intervals from one moment to another.
    fn passed(&self, from: Instant, to: Instant) -> u64 {
        let elapsed = to.saturating_duration_since(from).as_nanos();
        u64::try_from(elapsed.checked_div(self.interval.as_nanos()).unwrap_or(0)).unwrap_or(u64::MAX)
    }

    /// The end of the last whole interval.
    fn last_end(&self, from: Instant, now: Instant) -> Instant {
        let elapsed = now.saturating_duration_since(from).as_nanos();
        let rest = elapsed.checked_rem(self.interval.as_nanos()).unwrap_or(0);
        now.checked_sub(Duration::from_nanos(u64::try_from(rest).unwrap_or(u64::MAX))).unwrap_or(from)
    }

    /// What is left of a value after some intervals.
    fn after(&self, value: i64, intervals: u64) -> i64 {
        match &self.decay {
            Decay::Fixed(by) => {
                let lost = i128::from(*by).saturating_mul(intervals.into());
                i64::try_from(i128::from(value).saturating_sub(lost)).unwrap_or(i64::MIN)
            }
            Decay::Linear(share) => share_of(value, *share, intervals),
            Decay::Custom(decay) => {
                let mut value = value;
                for _ in 0..intervals.min(MAX_STEPS) {
                    let next = decay(value);
                    if next == value {
                        break;
                    }
                    value = next;
                }
                value
            }
            _ => value,
        }
    }

    /// Intervals after which nothing is left.
    fn end(&self, value: i64, at: Instant, bumped: Instant) -> Option<u64> {
        match &self.decay {
            Decay::Fixed(by) => {
                let whole = value.checked_sub(1)?.checked_div(*by)?;
                u64::try_from(whole.checked_add(1)?).ok()
            }
            Decay::Linear(share) => end_of_share(value, *share),
            Decay::ExpireWhenInactive(after) => {
                let nanos = bumped.saturating_duration_since(at).saturating_add(*after).as_nanos();
                u64::try_from(nanos.div_ceil(self.interval.as_nanos())).ok()
            }
            Decay::Custom(decay) => {
                let mut value = value;
                for n in 1..=MAX_STEPS {
                    let next = decay(value);
                    if next <= 0 {
                        return Some(n);
                    }
                    if next == value {
                        return None;
                    }
                    value = next;
                }
                Some(MAX_STEPS)
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kind")
            .field("name", &self.name)
            .field("interval", &self.interval)
            .field("decay", &self.decay)
            .field("bump", &self.bump)
            .finish()
    }
}

/// The value times the share to the power of `n`, rounded down once. By multiplications alone, so that it is the same on
/// every machine.
fn share_of(value: i64, share: f64, mut n: u64) -> i64 {
    if n == 0 || share >= 1.0 {
        return value;
    }
    let (mut power, mut square) = (1.0_f64, share);
    while n > 0 {
        if n % 2 == 1 {
            power *= square;
        }
        square *= square;
        n /= 2;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "rounded on purpose")]
    let left = (value as f64 * power) as i64;
    left.min(value)
}

/// The first `n` at which nothing is left of a value above 0.
fn end_of_share(value: i64, share: f64) -> Option<u64> {
    if share >= 1.0 {
        return None;
    }
    let gone = |n: u64| share_of(value, share, n) < 1;
    let mut above = 1_u64;
    while !gone(above) {
        above = above.checked_mul(2)?;
    }
    let mut below = above / 2;
    while above.saturating_sub(below) > 1 {
        let middle = below.midpoint(above);
        if gone(middle) { above = middle } else { below = middle }
    }
    Some(above)
}

#[cfg(test)]
mod tests;
