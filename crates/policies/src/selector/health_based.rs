//! `health_based`: the connection that has served best so far.
//!
//! The score is made of the share of streams that did not fail, of the round trip and of the age, in that order of
//! weight. A connection is given the benefit of the doubt: two streams that worked are taken as read, so that one early
//! failure does not condemn it.

use super::direct;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    PluginConfig, Problems, register_selector,
    selector::{ConnectionSelector, ConnectionView},
};
use std::{sync::Arc, time::Duration};

register_selector! {
    name: "health_based",
    summary: "the best score of success, round trip and age",
    example: "success = 0.6\nlatency = 0.3\nstability = 0.1",
    config: Config,
    build: |config, _| Ok(Arc::new(HealthBased { config })),
}

/// The keys of `[selector.health_based]`: weights, of which only the proportion counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Of the share of streams that did not fail. Default 0.6.
    pub success: f64,
    /// Of a short round trip: 1 at once, a half at 100 ms. Default 0.3.
    pub latency: f64,
    /// Of age: 0 when new, a half after a minute. Default 0.1.
    pub stability: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { success: 0.6, latency: 0.3, stability: 0.1 }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        let weights = [("success", self.success), ("latency", self.latency), ("stability", self.stability)];
        for (key, weight) in weights {
            if !(0.0..=1000.0).contains(&weight) {
                problems.add(key, format!("{weight} is no weight"), "allowed: 0 to 1000");
            }
        }
        if weights.iter().all(|(_, weight)| *weight == 0.0) {
            problems.add(
                "success",
                "all weights are 0, which tells nothing apart",
                "give one of them a weight",
            );
        }
    }
}

/// The selector.
#[derive(Clone, Debug)]
pub struct HealthBased {
    config: Config,
}

/// Streams that count as if they had worked.
const BENEFIT: f64 = 2.0;
/// The round trip that is worth a half; also what one that was not measured counts as.
const HALF_LATENCY: Duration = Duration::from_millis(100);
/// The age that is worth a half.
const HALF_AGE: Duration = Duration::from_secs(60);

impl HealthBased {
    /// From 0 to the sum of the weights.
    #[must_use]
    pub fn score(&self, view: &ConnectionView) -> f64 {
        let (opened, failed) = (as_f64(view.opened), as_f64(view.failed));
        let success = (opened - failed + BENEFIT).max(0.0) / (opened + BENEFIT);
        let latency = half_at(view.latency.unwrap_or(HALF_LATENCY), HALF_LATENCY);
        let stability = 1.0 - half_at(view.age, HALF_AGE);
        success * self.config.success + latency * self.config.latency + stability * self.config.stability
    }
}

impl ConnectionSelector for HealthBased {
    fn select(&self, connections: &[ConnectionView]) -> Option<u64> {
        let better = |a: &&ConnectionView, b: &&ConnectionView| {
            self.score(a).total_cmp(&self.score(b)).then(a.id.cmp(&b.id))
        };
        direct(connections).max_by(better).map(|c| c.id)
    }
}

/// 1 for nothing, a half at `half`, towards 0 beyond.
fn half_at(value: Duration, half: Duration) -> f64 {
    half.as_secs_f64() / (half.as_secs_f64() + value.as_secs_f64())
}

fn as_f64(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::testing::views;

    #[test]
    fn what_fails_and_what_is_slow_comes_last() {
        let health = HealthBased { config: Config::default() };
        let failing = views(2, |id, view| (view.opened, view.failed) = (10, if id == 2 { 5 } else { 0 }));
        assert_eq!(health.select(&failing), Some(1));
        let slow = views(2, |id, view| view.latency = Some(Duration::from_millis(10 + 300 * (id - 1))));
        assert_eq!(health.select(&slow), Some(1));
        let young = views(2, |id, view| view.age = Duration::from_secs(600 / id));
        assert_eq!(health.select(&young), Some(1));
        assert_eq!(health.select(&views(2, |_, _| ())), Some(2));
    }

    #[test]
    fn scores_are_within_the_weights() {
        let health = HealthBased { config: Config::default() };
        for view in views(50, |id, view| {
            (view.opened, view.failed) = (id, id * 2);
            view.latency = Some(Duration::from_secs(id));
            view.age = Duration::from_secs(id * 1000);
        }) {
            let score = health.score(&view);
            assert!((0.0..=1.0).contains(&score), "{score}");
        }
    }
}
