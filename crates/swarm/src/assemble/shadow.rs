//! `[stack] shadow_gates`: gates whose denials are counted and have no effect.

use super::references::{Plan, stack_key};
use crate::profile::Profile;
use serde_json::Value;
use skep_api::{ConfigError, Layer, config::nearest, plugin::layer};

/// The key in `[stack]`.
pub(super) const KEY: &str = "shadow_gates";
/// What it is for.
pub(super) const DOC: &str =
    "Gates of `gates` that are asked and counted only: their denials have no effect.";

/// Reads the names; each has to be one of `gates`.
pub(super) fn resolve(profile: &Profile, plan: &Plan, errors: &mut Vec<ConfigError>) -> Vec<String> {
    let path = stack_key(KEY);
    let mut refuse = |index: &str, problem: String, help: String| {
        let (key, origin) = (format!("{path}{index}"), profile.origin(&path));
        errors.push(ConfigError { key, origin, problem, help });
    };
    let values = match profile.value(&path) {
        None => return Vec::new(),
        Some(Value::Array(values)) => values,
        Some(value) => {
            let help = format!("write {KEY} = [\"name\", …], with names of `gates`; [] for none");
            refuse("", format!("expected a list of names, found {value}"), help);
            return Vec::new();
        }
    };
    let gates: Vec<_> = plan.of(layer::Gate::NAME).map(|planned| planned.reference.as_str()).collect();
    let mut names = Vec::new();
    for (at, value) in values.iter().enumerate() {
        match value.as_str() {
            Some(name) if gates.contains(&name) => names.push(name.to_string()),
            // The gate itself was not understood, which is said already.
            Some(_) if plan.broken.contains(layer::Gate::NAME) => {}
            _ => {
                let guess = value.as_str().and_then(|name| nearest(name, gates.iter().copied()));
                let guess = guess.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
                let help = format!("{guess}gates in [stack]: {}", gates.join(", "));
                refuse(&format!("[{at}]"), format!("{value} is none of the gates"), help);
            }
        }
    }
    names
}
