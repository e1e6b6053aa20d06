//! What policies have done: verdicts of gates, and what services tell of themselves.

use crate::cli::text::{heading, table};
use serde_json::Value;
use skep::control::status::Gate;
use skep_api::escape::remote;
use std::collections::BTreeMap;

/// One row for each gate.
pub(super) fn gates(gates: &[Gate]) -> String {
    let rows = gates.iter().map(|gate| {
        let denied = gate.checkpoints.iter().filter(|(_, tally)| tally.denied > 0);
        let denied: Vec<_> =
            denied.map(|(point, tally)| format!("{} {}", remote(point), tally.denied)).collect();
        [
            remote(&gate.name),
            if gate.shadow { "shadow" } else { "enforced" }.into(),
            gate.checkpoints.values().map(|tally| tally.allowed).sum::<u64>().to_string(),
            if denied.is_empty() { "0".into() } else { denied.join(", ") },
        ]
    });
    table(["gate", "denials are", "allowed", "denied"], rows)
}

/// Each service with what it tells, one line each; a list by its length.
pub(super) fn services(services: &BTreeMap<String, Value>) -> String {
    let mut lines = Vec::new();
    for (name, report) in services {
        lines.push(format!("  {}", remote(name)));
        let Some(report) = report.as_object() else { continue };
        let width = report.keys().map(|key| key.chars().count()).max().unwrap_or_default();
        let shown = report.iter().map(|(key, value)| format!("    {:width$}  {}", remote(key), brief(value)));
        lines.extend(shown);
    }
    format!("{}\n{}", heading("services"), lines.join("\n"))
}

fn brief(value: &Value) -> String {
    match value {
        Value::Array(list) if list.is_empty() => "none".into(),
        Value::Array(list) => format!("{} (see --json)", list.len()),
        Value::Object(map) => {
            let parts = map.iter().map(|(key, value)| format!("{} {}", remote(key), brief(value)));
            parts.collect::<Vec<_>>().join(", ")
        }
        Value::String(text) => remote(text),
        Value::Null => "–".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn verdicts_are_summed_and_denials_are_told_by_checkpoint() {
        let shown: Vec<Gate> = serde_json::from_value(json!([
            { "name": "ip_filter", "shadow": false, "checkpoints": {
                "link": { "allowed": 7, "denied": 3 }, "peer": { "allowed": 6, "denied": 1 } } },
            { "name": "ip_filter/new", "shadow": true, "checkpoints": { "link": { "allowed": 7, "denied": 0 } } },
        ]))
        .unwrap();
        let expected = "  gate           denials are  allowed  denied\n  \
                          ip_filter      enforced     13       link 3, peer 1\n  \
                          ip_filter/new  shadow       7        0";
        assert_eq!(gates(&shown), expected);
    }

    #[test]
    fn a_service_tells_what_it_likes() {
        let reports = BTreeMap::from([
            ("quiet".to_string(), Value::Null),
            (
                "auto".to_string(),
                json!({ "target": 32, "cooldowns": [], "dials": [1, 2], "of": { "a": 1, "b": null } }),
            ),
        ]);
        let expected = "services\n  auto\n    target     32\n    cooldowns  none\n    dials      2 (see --json)\n    \
                        of         a 1, b –\n  quiet";
        assert_eq!(services(&reports), expected);
    }
}
