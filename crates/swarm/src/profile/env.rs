//! Environment variables as layers of a profile.
//!
//! `SKEP_SWARM__MAX_CONNECTIONS=100` sets `swarm.max_connections`. Names split at double underscores only, so
//! that keys may have single ones; figment's own environment provider would split both. The instance names of
//! plugins (`tcp/lan`) cannot be written in a variable's name: use `--set` or a file for them.

use super::{path::KeyPath, set::to_value, sources::Layer};
use skep_api::{ConfigError, config::ValueOrigin};
use std::collections::BTreeMap;

/// What variables of this program begin with, in any case.
pub const PREFIX: &str = "SKEP_";

/// Variables that stand for flags and are no keys of a profile.
pub const RESERVED: [&str; 5] = ["SKEP_CONFIG", "SKEP_CONTROL", "SKEP_LOG", "SKEP_METRICS", "SKEP_PROFILE"];

/// One layer per variable, so that each value knows its variable; errors go to `errors`.
pub(super) fn layers(env: &[(String, String)], errors: &mut Vec<ConfigError>) -> Vec<Layer> {
    let mut seen = BTreeMap::new();
    let mut layers = Vec::new();
    // In order of name: a table set as a whole comes before single keys of it.
    for (name, value) in env.iter().map(|(name, value)| (name, value)).collect::<BTreeMap<_, _>>() {
        let Some(path) = key_of(name) else { continue };
        let origin = ValueOrigin::Env(name.clone());
        if path.iter().any(String::is_empty) {
            let help = "write SKEP_<TABLE>__<KEY>: two underscores between names, one within them";
            errors.push(error(path.join("."), origin, "a name in it is empty", help));
            continue;
        }
        let path = KeyPath::new(path);
        if let Some(first) = seen.insert(path.clone(), name) {
            let problem = format!("set by two variables, {first} and {name}");
            errors.push(error(path.to_string(), origin, &problem, "unset one of them"));
            continue;
        }
        layers.push(Layer::single(origin, &path, to_value(value)));
    }
    layers
}

/// The key that a variable names, if it is one of ours.
fn key_of(name: &str) -> Option<Vec<String>> {
    let upper = name.to_ascii_uppercase();
    let key = upper.strip_prefix(PREFIX)?;
    let ours = !RESERVED.contains(&upper.as_str());
    ours.then(|| key.to_ascii_lowercase().split("__").map(str::to_owned).collect())
}

fn error(key: String, origin: ValueOrigin, problem: &str, help: &str) -> ConfigError {
    ConfigError { key, origin, problem: problem.into(), help: help.into() }
}
