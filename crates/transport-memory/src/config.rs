//! The table `[transport.memory]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{PluginConfig, Problems, config::DurationText};
use std::time::Duration;

/// The longest delay that can be set.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(3_600);
/// The largest buffer that can be set, in bytes.
pub(crate) const MAX_CAPACITY: u64 = 1 << 30;
/// The largest bandwidth that can be set, in bytes per second.
pub(crate) const MAX_BANDWIDTH: u64 = 1 << 40;

/// Options of the in-process transport.
///
/// Latency, jitter, bandwidth, loss and capacity shape what this node sends, as on a network interface: the way back
/// is shaped by the other node's options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The hub to meet other nodes on: a name, default "default".
    ///
    /// Nodes of one process reach each other if they name the same hub; it costs nothing.
    pub hub: String,
    /// The name of this node on its hub: default "", for none.
    ///
    /// Code that changes the conditions between nodes names them by it, or by a number that they listen on. Nodes may
    /// share a name; it costs nothing.
    pub name: String,
    /// Delay of all that this node sends, one way: "0s" to "1h", default "0s".
    ///
    /// A round trip takes this node's latency and the other's; a dial takes one round trip.
    pub latency: DurationText,
    /// The most that a segment takes beyond `latency`: "0s" to "1h", default "0s".
    ///
    /// It is drawn evenly for each segment. Order is kept: a late segment holds up all that was written after it.
    pub jitter: DurationText,
    /// Bytes per second that this node sends on one link: 0 to 1099511627776, default 0, which is no limit.
    ///
    /// What is written faster waits, and counts against `capacity` as long as it does.
    pub bandwidth: u64,
    /// Share of the segments that are lost and sent again, in percent: 0 to 100, default 0.
    ///
    /// A lost segment arrives later by `retransmit`, and with it all that was written after it.
    pub loss_percent: f64,
    /// Extra delay of a lost segment: "0s" to "1h", default "200ms".
    ///
    /// Without effect while `loss_percent` is 0.
    pub retransmit: DurationText,
    /// Seed of the choice of lost segments: 0 to 9223372036854775807, default 0.
    ///
    /// With the same seed the nth link of a node loses the same segments again.
    pub seed: u64,
    /// Bytes of one link that are on their way or unread, per direction: 1 to 1073741824, default 262144.
    ///
    /// Costs as much memory on a link whose reader is slow. The rate of a link is at most `capacity` per round trip.
    pub capacity: u64,
    /// Connections that wait to be accepted: 1 to 65535, default 128.
    ///
    /// A dial beyond it is refused. Each that waits costs the memory of a link.
    pub backlog: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hub: "default".into(),
            name: String::new(),
            latency: DurationText::secs(0),
            jitter: DurationText::secs(0),
            bandwidth: 0,
            loss_percent: 0.0,
            retransmit: DurationText::millis(200),
            seed: 0,
            capacity: 256 * 1024,
            backlog: 128,
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        if self.hub.is_empty() {
            problems.add("hub", "the name is empty", "allowed: any name; nodes that share it can meet");
        }
        for (key, delay) in
            [("latency", self.latency), ("jitter", self.jitter), ("retransmit", self.retransmit)]
        {
            if delay.0 > MAX_DELAY {
                problems.add(key, format!("{delay} is out of range"), "allowed: \"0s\" to \"1h\"");
            }
        }
        if !(0.0..=100.0).contains(&self.loss_percent) {
            problems.add(
                "loss_percent",
                format!("{} is out of range", self.loss_percent),
                "allowed: 0 to 100",
            );
        }
        problems.range("bandwidth", self.bandwidth, 0..=MAX_BANDWIDTH);
        problems.range("capacity", self.capacity, 1..=MAX_CAPACITY);
        problems.range("backlog", self.backlog.into(), 1..=65_535);
    }
}
