//! The keys of `[service.health]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{PluginConfig, Problems, config::DurationText};
use std::time::Duration;

/// The keys of `[service.health]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How often each connection is pinged and judged, `"1s"` to `"24h"`. Default `"60s"`; costs a stream and 64 bytes
    /// for each connection.
    pub interval: DurationText,
    /// Pings under way at once, 1 to 1024. Default 16; more wait for their turn.
    pub parallel: u32,
    /// The protocol of the pings: 32 bytes that come back. Default `"/ipfs/ping/1.0.0"`.
    pub protocol: String,
    /// The shortest time that a ping is waited for, `"10ms"` to `max_timeout`. Default `"5s"`; below the round trip of a
    /// slow peer, its first pings fail.
    pub min_timeout: DurationText,
    /// The longest time that a ping is waited for, up to `"10m"`. Default `"60s"`.
    pub max_timeout: DurationText,
    /// The round trip that is worth nothing, `"1ms"` to `"60s"`. Default `"1s"`; less, and far peers are unhealthy.
    pub max_ping: DurationText,
    /// The weight of a short round trip, 0 to 1; the three weights make 1. Default 0.4.
    pub latency_weight: f64,
    /// The weight of pings and streams that succeed, 0 to 1. Default 0.4.
    pub success_weight: f64,
    /// The weight of judgements without trouble, 0 to 1. Default 0.2.
    pub stability_weight: f64,
    /// The score below which a connection is unhealthy, 0 to 1. Default 0.3; more, and more connections are replaced.
    pub min_health: f64,
    /// The score below which it is critical, so that streams in use do not keep it: 0 to `min_health`. Default 0.1.
    pub critical_health: f64,
    /// Unhealthy judgements in a row before a connection is replaced, 1 to 100. Default 3.
    pub bad_evaluations: u32,
    /// Replacements begun within an `interval`, of all peers, up to 1024; 0 only watches. Default 4; each costs a dial.
    pub max_replacements: u32,
    /// How long a peer has no other replacement after one, twice as long after each: `"1s"` to `max_backoff`. Default
    /// `"5m"`.
    pub backoff: DurationText,
    /// And no longer than this, up to `"24h"`. Default `"1h"`.
    pub max_backoff: DurationText,
    /// How long streams in use on a replaced connection have to end, up to `"1h"`. Default `"30s"`; both connections
    /// stand meanwhile.
    pub drain: DurationText,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: DurationText::secs(60),
            parallel: 16,
            protocol: "/ipfs/ping/1.0.0".into(),
            min_timeout: DurationText::secs(5),
            max_timeout: DurationText::secs(60),
            max_ping: DurationText::secs(1),
            latency_weight: 0.4,
            success_weight: 0.4,
            stability_weight: 0.2,
            min_health: 0.3,
            critical_health: 0.1,
            bad_evaluations: 3,
            max_replacements: 4,
            backoff: DurationText::secs(300),
            max_backoff: DurationText::secs(3600),
            drain: DurationText::secs(30),
        }
    }
}

/// How far from 1 the sum of the weights may be.
const ROUNDING: f64 = 0.001;
/// The longest protocol id that can be negotiated is longer; none in use is.
const MAX_PROTOCOL: usize = 256;

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        self.validate_pings(problems);
        self.validate_scores(problems);
        self.validate_replacements(problems);
    }
}

impl Config {
    fn validate_pings(&self, problems: &mut Problems) {
        within(problems, "interval", self.interval, [DurationText::secs(1), DurationText::secs(86_400)]);
        problems.range("parallel", self.parallel.into(), 1..=1024);
        let possible = self.protocol.starts_with('/') && !self.protocol.contains(['\n', '\r']);
        if !possible || self.protocol.len() > MAX_PROTOCOL {
            let help = format!("begins with `/`, holds no line break and at most {MAX_PROTOCOL} bytes");
            problems.add("protocol", format!("{:?} is no protocol id", self.protocol), help);
        }
        let range = [DurationText::millis(10), DurationText::secs(600)];
        let (min, max) = (("min_timeout", self.min_timeout), ("max_timeout", self.max_timeout));
        in_order(problems, min, max, range);
        within(problems, "max_ping", self.max_ping, [DurationText::millis(1), DurationText::secs(60)]);
    }

    fn validate_scores(&self, problems: &mut Problems) {
        let weights = [
            ("latency_weight", self.latency_weight),
            ("success_weight", self.success_weight),
            ("stability_weight", self.stability_weight),
        ];
        let mut known = true;
        for (key, value) in weights {
            known &= share(problems, key, value);
        }
        let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
        if known && (sum - 1.0).abs() > ROUNDING {
            problems.add(
                "latency_weight",
                format!("the weights make {sum:.3} together"),
                "`latency_weight`, `success_weight` and `stability_weight` have to make 1",
            );
        }
        let (min, critical) = (self.min_health, self.critical_health);
        let both = [share(problems, "min_health", min), share(problems, "critical_health", critical)];
        if both == [true; 2] && critical > min {
            let help = format!("allowed: 0 to {min}, or raise `min_health`");
            problems.add(
                "critical_health",
                format!("{critical} is above `min_health`, which is {min}"),
                help,
            );
        }
        problems.range("bad_evaluations", self.bad_evaluations.into(), 1..=100);
    }

    fn validate_replacements(&self, problems: &mut Problems) {
        problems.range("max_replacements", self.max_replacements.into(), 0..=1024);
        let range = [DurationText::secs(1), DurationText::secs(86_400)];
        in_order(problems, ("backoff", self.backoff), ("max_backoff", self.max_backoff), range);
        within(problems, "drain", self.drain, [DurationText::secs(0), DurationText::secs(3600)]);
    }

    /// How often connections are looked at: an interval has thirty looks.
    pub(super) fn look_every(&self) -> Duration {
        self.interval.0 / 30
    }
}

/// Whether the value is within the range; notes it if not.
fn within(problems: &mut Problems, key: &str, value: DurationText, [min, max]: [DurationText; 2]) -> bool {
    let within = (min..=max).contains(&value);
    if !within {
        problems.add(key, format!("\"{value}\" is out of range"), format!("allowed: \"{min}\" to \"{max}\""));
    }
    within
}

/// Notes what is not within the range, or if the lesser one is above the greater.
fn in_order(
    problems: &mut Problems,
    (lesser, low): (&str, DurationText),
    (greater, high): (&str, DurationText),
    range: [DurationText; 2],
) {
    let both = [within(problems, lesser, low, range), within(problems, greater, high, range)];
    if both == [true; 2] && low > high {
        let help = format!("allowed: \"{}\" to \"{high}\", or raise `{greater}`", range[0]);
        problems.add(lesser, format!("\"{low}\" is above `{greater}`, which is \"{high}\""), help);
    }
}

/// Whether the value is within 0 and 1; notes it if not.
fn share(problems: &mut Problems, key: &str, value: f64) -> bool {
    let within = (0.0..=1.0).contains(&value);
    if !within {
        problems.add(key, format!("{value} is out of range"), "allowed: 0 to 1");
    }
    within
}
