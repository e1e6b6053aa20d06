//! The swarm's own table, `[swarm]`.

use crate::size::SizeOrNever;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    ConfigErrors, ConfigSection, PluginConfig,
    config::{DurationOrNever, DurationText, Problems},
};
use std::time::Duration;

/// The shortest time after which a connection may count as idle or dead.
const MIN_LIFE: Duration = Duration::from_secs(1);
/// The least memory that may count as an emergency.
const MIN_MEMORY: u64 = 1 << 20;

/// Keys of `[swarm]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Connections in total, both directions; more inbound ones wait in the listener's queue.
    #[schemars(extend("reload" = "restart"))]
    pub max_connections: u32,
    /// Of these, so many are kept for dials, a quarter at most: peers that connect cannot keep this node from dialling. As
    /// many of the peers that it dialled, those connected for longest, are never pruned.
    #[schemars(extend("reload" = "restart"))]
    pub outbound_reserve: u32,
    /// Of `max_connections`, so many are kept for peers that are protected or tagged `bootstrap` or `keep-alive…`, an eighth
    /// at most: these are dialled, and let in, when all other places are taken.
    #[schemars(extend("reload" = "restart"))]
    pub protected_reserve: u32,
    /// Inbound connections that may be in their handshake at once; more wait in the listener's queue.
    #[schemars(extend("reload" = "restart"))]
    pub max_pending_inbound: u32,
    /// Live connections to one peer; one more is closed with `resource_limit`.
    pub max_connections_per_peer: u32,
    /// Inbound streams of one connection that may be open at once; more are reset.
    #[schemars(extend("reload" = "new_connections"))]
    pub max_inbound_streams: u32,
    /// Inbound streams of all connections that may be open at once; more are reset.
    #[schemars(extend("reload" = "restart"))]
    pub max_inbound_streams_total: u32,
    /// Streams that this node may have open on one connection; who wants one more waits in order.
    #[schemars(extend("reload" = "new_connections"))]
    pub max_outbound_streams: u32,
    /// Streams that this node may have open on all connections; who wants one more waits in order.
    #[schemars(extend("reload" = "restart"))]
    pub max_outbound_streams_total: u32,
    /// From accept to the registered connection, security and muxer together; for dials see `[dial]`.
    pub upgrade_timeout: DurationText,
    /// To open a stream and agree on its protocol, waiting for room included; for dialling see `[dial]`.
    pub stream_timeout: DurationText,
    /// How long a connection may be of no use: nobody holds a lease, no stream is open but such as ping's, and the
    /// peer is not protected. Then it is closed.
    #[schemars(extend("reload" = "new_connections"))]
    pub idle_timeout: DurationOrNever,
    /// How long nothing at all may come from a peer. At half of it the peer is asked for a sign of life; at the end the
    /// connection counts as lost.
    #[schemars(extend("reload" = "new_connections"))]
    pub dead_after: DurationOrNever,
    /// How long a connection that is being closed may take to send what was written.
    pub close_timeout: DurationText,
    /// Memory of the process above which connections are closed down to the pruner's low mark, also those in use. It is
    /// looked at every 10 s.
    #[schemars(extend("reload" = "restart"))]
    pub emergency_memory: SizeOrNever,
    /// How long a peer without a connection keeps its tags; not those that ask to be kept connected, nor its
    /// protections, which stay.
    pub tag_grace: DurationOrNever,
    /// Whether tags and protections are kept in the peer store, for the next start; not those that decay.
    #[schemars(extend("reload" = "restart"))]
    pub persist_tags: bool,
    /// Whether `[stack] security` may have a protocol that neither hides what is said nor proves who says it, such as
    /// plaintext. For networks that exist for tests.
    #[schemars(extend("reload" = "restart"))]
    pub allow_insecure: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            outbound_reserve: 16,
            protected_reserve: 8,
            max_pending_inbound: 64,
            max_connections_per_peer: 3,
            max_inbound_streams: 256,
            max_inbound_streams_total: 65_536,
            max_outbound_streams: 256,
            max_outbound_streams_total: 65_536,
            upgrade_timeout: DurationText::secs(15),
            stream_timeout: DurationText::secs(10),
            idle_timeout: DurationOrNever::NEVER,
            dead_after: DurationOrNever::secs(90),
            close_timeout: DurationText::secs(1),
            emergency_memory: SizeOrNever::NEVER,
            tag_grace: DurationOrNever::secs(60),
            persist_tags: false,
            allow_insecure: false,
        }
    }
}

impl Settings {
    /// Checks what is asked of the peer store.
    pub(crate) fn check_store(&self, there_is_one: bool) -> Result<(), ConfigErrors> {
        if !self.persist_tags || there_is_one {
            return Ok(());
        }
        let mut problems = Problems::default();
        let help = "set `[stack] peerstore`, or leave it at false";
        problems.add("persist_tags", "there is no peer store to keep tags in", help);
        Err(problems.at(&ConfigSection::empty("swarm")))
    }

    /// Checks what was set in code, as a profile is checked.
    pub(crate) fn check(&self) -> Result<(), ConfigErrors> {
        let mut problems = Problems::default();
        self.validate(&mut problems);
        if problems.is_empty() { Ok(()) } else { Err(problems.at(&ConfigSection::empty("swarm"))) }
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
            ("max_inbound_streams_total", self.max_inbound_streams_total),
            ("max_outbound_streams", self.max_outbound_streams),
            ("max_outbound_streams_total", self.max_outbound_streams_total),
        ] {
            problems.range(key, value.into(), 1..=1_000_000);
        }
        for (key, value) in
            [("outbound_reserve", self.outbound_reserve), ("protected_reserve", self.protected_reserve)]
        {
            problems.range(key, value.into(), 0..=1_000_000);
        }
        if let Some(bytes) = self.emergency_memory.0.filter(|bytes| *bytes < MIN_MEMORY) {
            let problem = format!("{} is less than a node needs", SizeOrNever(Some(bytes)));
            problems.add("emergency_memory", problem, "allowed: 1MiB and more, or \"never\"");
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
        if self.tag_grace.0.is_some_and(|grace| grace < MIN_LIFE) {
            let problem = format!("{} leaves no time to connect", self.tag_grace);
            problems.add(
                "tag_grace",
                problem,
                format!("allowed: {} and more, or \"never\"", DurationText(MIN_LIFE)),
            );
        }
        for (key, value) in [("idle_timeout", self.idle_timeout), ("dead_after", self.dead_after)] {
            if value.0.is_some_and(|value| value < MIN_LIFE) {
                let problem = format!("{value} would close connections that are in use");
                problems.add(
                    key,
                    problem,
                    format!("allowed: {} and more, or \"never\"", DurationText(MIN_LIFE)),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserves_and_memory_have_bounds() {
        let settings = Settings {
            outbound_reserve: 1_000_001,
            protected_reserve: 2_000_000,
            emergency_memory: SizeOrNever(Some(64 << 10)),
            ..Settings::default()
        };
        assert_eq!(
            settings.check().unwrap_err().to_string(),
            "3 problems in the configuration:\n  \
             1. swarm.outbound_reserve: 1000001 is out of range [default]\n    \
             allowed: 0 to 1000000\n  \
             2. swarm.protected_reserve: 2000000 is out of range [default]\n    \
             allowed: 0 to 1000000\n  \
             3. swarm.emergency_memory: 64KiB is less than a node needs [default]\n    \
             allowed: 1MiB and more, or \"never\""
        );
    }
}
