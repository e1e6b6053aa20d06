//! The table `[dial]`.

use crate::dial::budget::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    PluginConfig,
    config::{DurationText, Problems},
};
use std::time::Duration;

/// Keys of `[dial]`: how all dials of the node, by whomever, are paced, bounded and remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DialSettings {
    /// To find an address, connect and upgrade, for one dial: up to `"1h"`. Default `"60s"`; a caller can ask for less.
    pub timeout: DurationText,
    /// For one public address, from its first packet to the registered connection. Default `"15s"`.
    pub public_timeout: DurationText,
    /// For one address of a private network, of this link or of this host. Default `"5s"`.
    pub local_timeout: DurationText,
    /// For the transport's part of it: until a TCP connection stands, or QUIC's handshake is over. Default `"5s"`.
    pub connect_timeout: DurationText,
    /// How long an address may take to connect while others wait for its place; then it goes to the end of the line, once.
    /// Default `"1s"`.
    pub give_way_after: DurationText,
    /// Addresses that one dial tries at most, 1 to 256. Default 64; the ranker's last ones are passed over.
    pub max_peer_addrs_to_dial: u32,
    /// Addresses of one peer that are tried at the same time, 1 to 256. Default 8; each holds a file descriptor.
    pub max_outstanding_per_peer: u32,
    /// Addresses that the node tries at the same time. Default 160; each holds a file descriptor.
    pub max_outstanding: u32,
    /// Of these, those in one public network (/24 of IPv4, /48 of IPv6). Default 32.
    pub max_outstanding_per_subnet: u32,
    /// Tries of public addresses in a second, 1 to 100000. Default 100; more wait. Private networks are not slowed.
    pub max_per_second: u32,
    /// Tries that may wait for room. Default 1024; one more is refused, the least urgent of all.
    pub max_queued: u32,
    /// Whether addresses of private networks and of this link are dialled. Default true.
    ///
    /// Off, no packet goes to them, whatever peers say about themselves. Addresses of this host are not meant.
    pub private_addresses: bool,
    /// How long an address is left alone after any failure, beside `backoff_step`. Default `"5s"`; both `"0s"`
    /// for never.
    #[schemars(extend("reload" = "restart"))]
    pub backoff_base: DurationText,
    /// What is added for the square of the failures in a row. Default `"1s"`: 6 s, 9 s, 14 s, 21 s, …
    #[schemars(extend("reload" = "restart"))]
    pub backoff_step: DurationText,
    /// How long an address is left alone at most, up to `"24h"`. Default `"5m"`.
    #[schemars(extend("reload" = "restart"))]
    pub backoff_max: DurationText,
    /// Addresses that are remembered as failing, 1 to 1000000. Default 10000, 250 bytes each; the longest unseen go.
    #[schemars(extend("reload" = "restart"))]
    pub backoff_entries: u32,
    /// How long a peer is left alone after all of its addresses failed. Default `"30s"`; `"0s"` for not at all.
    ///
    /// A new address, a connection from the peer, or a change of this host's network ends it.
    #[schemars(extend("reload" = "restart"))]
    pub negative_ttl: DurationText,
    /// Peers that are remembered as failing, 1 to 1000000. Default 4096, up to 2 KiB each; the longest unseen go.
    #[schemars(extend("reload" = "restart"))]
    pub negative_entries: u32,
    /// Dials over UDP, and over IPv6, by which it is judged whether the path swallows them, 0 (off) to 10000.
    /// Default 100.
    #[schemars(extend("reload" = "restart"))]
    pub black_hole_window: u32,
    /// Of these, how many have to succeed. Default 5; with fewer, one in `black_hole_window` is let through as a probe.
    #[schemars(extend("reload" = "restart"))]
    pub black_hole_min_successes: u32,
}

impl Default for DialSettings {
    fn default() -> Self {
        Self {
            timeout: DurationText::secs(60),
            public_timeout: DurationText::secs(15),
            local_timeout: DurationText::secs(5),
            connect_timeout: DurationText::secs(5),
            give_way_after: DurationText::secs(1),
            max_peer_addrs_to_dial: 64,
            max_outstanding_per_peer: 8,
            max_outstanding: 160,
            max_outstanding_per_subnet: 32,
            max_per_second: 100,
            max_queued: 1024,
            private_addresses: true,
            backoff_base: DurationText::secs(5),
            backoff_step: DurationText::secs(1),
            backoff_max: DurationText::secs(300),
            backoff_entries: 10_000,
            negative_ttl: DurationText::secs(30),
            negative_entries: 4096,
            black_hole_window: 100,
            black_hole_min_successes: 5,
        }
    }
}

impl PluginConfig for DialSettings {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        for (key, value, max) in [
            ("max_peer_addrs_to_dial", self.max_peer_addrs_to_dial, 256),
            ("max_outstanding_per_peer", self.max_outstanding_per_peer, 256),
            ("max_outstanding", self.max_outstanding, 100_000),
            ("max_outstanding_per_subnet", self.max_outstanding_per_subnet, 100_000),
            ("max_per_second", self.max_per_second, 100_000),
            ("max_queued", self.max_queued, 100_000),
            ("backoff_entries", self.backoff_entries, 1_000_000),
            ("negative_entries", self.negative_entries, 1_000_000),
        ] {
            problems.range(key, value.into(), 1..=max);
        }
        problems.range("black_hole_window", self.black_hole_window.into(), 0..=10_000);
        if self.black_hole_window > 0 {
            let successes = self.black_hole_min_successes;
            problems.range("black_hole_min_successes", successes.into(), 1..=self.black_hole_window.into());
        }
        for (key, value) in [
            ("timeout", self.timeout),
            ("public_timeout", self.public_timeout),
            ("local_timeout", self.local_timeout),
            ("connect_timeout", self.connect_timeout),
            ("give_way_after", self.give_way_after),
        ] {
            duration(problems, key, value, Duration::from_millis(1)..=Duration::from_secs(3600));
        }
        for (key, value) in [
            ("backoff_base", self.backoff_base),
            ("backoff_step", self.backoff_step),
            ("backoff_max", self.backoff_max),
            ("negative_ttl", self.negative_ttl),
        ] {
            duration(problems, key, value, Duration::ZERO..=Duration::from_secs(86_400));
        }
    }
}

impl DialSettings {
    pub(super) fn limits(&self) -> Limits {
        Limits {
            outstanding: self.max_outstanding as usize,
            per_subnet: self.max_outstanding_per_subnet as usize,
            per_second: self.max_per_second,
            queued: self.max_queued as usize,
        }
    }
}

/// Notes a duration that is out of range.
pub(super) fn duration(
    problems: &mut Problems,
    key: &str,
    value: DurationText,
    allowed: std::ops::RangeInclusive<Duration>,
) {
    if !allowed.contains(&value.0) {
        let (from, to) = (DurationText(*allowed.start()), DurationText(*allowed.end()));
        problems.add(key, format!("{value} is out of range"), format!("allowed: \"{from}\" to \"{to}\""));
    }
}
