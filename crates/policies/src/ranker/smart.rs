//! `smart`: races addresses with a stagger, the most promising first.
//!
//! Addresses run in three lanes side by side, each from time zero: those of this host and its networks, the
//! public ones, and those through a relay. In a lane QUIC starts before TCP and TCP before the rest, with both
//! families of IP early on (RFC 8305). The lanes are laid out in `smart/lane.rs` and merged here by start time.
//! The order in which addresses are given does not matter.

mod lane;

use lane::{Candidate, Pace, Start};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    Multiaddr, PluginConfig, Problems,
    address::{self, Scope},
    config::DurationText,
    ranker::{DialCandidate, DialRanker, RankedAddr},
    register_ranker,
};
use std::{cmp::Reverse, sync::Arc, time::Duration};

register_ranker! {
    name: "smart",
    summary: "races addresses with a stagger: direct before relayed, QUIC before TCP, both IP families early",
    example: "public_delay = \"250ms\"\nprivate_delay = \"30ms\"\nrelay_delay = \"500ms\"",
    config: Config,
    build: |config, _| Ok(Arc::new(Smart::new(&config))),
}

/// Longest of the delays.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// The keys of `[ranker.smart]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The stagger between public addresses, up to `"30s"`. Default `"250ms"`; less opens more sockets at a time,
    /// more waits longer for what is dead.
    pub public_delay: DurationText,
    /// The stagger between addresses of this host and its networks, up to `"30s"`. Default `"30ms"`.
    pub private_delay: DurationText,
    /// How long relayed addresses wait where there are direct public ones, up to `"30s"`. Default `"500ms"`; less
    /// burdens relays for nothing.
    pub relay_delay: DurationText,
    /// How long public addresses that are neither QUIC nor TCP wait for those that are, up to `"30s"`. Default
    /// `"1s"`.
    pub public_other_delay: DurationText,
    /// The same for addresses of this host and its networks, up to `"30s"`. Default `"100ms"`.
    pub private_other_delay: DurationText,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_delay: DurationText::millis(250),
            private_delay: DurationText::millis(30),
            relay_delay: DurationText::millis(500),
            public_other_delay: DurationText::secs(1),
            private_other_delay: DurationText::millis(100),
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        let keys = [
            ("public_delay", self.public_delay),
            ("private_delay", self.private_delay),
            ("relay_delay", self.relay_delay),
            ("public_other_delay", self.public_other_delay),
            ("private_other_delay", self.private_other_delay),
        ];
        for (key, delay) in keys.into_iter().filter(|(_, delay)| delay.0 > MAX_DELAY) {
            let help = format!("allowed: 0s to {}", DurationText(MAX_DELAY));
            problems.add(key, format!("{delay} is out of range"), help);
        }
    }
}

/// The ranker.
#[derive(Clone, Debug)]
pub struct Smart {
    private: Pace,
    public: Pace,
    relay_delay: Duration,
}

impl Smart {
    /// A ranker with validated delays.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            private: Pace { delay: config.private_delay.0, other_delay: config.private_other_delay.0 },
            public: Pace { delay: config.public_delay.0, other_delay: config.public_other_delay.0 },
            relay_delay: config.relay_delay.0,
        }
    }

    /// When each address starts, in order.
    fn starts(&self, candidates: Vec<DialCandidate>) -> Vec<Start> {
        let candidates = candidates.into_iter().map(Candidate::new);
        let (relayed, direct): (Vec<_>, Vec<_>) = candidates.partition(|c| address::is_relayed(&c.addr));
        let (public, private): (Vec<_>, Vec<_>) = direct.into_iter().partition(|c| is_public(&c.addr));
        // A relay is a stranger's favour, and what it gives is limited: not asked while a direct way may open.
        let relay_delay = if public.is_empty() { Duration::ZERO } else { self.relay_delay };
        let relayed = lane::lay_out(relayed, &self.public).into_iter().map(|start| Start {
            at: start.at.saturating_add(relay_delay),
            // The handshake behind a relay must not hold back the direct ones.
            head_start: Duration::ZERO,
            ..start
        });
        let mut starts = lane::lay_out(private, &self.private);
        starts.extend(lane::lay_out(public, &self.public));
        let direct = starts.len();
        starts.extend(relayed);
        let mut starts: Vec<_> = starts.into_iter().enumerate().collect();
        starts.sort_by_key(|(n, start)| (start.at, *n >= direct, Reverse(start.candidate.worked), *n));
        starts.into_iter().map(|(_, start)| start).collect()
    }
}

impl DialRanker for Smart {
    fn rank(&self, candidates: Vec<DialCandidate>) -> Vec<RankedAddr> {
        let mut last = Duration::ZERO;
        let with_gap = |start: Start| {
            let gap = start.at.saturating_sub(last);
            last = start.at;
            RankedAddr::new(start.candidate.addr, gap).head_start(start.head_start)
        };
        self.starts(candidates).into_iter().map(with_gap).collect()
    }
}

/// Whether an address has to cross the public network. A name that is still in it may lead anywhere.
fn is_public(addr: &Multiaddr) -> bool {
    match address::scope(addr) {
        Scope::Public => true,
        Scope::Unknown => address::has_name(addr),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
