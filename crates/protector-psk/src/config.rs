//! The table `[protector.psk]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{PluginConfig, Problems};
use std::path::PathBuf;

/// The most keys that are accepted beside the one of `key_file`.
const MAX_ACCEPTED: usize = 16;

/// What to do about a path that is none.
const A_PATH: &str = "the path of a key file, such as \"swarm.key\"";

/// The keys of `[protector.psk]`. The files are read when the node is assembled, and not looked at again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["key_file"]))]
pub struct Config {
    /// The `swarm.key` of the network: what is dialled with, and accepted. No default; a relative path starts at the
    /// working directory.
    pub key_file: PathBuf,
    /// Further key files whose members are accepted and not dialled, up to 16. Default none; while a network changes
    /// its key, the old and the new one are accepted. Each costs a try at each inbound connection that is not of
    /// `key_file`.
    pub accept: Vec<PathBuf>,
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        if self.key_file.as_os_str().is_empty() {
            problems.add("key_file", "there is no key file", A_PATH);
        }
        for (i, path) in self.accept.iter().enumerate() {
            if path.as_os_str().is_empty() {
                problems.add(&format!("accept[{i}]"), "\"\" is no path", A_PATH);
            }
        }
        if self.accept.len() > MAX_ACCEPTED {
            let problem = format!("{} key files are too many", self.accept.len());
            problems.add("accept", problem, format!("allowed: up to {MAX_ACCEPTED}"));
        }
    }
}
