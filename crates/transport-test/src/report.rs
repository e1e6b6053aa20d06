//! Results, as the suites read them from standard output.

use crate::statistics::Summary;
use serde_json::json;
use std::{fmt::Write, time::Duration};

/// The result of the transport suite.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    /// From the dial to the answer of the first ping.
    pub(crate) handshake_plus_one_rtt: Duration,
    pub(crate) ping_rtt: Duration,
}

impl Latency {
    /// The form of unified-testing.
    pub(crate) fn yaml(&self) -> String {
        let [handshake, ping] = self.millis();
        format!(
            "# Measurements from dialer\nlatency:\n  handshake_plus_one_rtt: {handshake:.3}\n  ping_rtt: {ping:.3}\n  \
             unit: ms\n"
        )
    }

    /// The form of test-plans, whose spelling it is.
    pub(crate) fn json(&self) -> String {
        let [handshake, ping] = self.millis();
        let line = json!({ "handshakePlusOneRTTMillis": handshake, "pingRTTMilllis": ping });
        format!("{line}\n")
    }

    fn millis(&self) -> [f64; 2] {
        [self.handshake_plus_one_rtt, self.ping_rtt].map(|time| time.as_secs_f64() * 1e3)
    }
}

/// One part of the result of the perf suite.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) iterations: u32,
    pub(crate) summary: Summary,
    pub(crate) unit: &'static str,
    /// Digits after the point.
    pub(crate) decimals: usize,
}

impl Section {
    pub(crate) fn yaml(&self) -> String {
        let Self { name, iterations, summary, unit, decimals } = self;
        let number = |value: f64| format!("{value:.decimals$}");
        let list = |values: &[f64]| values.iter().copied().map(number).collect::<Vec<_>>().join(", ");
        let mut text = format!("{name}:\n  iterations: {iterations}\n");
        let numbers = [
            ("min", summary.min),
            ("q1", summary.q1),
            ("median", summary.median),
            ("q3", summary.q3),
            ("max", summary.max),
        ];
        // Writing to a text cannot fail.
        for (key, value) in numbers {
            let _ = writeln!(text, "  {key}: {}", number(value));
        }
        let _ = writeln!(text, "  outliers: [{}]", list(&summary.outliers));
        let _ = writeln!(text, "  samples: [{}]", list(&summary.samples));
        let _ = writeln!(text, "  unit: {unit}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_in_both_forms() {
        let latency = Latency {
            handshake_plus_one_rtt: Duration::from_micros(5011),
            ping_rtt: Duration::from_micros(500),
        };
        assert_eq!(
            latency.yaml(),
            "# Measurements from dialer\nlatency:\n  handshake_plus_one_rtt: 5.011\n  ping_rtt: 0.500\n  unit: ms\n"
        );
        assert_eq!(latency.json(), "{\"handshakePlusOneRTTMillis\":5.011,\"pingRTTMilllis\":0.5}\n");
    }

    #[test]
    fn a_section_of_perf() {
        let section = Section {
            name: "upload",
            iterations: 5,
            summary: Summary::of(vec![2.02, 2.041, 2.05, 2.06, 9.0]),
            unit: "Gbps",
            decimals: 2,
        };
        assert_eq!(
            section.yaml(),
            "upload:\n  iterations: 5\n  min: 2.02\n  q1: 2.04\n  median: 2.05\n  q3: 2.06\n  max: 2.06\n  \
             outliers: [9.00]\n  samples: [2.02, 2.04, 2.05, 2.06, 9.00]\n  unit: Gbps\n"
        );
    }

    #[test]
    fn a_section_without_outliers_has_an_empty_list() {
        let summary = Summary::of(vec![0.5]);
        let section = Section { name: "latency", iterations: 1, summary, unit: "ms", decimals: 3 };
        assert!(section.yaml().contains("\n  outliers: []\n  samples: [0.500]\n"), "{}", section.yaml());
    }
}
