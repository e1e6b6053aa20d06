//! `throttle`: limits the bytes per second of what it is around, each connection's and those of all together.
//!
//! What is over the limit waits: a write takes its bytes later, and a read gives them later, so that the buffers below
//! fill up and the peer has to wait as well. Nothing is lost and no connection ends for it.
//!
//! Bytes are paid for after they have passed (see `bucket.rs`), so a stream that has nothing to say holds no place and
//! no share, and one that is dropped while it waits gives nothing back.

mod bucket;
mod tap;

use crate::{
    amount::Rate,
    around::{Ends, Hooks, PerFlow, around},
};
use bucket::Bucket;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    PluginConfig, Problems, config::DurationText, decorator::Decorator, muxer::Muxer, register_decorator,
    transport::Transport,
};
use std::{sync::Arc, time::Duration};
use tap::Limits;

register_decorator! {
    name: "throttle",
    summary: "limits the bytes per second of connections, each and all together",
    example: "upload = \"10MiB\"\ndownload = \"unlimited\"\nconnection_upload = \"1MiB\"\n\
              connection_download = \"1MiB\"\nburst = \"100ms\"",
    config: Config,
    build: |config, _| Ok(Arc::new(Throttle::new(&config))),
}

/// The fastest rate that is a limit, in bytes per second.
const MAX_RATE: u64 = 1 << 40;

/// What a timer may be late and still be made up for. Timers of the runtime go by milliseconds.
const MIN_BURST: Duration = Duration::from_millis(20);
const MAX_BURST: Duration = Duration::from_secs(60);

/// The keys of `[decorator.throttle]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Bytes per second that are sent on all connections together, such as `"10MiB"`, up to `"1TiB"`, or `"unlimited"`.
    /// Default `"unlimited"`; connections that want more than there is take turns.
    pub upload: Rate,
    /// Bytes per second that are received on all connections together, as `upload`. Default `"unlimited"`.
    pub download: Rate,
    /// Bytes per second that are sent on each connection, as `upload`. Default `"unlimited"`.
    pub connection_upload: Rate,
    /// Bytes per second that are received on each connection, as `upload`. Default `"unlimited"`.
    pub connection_download: Rate,
    /// What may pass at once after a pause, as the time in which it would pass at the rate, `"20ms"` to `"60s"`.
    /// Default `"100ms"`; longer lets short transfers go at full speed, and the network below see peaks.
    pub burst: DurationText,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            upload: Rate(None),
            download: Rate(None),
            connection_upload: Rate(None),
            connection_download: Rate(None),
            burst: DurationText::millis(100),
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        let rates = [
            ("upload", self.upload),
            ("download", self.download),
            ("connection_upload", self.connection_upload),
            ("connection_download", self.connection_download),
        ];
        for (key, rate) in rates {
            if !rate.0.is_none_or(|bytes| (1..=MAX_RATE).contains(&bytes)) {
                let help = "allowed: \"1B\" to \"1TiB\" per second, or \"unlimited\"";
                problems.add(key, format!("{rate} is out of range"), help);
            }
        }
        if !(MIN_BURST..=MAX_BURST).contains(&self.burst.0) {
            problems.add("burst", format!("{} is out of range", self.burst), "allowed: 20ms to 60s");
        }
    }
}

/// The decorator. What it is around shares its totals.
#[derive(Debug)]
pub struct Throttle {
    hooks: Throttled,
}

impl Throttle {
    /// A decorator with these limits.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let burst = config.burst.0;
        let total = PerFlow {
            received: Bucket::new(config.download, burst).map(Arc::new),
            sent: Bucket::new(config.upload, burst).map(Arc::new),
        };
        let each = PerFlow { received: config.connection_download, sent: config.connection_upload };
        Self { hooks: Throttled { total, each, burst } }
    }
}

impl Decorator for Throttle {
    fn transport(&self, _: &str, inner: Arc<dyn Transport>) -> Option<Arc<dyn Transport>> {
        Some(around(self.hooks.clone(), inner))
    }

    fn muxer(&self, _: &str, inner: Arc<dyn Muxer>) -> Option<Arc<dyn Muxer>> {
        Some(around(self.hooks.clone(), inner))
    }
}

#[derive(Clone, Debug)]
struct Throttled {
    total: PerFlow<Option<Arc<Bucket>>>,
    each: PerFlow<Rate>,
    burst: Duration,
}

impl Hooks for Throttled {
    type Conn = Limits;

    fn connection(&self, _: &Ends<'_>) -> Limits {
        let own = |rate| Bucket::new(rate, self.burst).map(Arc::new);
        Limits::new(PerFlow {
            received: [own(self.each.received), self.total.received.clone()],
            sent: [own(self.each.sent), self.total.sent.clone()],
        })
    }
}
