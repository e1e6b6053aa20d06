//! How well a connection does: a score from 0 to 1, and the judgement that follows from it.
//!
//! The score is the weighted sum of three values from 0 to 1:
//!
//! * *latency*: 1 for a round trip of 0, 0 for `max_ping` and beyond, a half while nothing was measured; 0 while the
//!   last ping has failed, for there is no slower answer than none;
//! * *success*: the moving average of pings and streams that succeeded;
//! * *stability*: the share of the last eight judgements without trouble. Trouble is a ping or a stream that failed, or
//!   a round trip of more than twice the average.

use super::config::Config;
use serde::Serialize;
use std::time::Duration;

/// What a judgement weighs against all before it, in tenths.
const WEIGHT: u32 = 3;
/// The judgements that stability remembers, one bit each.
const REMEMBERED: f64 = u8::BITS as f64;
/// What latency counts as while nothing was measured.
const UNMEASURED: f64 = 0.5;

/// The judgement of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthState {
    /// Nothing is known of it: no ping has come back or failed, no stream was opened, the muxer has measured nothing.
    #[default]
    Unknown,
    /// Its score is `min_health` or more.
    Healthy,
    /// Its score is below `min_health`.
    Unhealthy,
    /// Its score is below `critical_health`.
    Critical,
}

impl HealthState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Healthy, Self::Unhealthy, Self::Critical];

    /// The stable word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Critical => "critical",
        }
    }

    /// Whether it is unhealthy or worse.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Unhealthy | Self::Critical)
    }
}

/// What was seen of a connection since the judgement before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// Whether a ping came back, and after how long; `None` if there was none that says anything.
    pub ping: Option<Result<Duration, NoAnswer>>,
    /// The round trip that the muxer has measured; it counts where there was no ping.
    pub muxer: Option<Duration>,
    /// Streams that this node has opened, without pings.
    pub opened: u64,
    /// Streams that failed, without pings.
    pub failed: u64,
}

/// A ping did not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// How well a connection does.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionHealth {
    rtt: Option<Duration>,
    /// The last ping has failed.
    unanswered: bool,
    success: f64,
    /// A bit for each of the last judgements, set where there was trouble.
    troubles: u8,
    bad_in_a_row: u32,
    score: f64,
    state: HealthState,
}

impl Default for ConnectionHealth {
    fn default() -> Self {
        Self {
            rtt: None,
            unanswered: false,
            success: 1.0,
            troubles: 0,
            bad_in_a_row: 0,
            score: 1.0,
            state: HealthState::Unknown,
        }
    }
}

impl ConnectionHealth {
    /// Judges the connection by what was seen of it. What says nothing changes nothing.
    pub fn judge(&mut self, seen: &Seen, config: &Config) {
        let measured = match seen.ping {
            Some(ping) => ping.ok(),
            None => seen.muxer,
        };
        if seen.ping.is_none() && measured.is_none() && seen.opened == 0 && seen.failed == 0 {
            return;
        }
        let trouble = self.is_trouble(seen, measured, config.max_ping.0);
        self.troubles = (self.troubles << 1) | u8::from(trouble);
        if let Some(rtt) = measured {
            self.rtt = Some(self.rtt.map_or(rtt, |average| blend(average, rtt)));
        }
        if let Some(ping) = seen.ping {
            self.unanswered = ping.is_err();
            self.succeed(if ping.is_ok() { 1.0 } else { 0.0 });
        }
        // A stream may fail that was opened before the last judgement.
        let streams = seen.opened.max(seen.failed);
        if streams > 0 {
            self.succeed(1.0 - as_f64(seen.failed) / as_f64(streams));
        }
        self.score = self.weigh(config);
        self.state = state(self.score, config);
        self.bad_in_a_row = if self.state.is_bad() { self.bad_in_a_row.saturating_add(1) } else { 0 };
    }

    fn is_trouble(&self, seen: &Seen, measured: Option<Duration>, max_ping: Duration) -> bool {
        // A round trip that varies by little is no trouble, however short it is.
        let jump = |(rtt, average): (Duration, Duration)| {
            rtt > average.saturating_mul(2) && rtt.saturating_sub(average) > max_ping / 10
        };
        matches!(seen.ping, Some(Err(NoAnswer)))
            || seen.failed > 0
            || measured.zip(self.rtt).is_some_and(jump)
    }

    fn succeed(&mut self, share: f64) {
        let weight = f64::from(WEIGHT) / 10.0;
        self.success = self.success * (1.0 - weight) + share * weight;
    }

    fn weigh(&self, config: &Config) -> f64 {
        let score = self.latency_value(config.max_ping.0) * config.latency_weight
            + self.success * config.success_weight
            + self.stability() * config.stability_weight;
        // The weights make 1 but for rounding.
        score.clamp(0.0, 1.0)
    }

    fn latency_value(&self, max_ping: Duration) -> f64 {
        match self.rtt {
            _ if self.unanswered => 0.0,
            Some(rtt) => (1.0 - rtt.as_secs_f64() / max_ping.as_secs_f64()).max(0.0),
            None => UNMEASURED,
        }
    }

    /// From 0 to 1, as of the last judgement; 1 before the first.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.score
    }

    /// As of the last judgement.
    #[must_use]
    pub fn state(&self) -> HealthState {
        self.state
    }

    /// The moving average of the round trips of pings, or of what the muxer has measured.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.rtt
    }

    /// Whether the last ping has failed.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        self.unanswered
    }

    /// The moving average of pings and streams that succeeded, from 0 to 1.
    #[must_use]
    pub fn success(&self) -> f64 {
        self.success
    }

    /// The share of the last judgements without trouble, from 0 to 1.
    #[must_use]
    pub fn stability(&self) -> f64 {
        1.0 - f64::from(self.troubles.count_ones()) / REMEMBERED
    }

    /// Unhealthy judgements in a row, up to the last one.
    #[must_use]
    pub fn bad_in_a_row(&self) -> u32 {
        self.bad_in_a_row
    }

    /// Whether there were enough unhealthy judgements in a row to replace it.
    #[must_use]
    pub fn wants_replacement(&self, config: &Config) -> bool {
        self.bad_in_a_row >= config.bad_evaluations
    }
}

fn state(score: f64, config: &Config) -> HealthState {
    if score < config.critical_health {
        HealthState::Critical
    } else if score < config.min_health {
        HealthState::Unhealthy
    } else {
        HealthState::Healthy
    }
}

/// Takes a duration into a moving average.
pub(super) fn blend(average: Duration, new: Duration) -> Duration {
    average.saturating_mul(10 - WEIGHT).saturating_add(new.saturating_mul(WEIGHT)) / 10
}

fn as_f64(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
