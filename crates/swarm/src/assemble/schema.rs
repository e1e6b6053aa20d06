//! The JSON Schema of a whole profile, for editors.

use super::{around, shadow};
use crate::{
    dial::{DialSettings, RetryConfig},
    profile::{Arity, IdentityConfig, SLOTS, Slot},
    registry::Registry,
    settings::Settings,
};
use schemars::{Schema, schema_for};
use serde_json::{Map, Value, json};

/// The schema of a profile for the plugins there are.
///
/// It is stricter than the program about nothing, and weaker about what needs two keys to judge.
#[must_use]
pub fn schema(registry: &Registry) -> Value {
    let mut defs = Map::new();
    let mut properties = Map::new();
    let listen = json!({
        "description": "Addresses to listen on.",
        "type": "array", "items": { "type": "string", "pattern": "^/" }, "uniqueItems": true,
    });
    properties.insert("listen".into(), listen);
    properties.insert("identity".into(), hoist("identity", schema_for!(IdentityConfig), &mut defs));
    properties.insert("stack".into(), stack(registry));
    properties.insert("swarm".into(), hoist("swarm", schema_for!(Settings), &mut defs));
    properties.insert("dial".into(), hoist("dial", schema_for!(DialSettings), &mut defs));
    properties.insert("retry".into(), hoist("retry", schema_for!(RetryConfig), &mut defs));
    for slot in &SLOTS {
        properties.insert(slot.layer.into(), definitions(slot, registry, &mut defs));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "skep profile",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "$defs": defs,
    })
}

fn stack(registry: &Registry) -> Value {
    let mut keys: Map<String, Value> = SLOTS
        .iter()
        .map(|slot| {
            let names = registry.names(slot.layer).join("|");
            let schema = match slot.arity {
                Arity::Around => around::schema(&names),
                Arity::Many => json!({
                    "description": format!("Plugins of layer {}, in order.", slot.layer),
                    "type": "array", "uniqueItems": true,
                    "items": { "type": "string", "pattern": format!("^({names})(/[A-Za-z0-9_-]+)?$") },
                }),
                Arity::AtMostOne => json!({
                    "description": format!("The plugin of layer {}, or \"none\".", slot.layer),
                    "type": "string", "pattern": format!("^(none|({names})(/[A-Za-z0-9_-]+)?)$"),
                }),
            };
            (slot.key.to_string(), schema)
        })
        .collect();
    let names = json!({
        "description": shadow::DOC, "type": "array", "uniqueItems": true, "items": { "type": "string" },
    });
    keys.insert(shadow::KEY.into(), names);
    json!({ "type": "object", "additionalProperties": false, "properties": keys })
}

/// The tables of a layer: one per plugin, and any number of further instances of it.
fn definitions(slot: &Slot, registry: &Registry, defs: &mut Map<String, Value>) -> Value {
    let (mut plugins, mut instances) = (Map::new(), Map::new());
    for info in registry.plugins().filter(|info| info.layer == slot.layer) {
        let id = format!("{}.{}", slot.layer, info.name);
        let mut schema = hoist(&id, (info.schema)(), defs);
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".into(), info.summary.into());
        }
        defs.insert(id.clone(), schema);
        let reference = json!({ "$ref": format!("#/$defs/{id}") });
        plugins.insert(info.name.into(), reference.clone());
        instances.insert(format!("^{}/[A-Za-z0-9_-]+$", info.name), reference);
    }
    json!({
        "type": "object", "additionalProperties": false, "properties": plugins, "patternProperties": instances,
    })
}

/// Moves the definitions of a schema to those of the whole, under names of their own.
fn hoist(id: &str, schema: Schema, defs: &mut Map<String, Value>) -> Value {
    let mut schema = schema.to_value();
    rename(id, &mut schema);
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        if let Some(Value::Object(own)) = object.remove("$defs") {
            defs.extend(own.into_iter().map(|(name, schema)| (format!("{id}.{name}"), schema)));
        }
    }
    schema
}

fn rename(id: &str, schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match (key.as_str(), value.as_str().and_then(|text| text.strip_prefix("#/$defs/"))) {
                    ("$ref", Some(name)) => *value = format!("#/$defs/{id}.{name}").into(),
                    _ => rename(id, value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename(id, value)),
        _ => {}
    }
}
