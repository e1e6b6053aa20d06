//! Which tables there are, and that each is a table.
//!
//! Layers are looked at one by one, before they are merged: a value in the place of a table would replace the
//! tables of the layers below it, and an unknown name has to be blamed on each layer that has it.

use super::{path::KeyPath, slots::SLOTS, sources::Layer};
use serde_json::Value;
use skep_api::{
    ConfigError,
    config::{ValueOrigin, nearest},
};

/// The keys at the top beside the layers' words.
const TABLES: [&str; 6] = ["listen", "identity", "stack", "swarm", "dial", "retry"];

/// Takes what has no place in a profile out of a layer and says why.
pub(super) fn prune(layer: &mut Layer) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut table = std::mem::take(&mut layer.table);
    table.retain(|key, value| {
        let path = KeyPath::new([key.as_str()]);
        let found = match (kind(key), value) {
            (Kind::Unknown, _) => unknown(key, &layer.origin),
            (Kind::Value, _) | (Kind::Table, Value::Object(_)) => return true,
            (Kind::Table, value) => not_a_table(key, value),
            (Kind::Definitions, Value::Object(tables)) => {
                errors.extend(prune_definitions(layer, &path, tables));
                return true;
            }
            (Kind::Definitions, value) => not_definitions(key, value),
        };
        errors.push(error(layer, &path, found));
        false
    });
    layer.table = table;
    errors
}

enum Kind {
    Value,
    Table,
    Definitions,
    Unknown,
}

fn kind(key: &str) -> Kind {
    match key {
        "listen" => Kind::Value,
        _ if TABLES.contains(&key) => Kind::Table,
        _ if SLOTS.iter().any(|slot| slot.layer == key) => Kind::Definitions,
        _ => Kind::Unknown,
    }
}

/// `[transport]` holds tables only.
fn prune_definitions(
    layer: &Layer,
    path: &KeyPath,
    tables: &mut serde_json::Map<String, Value>,
) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    tables.retain(|name, value| {
        let good = value.is_object();
        if !good {
            let path = path.join(name);
            errors.push(error(layer, &path, not_a_table(&path.to_string(), value)));
        }
        good
    });
    errors
}

/// Problem and help.
type Found = (String, String);

fn not_a_table(path: &str, value: &Value) -> Found {
    (format!("expected a table, found {value}"), format!("write [{path}] with keys below it"))
}

fn not_definitions(layer: &str, value: &Value) -> Found {
    let key = SLOTS.iter().find(|slot| slot.layer == layer).map_or("", |slot| slot.key);
    let help = format!("options go to [{layer}.<plugin>], names of plugins to `{key}` in [stack]");
    (format!("expected tables of plugins, found {value}"), help)
}

fn unknown(key: &str, origin: &ValueOrigin) -> Found {
    let names = || TABLES.into_iter().chain(SLOTS.iter().map(|slot| slot.layer));
    let mut help = match SLOTS.iter().find(|slot| slot.key == key) {
        Some(_) => format!("did you mean `stack.{key}`? "),
        None => nearest(key, names()).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default(),
    };
    help += &format!("known here: {}", names().collect::<Vec<_>>().join(", "));
    if matches!(origin, ValueOrigin::Env(_)) {
        help += "; a variable is SKEP_<TABLE>__<KEY>, with two underscores between names";
    }
    ("unknown table or key".into(), help)
}

fn error(layer: &Layer, path: &KeyPath, (problem, help): Found) -> ConfigError {
    ConfigError { key: path.to_string(), origin: layer.origin_of(path), problem, help }
}
