//! The keys of `[security.tls]`.

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
    /// and is only of use against a peer that handles the list wrongly.
    pub early_muxer: bool,
    /// How two ends find their common secret, `"classical"` or `"post_quantum"`.
    ///
    /// Default `"classical"`.
    pub key_exchange: KeyExchange,
    /// Buffers that the instance keeps while no connection needs them, 0 to 65536.
    ///
    /// Default 64. Each holds 130 KiB, so 64 of them hold 8 MiB; a busy connection takes one for each
    /// direction, and an idle one none. Fewer cost an allocation, and its page faults, per burst of data.
    pub max_idle_buffers: u32,
}

/// How two ends find their common secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyExchange {
    /// X25519, or a curve of NIST for a peer that lacks it; as a listener also the hybrid for a peer that offers it.
    #[default]
    Classical,
    /// The hybrid of X25519 and ML-KEM-768 where the peer has it. Costs about 14 % of the connections per second,
    /// and 2.3 KB per connection; what is recorded today stays secret from a quantum computer of tomorrow.
    PostQuantum,
}

impl Default for Config {
    fn default() -> Self {
        Self { early_muxer: true, key_exchange: KeyExchange::Classical, max_idle_buffers: 64 }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        problems.range("max_idle_buffers", self.max_idle_buffers.into(), 0..=65_536);
    }
}
