//! The keys of `[security.plaintext]`: none.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{PluginConfig, Problems};

/// The table of the plugin, which has no keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, _: &mut Problems) {}
}
