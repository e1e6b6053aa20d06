//! The table `[retry]`: how often, and how far apart, an address is tried again within one dial.

use super::settings::duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    PluginConfig,
    config::{DurationText, Problems},
};
use std::time::Duration;

/// Keys of `[retry]`.
///
/// Only what a retry can mend at once is retried, such as a connection that was reset in its handshake. What takes longer
/// to mend, such as a refusal, is the matter of the back-off; names are asked for again by the resolver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// How often an address is tried again within one dial, 0 (never) to 16. Default 3.
    pub max_retries: u32,
    /// How long the first retry waits. Default `"100ms"`.
    pub initial_delay: DurationText,
    /// How long any retry waits at most, jitter included. Default `"30s"`.
    pub max_delay: DurationText,
    /// What each retry waits longer than the one before it, as a factor of 1 to 10. Default 2.
    pub backoff_multiplier: f64,
    /// By what share of itself a delay is varied at random, 0 to 1. Default 0.1.
    pub jitter_factor: f64,
    /// No retry starts later than this after the start of the dial, up to `"1h"`. Default `"10s"`.
    pub max_elapsed: DurationText,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_retries: 3,
            initial_delay: DurationText::millis(100),
            max_delay: DurationText::secs(30),
            backoff_multiplier: 2.0,
            jitter_factor: 0.1,
            max_elapsed: DurationText::secs(10),
        }
    }
}

impl PluginConfig for RetryConfig {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        problems.range("max_retries", self.max_retries.into(), 0..=16);
        let hour = Duration::from_secs(3600);
        duration(problems, "initial_delay", self.initial_delay, Duration::ZERO..=hour);
        duration(problems, "max_delay", self.max_delay, Duration::ZERO..=hour);
        duration(problems, "max_elapsed", self.max_elapsed, Duration::ZERO..=hour);
        if self.max_delay < self.initial_delay {
            let problem = format!("{} is below `initial_delay`, {}", self.max_delay, self.initial_delay);
            problems.add("max_delay", problem, "set it to `initial_delay` or more");
        }
        for (key, value, allowed) in [
            ("backoff_multiplier", self.backoff_multiplier, 1.0..=10.0),
            ("jitter_factor", self.jitter_factor, 0.0..=1.0),
        ] {
            // NaN is in no range.
            if !allowed.contains(&value) {
                let help = format!("allowed: {} to {}", allowed.start(), allowed.end());
                problems.add(key, format!("{value} is out of range"), help);
            }
        }
    }
}

impl RetryConfig {
    /// How long retry number `n`, counted from 0, waits; `None` when there are no more. `random` is from 0 to 1.
    pub(super) fn delay(&self, n: u32, random: f64) -> Option<Duration> {
        if n >= self.max_retries {
            return None;
        }
        let exponent = i32::try_from(n).unwrap_or(i32::MAX);
        let plain = self.initial_delay.0.as_secs_f64() * self.backoff_multiplier.powi(exponent);
        let max = self.max_delay.0.as_secs_f64();
        let varied = plain.min(max) * (1.0 + self.jitter_factor * (2.0 * random - 1.0));
        Some(Duration::try_from_secs_f64(varied.clamp(0.0, max)).unwrap_or(self.max_delay.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn delays_double_up_to_the_cap() {
        let config =
            RetryConfig { max_retries: 4, max_delay: DurationText::millis(300), ..Default::default() };
        let millis: Vec<_> = (0..5).map(|n| config.delay(n, 0.5).map(|d| d.as_millis())).collect();
        assert_eq!(millis, [Some(100), Some(200), Some(300), Some(300), None]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |config: RetryConfig| {
            let mut problems = Problems::default();
            config.validate(&mut problems);
            !problems.is_empty()
        };
        assert!(!refused(RetryConfig::default()));
        assert!(refused(RetryConfig { backoff_multiplier: f64::NAN, ..Default::default() }));
        assert!(refused(RetryConfig { backoff_multiplier: 0.5, ..Default::default() }));
        assert!(refused(RetryConfig { jitter_factor: 1.5, ..Default::default() }));
        assert!(refused(RetryConfig { max_retries: 17, ..Default::default() }));
        assert!(refused(RetryConfig { max_delay: DurationText::millis(1), ..Default::default() }));
    }

    proptest! {
        #[test]
        fn no_delay_is_above_the_cap(n in 0..16_u32, random in 0.0..=1.0_f64, jitter in 0.0..=1.0_f64, by in 1.0..=10.0_f64) {
            let config = RetryConfig { max_retries: 16, jitter_factor: jitter, backoff_multiplier: by, ..Default::default() };
            prop_assert!(config.delay(n, random).unwrap() <= config.max_delay.0);
        }
    }
}
