//! `memory`: a peer store that ends with the process.

use super::{
    index::Index,
    limits::{Limits, cap},
    store::{Indexed, Keeper},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{PluginConfig, Problems, config::DurationText, register_peerstore};
use std::sync::{Arc, Mutex};

register_peerstore! {
    name: "memory",
    summary: "keeps what is known about peers in memory, bounded, until the process ends",
    example: "max_peers = 10000\nmax_addrs = 100000\nmax_addrs_per_peer = 64\nmax_records = 10000\n\
              max_protocols_per_peer = 256\nmax_metadata_per_peer = 16384\n\
              temporary_ttl = \"2m\"\nrecently_connected_ttl = \"15m\"",
    config: Config,
    build: |config, _| {
        let index = Arc::new(Mutex::new(Index::new(config.limits(), None)));
        Ok(Arc::new(Indexed::new(index, Arc::new(Nowhere))))
    },
}

/// The keys of `[peerstore.memory]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Peers of which anything is kept, at least 1. Default 10000; each costs about a kilobyte and what is
    /// kept of it.
    pub max_peers: u32,
    /// Addresses of all peers, at least `max_addrs_per_peer`. Default 100000; each costs about 150 bytes.
    pub max_addrs: u32,
    /// Addresses of one peer, 1 to 10000. Default 64; with more, one peer can take the room of others.
    pub max_addrs_per_peer: u32,
    /// Certified records, at least 1. Default 10000; each costs up to 8 KiB.
    pub max_records: u32,
    /// Protocols of one peer, 1 to 10000. Default 256; each costs up to 256 bytes.
    pub max_protocols_per_peer: u32,
    /// Bytes of names and values kept for one peer, up to 16 MiB. Default 16384; they stay in memory.
    pub max_metadata_per_peer: u32,
    /// How long an address of hearsay is kept, `"1s"` to `"720h"`. Default `"2m"`; longer means more dead ones.
    pub temporary_ttl: DurationText,
    /// How long an address is kept after its connection has ended, `"1s"` to `"720h"`. Default `"15m"`; longer
    /// means more dead ones.
    pub recently_connected_ttl: DurationText,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_peers: 10_000,
            max_addrs: 100_000,
            max_addrs_per_peer: 64,
            max_records: 10_000,
            max_protocols_per_peer: 256,
            max_metadata_per_peer: 16 * 1_024,
            temporary_ttl: DurationText::secs(120),
            recently_connected_ttl: DurationText::secs(900),
        }
    }
}

impl Config {
    fn limits(&self) -> Limits {
        Limits {
            peers: cap(self.max_peers),
            addrs: cap(self.max_addrs),
            addrs_per_peer: cap(self.max_addrs_per_peer),
            records: cap(self.max_records),
            protocols_per_peer: cap(self.max_protocols_per_peer),
            metadata_per_peer: cap(self.max_metadata_per_peer),
            temporary: self.temporary_ttl.0,
            recently_connected: self.recently_connected_ttl.0,
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        self.limits().validate(problems);
    }
}

/// Keeps nothing beyond the process.
#[derive(Debug)]
struct Nowhere;

impl Keeper for Nowhere {}
