//! The keys of `[security.noise]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{PluginConfig, Problems};

/// The table of the plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Offers the muxers within the handshake, `true` or `false`.
    ///
    /// Default `true`. Off costs a round trip per connection when there is more than one muxer to choose from,
    /// and is only of use against a peer that handles the extension wrongly.
    pub early_muxer: bool,
    /// Buffers that the instance keeps while no connection needs them, 0 to 65536.
    ///
    /// Default 64. Each holds 192 KiB, so 64 of them hold 12 MiB; a busy connection takes one for each
    /// direction, and an idle one none. Fewer cost an allocation, and its page faults, per burst of data.
    pub max_idle_buffers: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { early_muxer: true, max_idle_buffers: 64 }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        problems.range("max_idle_buffers", self.max_idle_buffers.into(), 0..=65_536);
    }
}
