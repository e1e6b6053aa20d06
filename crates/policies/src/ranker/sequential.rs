//! `sequential`: one address after the other, in the order in which they are given.
//!
//! Nothing is raced, so a dead address costs its whole timeout. It suits tests, links that are paid by the
//! connection, and peers that must not be dialled twice at a time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    PluginConfig, Problems,
    config::DurationText,
    ranker::{DialCandidate, DialRanker, RankedAddr},
    register_ranker,
};
use std::{cmp::Reverse, sync::Arc, time::Duration};

register_ranker! {
    name: "sequential",
    summary: "one address after the other, each when the one before has failed",
    example: "delay = \"5s\"",
    config: Config,
    build: |config, _| Ok(Arc::new(Sequential::new(&config))),
}

/// The keys of `[ranker.sequential]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long an address is waited for before the next starts beside it, `"1ms"` to `"5m"`. Default none:
    /// until it fails.
    pub delay: Option<DurationText>,
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        let allowed = Duration::from_millis(1)..=Duration::from_secs(300);
        if let Some(delay) = self.delay.filter(|delay| !allowed.contains(&delay.0)) {
            problems.add("delay", format!("{delay} is out of range"), "allowed: 1ms to 5m");
        }
    }
}

/// The ranker.
#[derive(Clone, Copy, Debug)]
pub struct Sequential {
    gap: Duration,
}

impl Sequential {
    /// A ranker with a validated delay.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { gap: config.delay.map_or(RankedAddr::AFTER_FAILURE, |delay| delay.0) }
    }
}

impl DialRanker for Sequential {
    fn rank(&self, mut candidates: Vec<DialCandidate>) -> Vec<RankedAddr> {
        candidates.sort_by_key(|candidate| Reverse(candidate.worked));
        let gaps = std::iter::once(Duration::ZERO).chain(std::iter::repeat(self.gap));
        candidates
            .into_iter()
            .zip(gaps)
            .map(|(candidate, gap)| RankedAddr::new(candidate.addr, gap))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(config: &Config, candidates: Vec<DialCandidate>) -> Vec<(String, Duration)> {
        let ranked = Sequential::new(config).rank(candidates);
        ranked.into_iter().map(|r| (r.addr.to_string(), r.gap)).collect()
    }

    fn candidates(ports: &[u16]) -> Vec<DialCandidate> {
        let addr = |port| format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap();
        ports.iter().map(|port| DialCandidate::new(addr(port))).collect()
    }

    fn places(ports: &[u16], gap: Duration) -> Vec<(String, Duration)> {
        let gap = |n| if n == 0 { Duration::ZERO } else { gap };
        ports.iter().enumerate().map(|(n, port)| (format!("/ip4/192.0.2.1/tcp/{port}"), gap(n))).collect()
    }

    #[test]
    fn the_given_order_stands_and_each_waits_for_a_failure() {
        let found = ranked(&Config::default(), candidates(&[3, 1, 2]));
        assert_eq!(found, places(&[3, 1, 2], RankedAddr::AFTER_FAILURE));
        assert_eq!(ranked(&Config::default(), Vec::new()), []);
    }

    #[test]
    fn what_worked_goes_first_in_the_given_order() {
        let mut given = candidates(&[4, 3, 1, 2]);
        given[1].worked = true;
        given[3].worked = true;
        assert_eq!(ranked(&Config::default(), given), places(&[3, 2, 4, 1], RankedAddr::AFTER_FAILURE));
    }

    #[test]
    fn a_delay_starts_the_next_without_a_failure() {
        let config = Config { delay: Some(DurationText::secs(2)) };
        assert_eq!(ranked(&config, candidates(&[2, 1])), places(&[2, 1], Duration::from_secs(2)));
    }
}
