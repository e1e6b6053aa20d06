//! `redb`: a peer store that outlives the process, in a file of the embedded database redb.
//!
//! Everything is answered from the index in memory. What changes is collected and written behind, in one
//! transaction for all peers that have changed; `flush` waits for that. The file is read once, when it is opened.
//!
//! A file is changed only after all that is in it was understood (`redb/staged.rs`), so a damaged one is left as it
//! is for whoever wants to look at it.

mod aside;
mod error;
mod file;
mod keeper;
mod staged;
mod value;

use super::{
    index::{Index, Journal},
    limits::{Limits, cap},
    store::Indexed,
};
use keeper::{Redb, Writer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{PluginConfig, Problems, config::DurationText, register_peerstore};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

register_peerstore! {
    name: "redb",
    summary: "keeps what is known about peers in memory and in a file that outlives the process",
    example: "path = \"peers.redb\"\non_corruption = \"fail\"\nwrite_every = \"1s\"\n\
              max_peers = 10000\nmax_addrs = 100000\nmax_addrs_per_peer = 64\nmax_records = 10000\n\
              max_protocols_per_peer = 256\nmax_metadata_per_peer = 16384\n\
              temporary_ttl = \"2m\"\nrecently_connected_ttl = \"15m\"",
    config: Config,
    build: |config, cx| {
        let index = Arc::new(Mutex::new(Index::new(config.limits(), Some(Journal::default()))));
        let writer = Writer::new(Arc::clone(&index), &config);
        let keeper = Redb::new(writer, cx.tasks.clone(), config.write_every.0);
        Ok(Arc::new(Indexed::new(index, Arc::new(keeper))))
    },
}

/// The keys of `[peerstore.redb]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["path"]))]
pub struct Config {
    /// The file, such as `"peers.redb"`; its folder must be there. No default: each node needs a file of its own.
    pub path: String,
    /// What to do about a damaged file: `"fail"`, or `"start_afresh"`, which moves it to `<path>.damaged-<n>`.
    /// Default `"fail"`; starting afresh costs all that was known.
    pub on_corruption: OnCorruption,
    /// How long changes are collected before they are written, `"10ms"` to `"1h"`. Default `"1s"`; what is younger
    /// is lost with the process, and every write waits for the disk.
    pub write_every: DurationText,
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

/// What to do about a damaged file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnCorruption {
    /// Say so and leave it as it is.
    #[default]
    Fail,
    /// Move it aside and begin with an empty one.
    StartAfresh,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: String::new(),
            on_corruption: OnCorruption::default(),
            write_every: DurationText::secs(1),
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
        if self.path.trim().is_empty() {
            problems.add("path", "there is no file", "the path of a file, such as \"peers.redb\"");
        }
        if !(Duration::from_millis(10)..=Duration::from_secs(3_600)).contains(&self.write_every.0) {
            problems.add(
                "write_every",
                format!("{} is out of range", self.write_every),
                "allowed: 10ms to 1h",
            );
        }
        self.limits().validate(problems);
    }
}

#[cfg(test)]
mod tests;
