//! `watermark`: above the high mark, closes down to the low one.
//!
//! The least valuable go first. Among equals the newest go first: whoever floods a node with fresh
//! connections then pushes out its own, and not those that have served for hours. The grace period keeps that
//! rule from closing every connection at birth.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    PluginConfig, Problems,
    config::DurationText,
    pruner::{PruneCandidate, Pruner, Victim},
    register_pruner,
    security::Role,
};
use std::{cmp::Reverse, sync::Arc, time::Duration};

register_pruner! {
    name: "watermark",
    summary: "above a high mark, closes the least valuable connections down to a low mark",
    example: "low = 192\nhigh = 256\ngrace = \"60s\"",
    config: Config,
    build: |config, _| Ok(Arc::new(Watermark::new(&config))),
}

/// The keys of `[pruner.watermark]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Connections that are left after pruning, at least 1. Default 192.
    pub low: u32,
    /// Connections above which pruning starts, at least `low`. Default 256; each costs memory and a socket.
    pub high: u32,
    /// How long a new connection is spared. Default `"60s"`; a longer time leaves a flood standing.
    pub grace: DurationText,
}

impl Default for Config {
    fn default() -> Self {
        Self { low: 192, high: 256, grace: DurationText::secs(60) }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        if self.low == 0 {
            problems.add("low", "0 would close every connection", "allowed: 1 or more");
        }
        if self.high < self.low {
            let help = format!("allowed: {} or more, or lower `low`", self.low);
            problems.add("high", format!("{} is below `low`, which is {}", self.high, self.low), help);
        }
    }
}

/// The pruner.
#[derive(Clone, Debug)]
pub struct Watermark {
    low: usize,
    high: usize,
    grace: Duration,
}

impl Watermark {
    /// A pruner with validated marks.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mark = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        Self { low: mark(config.low), high: mark(config.high), grace: config.grace.0 }
    }

    fn victim(&self, candidate: &PruneCandidate, count: usize) -> Victim {
        let reason = format!(
            "{count} connections are more than the high mark of {}, closing down to {}; \
             this one: peer value {}, {} streams in use, {}, open for {} s",
            self.high,
            self.low,
            candidate.value,
            candidate.connection.busy,
            candidate.connection.role,
            candidate.age.as_secs(),
        );
        Victim { id: candidate.connection.id, reason }
    }
}

impl Pruner for Watermark {
    fn select(&self, snapshot: &[PruneCandidate]) -> Vec<Victim> {
        if snapshot.len() <= self.high {
            return Vec::new();
        }
        let mut candidates: Vec<_> =
            snapshot.iter().filter(|c| !c.protected && c.age >= self.grace).collect();
        candidates.sort_unstable_by_key(|c| order(c));
        let excess = snapshot.len().saturating_sub(self.low);
        candidates.into_iter().take(excess).map(|c| self.victim(c, snapshot.len())).collect()
    }

    fn high_mark(&self) -> usize {
        self.high
    }
}

/// Sorts the least valuable first: by the peer's value, idle before busy, inbound before outbound, newest
/// first. The id makes the order total.
fn order(candidate: &PruneCandidate) -> (i64, bool, bool, Duration, Reverse<u64>) {
    let connection = &candidate.connection;
    let outbound = connection.role == Role::Dialer;
    (candidate.value, connection.busy > 0, outbound, candidate.age, Reverse(connection.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use skep_api::{PeerId, selector::ConnectionView};
    use std::collections::HashSet;

    fn pruner(low: u32, high: u32) -> Watermark {
        Watermark::new(&Config { low, high, grace: DurationText::secs(60) })
    }

    fn candidate(id: u64) -> PruneCandidate {
        let remote = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let connection = ConnectionView::new(id, PeerId::random(), Role::Listener, remote);
        PruneCandidate { connection, age: Duration::from_secs(100), value: 0, protected: false }
    }

    fn ids(victims: &[Victim]) -> Vec<u64> {
        victims.iter().map(|v| v.id).collect()
    }

    #[test]
    fn nothing_happens_up_to_the_high_mark() {
        let snapshot: Vec<_> = (0..4).map(candidate).collect();
        assert_eq!(pruner(2, 4).select(&snapshot), []);
        assert_eq!(pruner(2, 3).select(&snapshot).len(), 2);
    }

    #[test]
    fn the_least_valuable_go_first() {
        let mut snapshot: Vec<_> = (0..6).map(candidate).collect();
        snapshot[0].value = 5;
        snapshot[1].connection.busy = 1;
        snapshot[2].connection.role = Role::Dialer;
        snapshot[3].age = Duration::from_secs(1_000);
        snapshot[4].age = Duration::from_secs(70);
        snapshot[5].value = -1;
        assert_eq!(ids(&pruner(1, 5).select(&snapshot)), [5, 4, 3, 2, 1]);
    }

    #[test]
    fn a_flood_pushes_out_its_own_and_not_those_that_were_there() {
        let mut snapshot: Vec<_> = (0..100).map(candidate).collect();
        for old in &mut snapshot[..20] {
            old.age = Duration::from_secs(36_000);
        }
        let victims = pruner(20, 50).select(&snapshot);
        assert_eq!(victims.len(), 80);
        assert!(victims.iter().all(|v| v.id >= 20));
    }

    #[test]
    fn the_protected_and_the_young_are_spared() {
        let mut snapshot: Vec<_> = (0..4).map(candidate).collect();
        snapshot[0].protected = true;
        snapshot[1].age = Duration::from_secs(59);
        assert_eq!(ids(&pruner(1, 2).select(&snapshot)), [3, 2]);
    }

    #[test]
    fn the_reason_tells_the_marks_and_the_count() {
        let snapshot: Vec<_> = (0..3).map(candidate).collect();
        assert_eq!(
            pruner(2, 2).select(&snapshot)[0].reason,
            "3 connections are more than the high mark of 2, closing down to 2; \
             this one: peer value 0, 0 streams in use, inbound, open for 100 s"
        );
    }

    proptest! {
        #[test]
        fn obligations_hold_for_any_snapshot(
            rows in proptest::collection::vec(
                (-3..3i64, 0..3usize, any::<bool>(), any::<bool>(), 0..200u64),
                0..40,
            ),
            low in 1..20u32, extra in 0..20u32,
        ) {
            let high = low + extra;
            let row = |(id, (value, streams, outbound, protected, age))| {
                let mut c = candidate(id);
                (c.value, c.connection.busy, c.protected) = (value, streams, protected);
                c.age = Duration::from_secs(age);
                if outbound { c.connection.role = Role::Dialer }
                c
            };
            let snapshot: Vec<_> = (0u64..).zip(rows).map(row).collect();
            let victims = ids(&pruner(low, high).select(&snapshot));
            let reversed: Vec<_> = snapshot.iter().rev().cloned().collect();
            prop_assert_eq!(&victims, &ids(&pruner(low, high).select(&reversed)));
            prop_assert_eq!(victims.iter().collect::<HashSet<_>>().len(), victims.len());
            let closable = |c: &PruneCandidate| !c.protected && c.age.as_secs() >= 60;
            prop_assert!(victims.iter().all(|id| closable(&snapshot[*id as usize])));
            let expected = if snapshot.len() > high as usize {
                snapshot.iter().filter(|c| closable(c)).count().min(snapshot.len() - low as usize)
            } else { 0 };
            prop_assert_eq!(victims.len(), expected);
        }
    }
}
