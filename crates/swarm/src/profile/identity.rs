//! The table `[identity]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{PluginConfig, Problems};
use std::path::PathBuf;

/// Keys of `[identity]`. To read and to write the key file is the program's business.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityConfig {
    /// File of the private key; a relative path starts at the working directory. Without it the key, and with
    /// it the peer id, is new at every start.
    pub key_file: Option<PathBuf>,
    /// Whether a key is made when there is none; with `key_file` it is written there. Default true.
    pub generate: bool,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        Self { key_file: None, generate: true }
    }
}

impl PluginConfig for IdentityConfig {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        match &self.key_file {
            Some(path) if path.as_os_str().is_empty() => {
                problems.add(
                    "key_file",
                    "\"\" is no path",
                    "give the path of the key file, or leave the key out",
                );
            }
            None if !self.generate => {
                let help = "set identity.key_file, or identity.generate = true for a new key at every start";
                problems.add("generate", "there is no key file and none may be made", help);
            }
            _ => {}
        }
    }
}
