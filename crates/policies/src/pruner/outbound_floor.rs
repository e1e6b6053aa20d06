//! `outbound_floor`: as `watermark`, but some of what is left is always of peers that this node dialled, and of many
//! networks.
//!
//! Whoever wants to cut a node off from all others has to hold all of its connections. Peers that connect by themselves
//! earn what they like: tags by good service, age by patience, streams by opening them. Whom this node dials it
//! chooses itself. So the longest-lived outbound connections are the last to go, up to a share of the low mark, and
//! before them one connection from each of so many networks, the most valuable of each. All others go in the order
//! of `watermark`.

use super::order::{check_marks, marks, victim, worth};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    PluginConfig, Problems,
    config::DurationText,
    pruner::{Marks, PruneCandidate, Pruner, Snapshot, Victim},
    register_pruner,
};
use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
};

register_pruner! {
    name: "outbound_floor",
    summary: "as `watermark`, but keeps a share of outbound connections and a number of networks",
    example: "low = 192\nhigh = 256\noutbound_share = 0.5\nprefixes = 32",
    config: Config,
    build: |config, _| Ok(Arc::new(OutboundFloor::new(&config))),
}

/// The keys of `[pruner.outbound_floor]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Of what is left, the share that is for the longest-lived outbound connections, from 0 to 1; where there are fewer,
    /// others have the room. Default 0.5; a larger share leaves less for peers that connect by themselves.
    pub outbound_share: f64,
    /// Networks (/24 of IPv4, /48 of IPv6) that are left, as far as there are so many, up to `low`. Default 32, or `low` if
    /// that is less; each can keep a connection that is worth less than another.
    pub prefixes: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            low: 192,
            high: 256,
            grace: DurationText::secs(60),
            silence: DurationText::secs(10),
            outbound_share: 0.5,
            prefixes: None,
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        check_marks(self.low, self.high, problems);
        if !(0.0..=1.0).contains(&self.outbound_share) {
            problems.add("outbound_share", format!("{} is no share", self.outbound_share), "allowed: 0 to 1");
        }
        if let Some(prefixes) = self.prefixes.filter(|prefixes| *prefixes > self.low && self.low > 0) {
            let problem = format!("{prefixes} networks do not fit in `low`, which is {}", self.low);
            problems.add("prefixes", problem, format!("allowed: 0 to {}, or raise `low`", self.low));
        }
    }
}

/// Networks that are left where the configuration does not say.
const PREFIXES: u32 = 32;

/// The pruner.
#[derive(Clone, Debug)]
pub struct OutboundFloor {
    marks: Marks,
    outbound: usize,
    prefixes: usize,
}

/// Why a connection is among the last to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kept {
    No,
    ForItsNetwork,
    Outbound,
}

impl Kept {
    fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::ForItsNetwork => "for its network",
            Self::Outbound => "as outbound",
        }
    }
}

impl OutboundFloor {
    /// A pruner with a validated configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        // At most `low`, as the share is at most 1.
        let outbound = (f64::from(config.low) * config.outbound_share).ceil() as usize;
        let prefixes =
            usize::try_from(config.prefixes.unwrap_or(PREFIXES.min(config.low))).unwrap_or(usize::MAX);
        Self { marks: marks(config.low, config.high, config.grace, config.silence), outbound, prefixes }
    }

    /// The last to go, by their ids.
    fn kept(&self, candidates: &[&PruneCandidate]) -> HashMap<u64, Kept> {
        let mut outbound: Vec<_> = candidates.iter().filter(|c| c.outbound()).collect();
        outbound.sort_unstable_by_key(|c| (Reverse(c.age()), c.connection.id));
        outbound.truncate(self.outbound);
        let mut networks: HashSet<_> = outbound.iter().filter_map(|c| c.subnet()).collect();
        let mut kept: HashMap<_, _> = outbound.iter().map(|c| (c.connection.id, Kept::Outbound)).collect();
        // The most valuable of each network, from the most valuable network on.
        for candidate in candidates.iter().rev() {
            if networks.len() >= self.prefixes {
                break;
            }
            if candidate.subnet().is_some_and(|network| networks.insert(network)) {
                kept.entry(candidate.connection.id).or_insert(Kept::ForItsNetwork);
            }
        }
        kept
    }
}

impl Pruner for OutboundFloor {
    fn rank(&self, snapshot: &Snapshot) -> Vec<Victim> {
        let mut candidates: Vec<_> = snapshot.connections.iter().collect();
        candidates.sort_unstable_by_key(|c| worth(c));
        let kept = self.kept(&candidates);
        let kept = |c: &PruneCandidate| kept.get(&c.connection.id).copied().unwrap_or(Kept::No);
        // Among those that are kept as outbound, the longest-lived are the last.
        let age =
            |c: &PruneCandidate| (kept(c) == Kept::Outbound).then(|| (c.age(), Reverse(c.connection.id)));
        candidates.sort_by_key(|c| (kept(c), age(c)));
        candidates.into_iter().map(|c| victim(c, Some(("kept", kept(c).name().into())))).collect()
    }

    fn marks(&self) -> Marks {
        self.marks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_api::{PeerId, security::Role, selector::ConnectionView};
    use std::time::Duration;

    fn candidate(id: u64, role: Role, remote: &str, age: u64) -> PruneCandidate {
        let mut connection = ConnectionView::new(id, PeerId::random(), role, remote.parse().unwrap());
        connection.age = Duration::from_secs(age);
        PruneCandidate::new(connection)
    }

    fn ranked(config: &Config, connections: Vec<PruneCandidate>) -> Vec<(u64, String)> {
        let victims = OutboundFloor::new(config).rank(&Snapshot::new(connections, 1, 10));
        victims.into_iter().map(|v| (v.id, v.score[0].1.clone())).collect()
    }

    #[test]
    fn outbound_ones_are_the_last_then_rare_networks() {
        let (inbound, outbound) = (Role::Listener, Role::Dialer);
        let mut connections = vec![
            candidate(0, outbound, "/ip4/192.0.2.1/tcp/1", 50),
            candidate(1, outbound, "/ip4/192.0.2.2/tcp/1", 90),
            candidate(2, outbound, "/ip4/192.0.2.3/tcp/1", 70),
            candidate(3, inbound, "/ip4/198.51.100.1/tcp/1", 9_000),
            candidate(4, inbound, "/ip4/198.51.100.2/tcp/1", 9_000),
            candidate(5, inbound, "/ip4/203.0.113.1/tcp/1", 10),
            candidate(6, inbound, "/ip6/2001:db8::1/tcp/1", 5),
        ];
        for rich in [3, 4] {
            connections[rich].value = 1_000;
        }
        let config = Config { low: 4, high: 6, outbound_share: 0.4, prefixes: Some(3), ..Config::default() };
        let ranking = ranked(&config, connections.clone());
        let expected = [
            (6, "no"),
            (0, "no"),
            (4, "no"),
            (5, "for its network"),
            (3, "for its network"),
            (2, "as outbound"),
            (1, "as outbound"),
        ];
        assert_eq!(ranking, expected.map(|(id, why)| (id, why.to_string())));
        let none = Config { outbound_share: 0.0, prefixes: Some(0), ..config };
        let plain: Vec<u64> = ranked(&none, connections).iter().map(|(id, _)| *id).collect();
        assert_eq!(plain, [6, 5, 0, 2, 1, 4, 3]);
    }
}
