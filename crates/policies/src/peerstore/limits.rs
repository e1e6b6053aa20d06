//! How much a peer store keeps and for how long, and what is checked of these keys in both plugins.

use skep_api::{Problems, config::DurationText, peerstore::Ttl};
use std::time::Duration;

/// How long the addresses in a certified record are kept.
pub(super) const CERTIFIED: Duration = Duration::from_secs(3_600);

/// Longest address that is kept, in bytes. The longest in use, relayed WebTransport, have some three hundred.
pub(super) const MAX_ADDR_LEN: usize = 1_024;

/// Longest name of a protocol that is kept, in bytes.
pub(super) const MAX_PROTOCOL_LEN: usize = 256;

/// Longest envelope of a record that is kept, in bytes: what go-libp2p takes of an identify message.
pub(super) const MAX_RECORD_LEN: usize = 8 * 1_024;

/// The longest time to live that is told apart from for ever.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 86_400);

/// The caps and times of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) peers: usize,
    pub(super) addrs: usize,
    pub(super) addrs_per_peer: usize,
    pub(super) records: usize,
    pub(super) protocols_per_peer: usize,
    /// Bytes of names and values.
    pub(super) metadata_per_peer: usize,
    pub(super) temporary: Duration,
    pub(super) recently_connected: Duration,
}

impl Limits {
    /// How long an address of this class is kept; `None` without an end.
    pub(super) fn time_to_live(&self, ttl: Ttl) -> Option<Duration> {
        let time = match ttl {
            Ttl::Temporary => self.temporary,
            Ttl::RecentlyConnected => self.recently_connected,
            Ttl::For(time) => time,
            // A class that is not known here ends with the connection or by hand, as these do.
            _ => return None,
        };
        Some(time.min(LONGEST))
    }

    /// Notes what cannot work, under the keys that both plugins share.
    pub(super) fn validate(&self, problems: &mut Problems) {
        const MANY: u64 = 10_000_000;
        problems.range("max_peers", self.peers as u64, 1..=MANY);
        problems.range("max_addrs", self.addrs as u64, 1..=MANY);
        problems.range("max_addrs_per_peer", self.addrs_per_peer as u64, 1..=10_000);
        problems.range("max_records", self.records as u64, 1..=MANY);
        problems.range("max_protocols_per_peer", self.protocols_per_peer as u64, 1..=10_000);
        problems.range("max_metadata_per_peer", self.metadata_per_peer as u64, 0..=16 * 1_024 * 1_024);
        if self.addrs_per_peer > self.addrs {
            let problem =
                format!("{} is below `max_addrs_per_peer`, which is {}", self.addrs, self.addrs_per_peer);
            let help = format!("allowed: {} or more, or lower `max_addrs_per_peer`", self.addrs_per_peer);
            problems.add("max_addrs", problem, help);
        }
        for (key, time) in
            [("temporary_ttl", self.temporary), ("recently_connected_ttl", self.recently_connected)]
        {
            if !(Duration::from_secs(1)..=Duration::from_secs(30 * 86_400)).contains(&time) {
                problems.add(key, format!("{} is out of range", DurationText(time)), "allowed: 1s to 720h");
            }
        }
    }
}

/// A cap as the configuration has it.
pub(super) fn cap(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
