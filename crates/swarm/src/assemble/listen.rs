//! `listen`: the addresses of a node.

use super::{Plan, build::Built};
use crate::profile::{KeyPath, Profile};
use serde_json::Value;
use skep_api::{ConfigError, Multiaddr, config::ValueOrigin};

/// The file that reads the key.
pub(super) const FILE: &str = file!();

const HELP: &str = "an address is such as \"/ip4/0.0.0.0/tcp/4001\" or \"/ip6/::/tcp/4001\"";

/// The addresses that can be read; mistakes go to `errors`. Nothing set means nothing to listen on.
pub(super) fn parse(profile: &Profile, errors: &mut Vec<ConfigError>) -> Vec<Multiaddr> {
    let path = KeyPath::new(["listen"]);
    let mut error = |index: Option<usize>, problem: String, help: &str| {
        let index = index.map(|i| format!("[{i}]")).unwrap_or_default();
        let (key, origin) = (format!("listen{index}"), profile.origin(&path));
        errors.push(ConfigError { key, origin, problem, help: help.into() });
    };
    let values = match profile.value(&path) {
        None => return Vec::new(),
        Some(Value::Array(values)) => values,
        Some(value) => {
            let help = "write listen = [\"/ip4/0.0.0.0/tcp/4001\"]; [] to dial only";
            error(None, format!("expected a list of addresses, found {value}"), help);
            return Vec::new();
        }
    };
    let mut addrs = Vec::new();
    for (i, value) in values.iter().enumerate() {
        match value.as_str().map(str::parse::<Multiaddr>) {
            None => error(Some(i), format!("expected an address, found {value}"), HELP),
            Some(Err(e)) => error(Some(i), format!("{value} is not an address: {e}"), HELP),
            Some(Ok(addr)) if addrs.contains(&addr) => {
                error(Some(i), format!("{value} is in the list twice"), "leave one of them out");
            }
            Some(Ok(addr)) => addrs.push(addr),
        }
    }
    addrs
}

/// An operator who leaves out a transport of a built-in profile need not know which of its addresses go with it. What is
/// left out comes back in words; addresses that somebody wrote are not touched.
pub(super) fn leave_out_unserved(plan: &mut Plan, built: &Built) -> Vec<String> {
    let transports = &built.stack.transports;
    let builtin = matches!(plan.listen_origin, ValueOrigin::Builtin(_));
    if !builtin || transports.is_empty() || built.broken.contains("transport") {
        return Vec::new();
    }
    let (served, unserved): (Vec<_>, Vec<_>) = std::mem::take(&mut plan.listen)
        .into_iter()
        .partition(|addr| transports.iter().any(|transport| transport.object.supports(addr)));
    plan.listen = served;
    let note =
        |addr| format!("{addr} of the profile {} is left out: no transport here serves it", plan.profile);
    unserved.iter().map(note).collect()
}
