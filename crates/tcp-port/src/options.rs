//! The options of TCP sockets, as the tables of all transports over TCP have them.

use skep_api::{Problems, config::DurationText};
use std::time::Duration;

/// The longest idle time that Linux takes for `TCP_KEEPIDLE`.
const MAX_KEEPALIVE: Duration = Duration::from_secs(32_767);
const MAX_CONNECT_TIMEOUT: Duration = Duration::from_secs(600);

/// Options of sockets. Each applies to dialled and to accepted connections unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Send small writes at once (`TCP_NODELAY`).
    pub nodelay: bool,
    /// Connections that the system queues for a listener. That of the transport that binds a shared port first counts.
    pub backlog: u32,
    /// Idle time before the peer is probed, and between probes; zero for never.
    pub keepalive: DurationText,
    /// How long a dial may take.
    pub connect_timeout: DurationText,
    /// Dial from the port of a listener of the same kind and address family.
    pub port_reuse: bool,
    /// Hops that packets may take; `None` for the system's.
    pub ttl: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodelay: true,
            backlog: 1024,
            keepalive: DurationText::secs(30),
            connect_timeout: DurationText::secs(10),
            port_reuse: false,
            ttl: None,
        }
    }
}

impl Options {
    /// Notes every value that is out of range, under the name of its field.
    pub fn validate(&self, problems: &mut Problems) {
        problems.range("backlog", self.backlog.into(), 1..=65_535);
        if let Some(ttl) = self.ttl {
            problems.range("ttl", ttl.into(), 1..=255);
        }
        let keepalive = self.keepalive.0;
        if !keepalive.is_zero() && (keepalive < Duration::from_secs(1) || keepalive > MAX_KEEPALIVE) {
            let problem = format!("{} is out of range", self.keepalive);
            problems.add("keepalive", problem, "allowed: \"0s\" (never), or \"1s\" to \"32767s\"");
        }
        if self.connect_timeout.0.is_zero() || self.connect_timeout.0 > MAX_CONNECT_TIMEOUT {
            let problem = format!("{} is out of range", self.connect_timeout);
            problems.add("connect_timeout", problem, "allowed: \"1ms\" to \"10m\"");
        }
    }
}
