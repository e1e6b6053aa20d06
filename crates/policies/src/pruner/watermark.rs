//! `watermark`: above the high mark, closes down to the low one.
//!
//! The least valuable go first: those that nobody has tagged, then by the sum of their tags, at rest before in use,
//! inbound before outbound, and the newest first. The newest, and not the oldest: whoever floods a node with fresh
//! connections then pushes out its own, and not those that have served for hours. Streams that a peer opens count up to
//! the weight of one tag, and more of them say no more. The grace period keeps the rule from closing every connection
//! at birth.

use super::order::{check_marks, marks, victim, worth};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    PluginConfig, Problems,
    config::DurationText,
    pruner::{Marks, Pruner, Snapshot, Victim},
    register_pruner,
};
use std::sync::Arc;

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
        check_marks(self.low, self.high, problems);
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
        Self { marks: marks(config.low, config.high, config.grace, config.silence) }
    }
}

impl Pruner for Watermark {
    fn rank(&self, snapshot: &Snapshot) -> Vec<Victim> {
        let mut candidates: Vec<_> = snapshot.connections.iter().collect();
        candidates.sort_unstable_by_key(|c| worth(c));
        candidates.into_iter().map(|c| victim(c, None)).collect()
    }

    fn marks(&self) -> Marks {
        self.marks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_api::{
        PeerId, pruner::PruneCandidate, security::Role, selector::ConnectionView, tags::CommonTags,
    };
    use std::time::Duration;

    fn candidate(id: u64) -> PruneCandidate {
        let remote = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let mut connection = ConnectionView::new(id, PeerId::random(), Role::Listener, remote);
        connection.age = Duration::from_secs(100);
        PruneCandidate::new(connection)
    }

    #[test]
    fn the_least_valuable_go_first() {
        let mut snapshot: Vec<_> = (0..9).map(candidate).collect();
        snapshot[0].value = 5;
        snapshot[1].connection.busy = 1;
        snapshot[2].connection.role = Role::Dialer;
        snapshot[3].connection.age = Duration::from_secs(1_000);
        snapshot[4].connection.age = Duration::from_secs(70);
        snapshot[5].value = -1;
        // Its own streams are no tag, a tag of value 0 is one.
        let tags = |tag: &str, value| Arc::new([(tag.to_string(), value)].into());
        (snapshot[6].tags, snapshot[6].value) = (tags(CommonTags::ACTIVE_STREAMS, 4), 4);
        (snapshot[7].tags, snapshot[7].value) = (tags(CommonTags::DHT, 0), 0);
        (snapshot[8].tags, snapshot[8].value) = (tags(CommonTags::DHT, -3), -3);
        let victims = Watermark::new(&Config::default()).rank(&Snapshot::new(snapshot, 5, 10));
        assert_eq!(victims.iter().map(|v| v.id).collect::<Vec<_>>(), [5, 4, 3, 2, 1, 6, 0, 8, 7]);
    }
}
