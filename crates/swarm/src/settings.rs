//! The swarm's own table, `[swarm]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    PluginConfig,
    config::{DurationText, Problems},
};

/// Keys of `[swarm]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Connections in total, both directions; more inbound ones wait in the listener's queue.
    pub max_connections: u32,
    /// Inbound connections that may be in their handshake at once; more wait in the listener's queue.
    pub max_pending_inbound: u32,
    /// Connections to one peer; one more is closed with `resource_limit`.
    pub max_connections_per_peer: u32,
    /// Inbound streams of one connection that may be open at once; more are reset.
    pub max_inbound_streams: u32,
    /// From accept to the registered connection, security and muxer together; for dials see `[dial]`.
    pub upgrade_timeout: DurationText,
    /// To open a stream and agree on its protocol.
    pub stream_timeout: DurationText,
    /// How long a connection that is being closed may take to send what was written.
    pub close_timeout: DurationText,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending_inbound: 64,
            max_connections_per_peer: 8,
            max_inbound_streams: 1024,
            upgrade_timeout: DurationText::secs(15),
            stream_timeout: DurationText::secs(10),
            close_timeout: DurationText::secs(1),
        }
    }
}

impl PluginConfig for Settings {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        for (key, value) in [
            ("max_connections", self.max_connections),
            ("max_pending_inbound", self.max_pending_inbound),
            ("max_connections_per_peer", self.max_connections_per_peer),
            ("max_inbound_streams", self.max_inbound_streams),
        ] {
            problems.range(key, value.into(), 1..=1_000_000);
        }
        for (key, value) in [
            ("upgrade_timeout", self.upgrade_timeout),
            ("stream_timeout", self.stream_timeout),
            ("close_timeout", self.close_timeout),
        ] {
            if value.0.is_zero() {
                problems.add(key, "0s leaves no time at all", "allowed: 1ms and more");
            }
        }
    }
}
