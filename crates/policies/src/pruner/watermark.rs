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
    pruner::{Marks, PruneCandidate, Pruner, Snapshot, Victim},
    register_pruner,
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
    /// How long there is no other round after one. Default `"10s"`.
    pub silence: DurationText,
}

impl Default for Config {
    fn default() -> Self {
        Self { low: 192, high: 256, grace: DurationText::secs(60), silence: DurationText::secs(10) }
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
    marks: Marks,
}

impl Watermark {
    /// A pruner with validated marks.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mark = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let (low, high) = (mark(config.low), mark(config.high));
        Self { marks: Marks { low, high, grace: config.grace.0, silence: config.silence.0 } }
    }
}

impl Pruner for Watermark {
    fn rank(&self, snapshot: &Snapshot) -> Vec<Victim> {
        let mut candidates: Vec<_> = snapshot.connections.iter().collect();
        candidates.sort_unstable_by_key(|c| order(c));
        candidates.into_iter().map(victim).collect()
    }

    fn marks(&self) -> Marks {
        self.marks
    }
}

/// Sorts the least valuable first: by the peer's value, idle before busy, inbound before outbound, newest
/// first. The id makes the order total.
fn order(candidate: &PruneCandidate) -> (i64, bool, bool, Duration, Reverse<u64>) {
    let connection = &candidate.connection;
    (candidate.value, connection.busy > 0, candidate.outbound(), connection.age, Reverse(connection.id))
}

fn victim(candidate: &PruneCandidate) -> Victim {
    let score = vec![
        ("value", candidate.value.to_string()),
        ("streams in use", candidate.connection.busy.to_string()),
        ("direction", candidate.connection.role.to_string()),
        ("age", format!("{} s", candidate.age().as_secs())),
    ];
    Victim::new(candidate.connection.id, score)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_api::{PeerId, security::Role, selector::ConnectionView};

    fn candidate(id: u64) -> PruneCandidate {
        let remote = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let mut connection = ConnectionView::new(id, PeerId::random(), Role::Listener, remote);
        connection.age = Duration::from_secs(100);
        PruneCandidate::new(connection)
    }

    #[test]
    fn the_least_valuable_go_first() {
        let mut snapshot: Vec<_> = (0..6).map(candidate).collect();
        snapshot[0].value = 5;
        snapshot[1].connection.busy = 1;
        snapshot[2].connection.role = Role::Dialer;
        snapshot[3].connection.age = Duration::from_secs(1_000);
        snapshot[4].connection.age = Duration::from_secs(70);
        snapshot[5].value = -1;
        let victims = Watermark::new(&Config::default()).rank(&Snapshot::new(snapshot, 5, 10));
        assert_eq!(victims.iter().map(|v| v.id).collect::<Vec<_>>(), [5, 4, 3, 2, 1, 0]);
    }
}
