//! The table `[transport.tcp]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{PluginConfig, Problems, config::DurationText};
use skep_tcp_port::Options;

/// Options of the TCP transport. Each key applies to dialled and to accepted connections unless it says
/// otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Send small writes at once (`TCP_NODELAY`): true or false, default true.
    ///
    /// Off, a request that waits for its answer can take 40 to 90 ms longer; on costs more, smaller packets
    /// where a protocol writes in small pieces.
    pub nodelay: bool,
    /// Connections that the system queues for a listener: 1 to 65535, default 1024.
    ///
    /// The system may cap it (`net.core.somaxconn`). Each waiting connection costs kernel memory; with too few
    /// a burst of dials meets time-outs.
    pub backlog: u32,
    /// Idle time after which the system probes the peer, and the time between probes: "0s" for never, or "1s"
    /// to "32767s" in whole seconds, default "30s".
    ///
    /// Costs one empty packet per probe; without it a peer that lost power is noticed only by writing to it.
    pub keepalive: DurationText,
    /// How long a dial may take: "1ms" to "10m", default "10s".
    ///
    /// The caller's own time limit still applies; a node's is `dial.connect_timeout`. A dial to a silent address holds a file descriptor for as long.
    pub connect_timeout: DurationText,
    /// Dial from the port of a listener of the same address family: true or false, default false. Unix only.
    ///
    /// Lets a NAT keep one mapping for both directions, which hole punching needs. A second connection to the
    /// same address must come from another port, and does.
    pub port_reuse: bool,
    /// Hops that packets may take (IP time to live): 1 to 255, default the system's.
    ///
    /// 1 keeps connections within the local network.
    pub ttl: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        let Options { nodelay, backlog, keepalive, connect_timeout, port_reuse, ttl } = Options::default();
        Self { nodelay, backlog, keepalive, connect_timeout, port_reuse, ttl }
    }
}

impl Config {
    /// The same for the sockets.
    pub(crate) fn options(&self) -> Options {
        let Self { nodelay, backlog, keepalive, connect_timeout, port_reuse, ttl } = *self;
        Options { nodelay, backlog, keepalive, connect_timeout, port_reuse, ttl }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        self.options().validate(problems);
    }
}
