//! What a node would run with, key by key, and as a profile again.

use super::{Plan, Planned, around, references, shadow};
use crate::{
    dial::{DialSettings, RetryConfig},
    profile::{Arity, IdentityConfig, SLOTS, quoted},
    settings::Settings,
};
use schemars::{Schema, schema_for};
use serde_json::Value;
use skep_api::{
    ConfigSection, PluginConfig,
    config::ValueOrigin,
    reload::{Reload, SCHEMA_KEY},
};
use std::fmt::Write as _;

/// One key of a table that is in use.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// The table as it stands in a profile, such as `transport.tcp`; empty for the keys at the top.
    pub table: String,
    /// The key in it.
    pub key: String,
    /// The value in effect; `None` for a key that is not set and has no default.
    pub value: Option<Value>,
    /// Where the value came from.
    pub origin: ValueOrigin,
    /// The source file that reads the key.
    pub read_by: &'static str,
    /// The first paragraph of the key's documentation.
    pub doc: String,
    /// What it takes for a change to have effect in a running node.
    pub reload: Reload,
}

impl KeyInfo {
    /// The path of the key, such as `transport.tcp.nodelay`.
    #[must_use]
    pub fn path(&self) -> String {
        let dot = if self.table.is_empty() { "" } else { "." };
        format!("{}{dot}{}", self.table, quoted(&self.key))
    }
}

impl Plan {
    /// Every key of every table in use: those at the top, `[identity]`, `[stack]`, `[swarm]`, `[dial]`, `[retry]`, then the plugins'.
    #[must_use]
    pub fn explain(&self) -> Vec<KeyInfo> {
        let mut keys = vec![self.listen_key()];
        keys.extend(section_keys(
            &self.identity,
            &schema_for!(IdentityConfig),
            IdentityConfig::FILE,
            Reload::Restart,
        ));
        keys.extend(self.stack_keys());
        keys.extend(section_keys(&self.swarm, &schema_for!(Settings), Settings::FILE, Reload::Live));
        keys.extend(section_keys(&self.dial, &schema_for!(DialSettings), DialSettings::FILE, Reload::Live));
        keys.extend(section_keys(&self.retry, &schema_for!(RetryConfig), RetryConfig::FILE, Reload::Live));
        for Planned { info, section, .. } in &self.plugins {
            keys.extend(section_keys(section, &(info.schema)(), info.origin.config_file, info.reload));
        }
        keys
    }

    /// The configuration in effect as TOML, defaults written out. Loaded as a file over the same built-in profile,
    /// or over `default`, it gives the same node.
    ///
    /// A key without a value is left out, for TOML has no word for nothing.
    #[must_use]
    pub fn show(&self) -> String {
        let mut text = String::new();
        let mut table = String::new();
        for info in self.explain() {
            let Some(value) = info.value.as_ref().and_then(to_toml) else { continue };
            if info.table != table {
                let _ = write!(text, "\n[{}]\n", info.table);
                table = info.table;
            }
            let _ = writeln!(text, "{} = {value}", quoted(&info.key));
        }
        text
    }

    fn listen_key(&self) -> KeyInfo {
        KeyInfo {
            table: String::new(),
            key: "listen".into(),
            value: Some(self.listen.iter().map(ToString::to_string).collect()),
            origin: self.listen_origin.clone(),
            read_by: super::listen::FILE,
            doc: "Addresses to listen on.".into(),
            reload: Reload::Live,
        }
    }

    fn stack_keys(&self) -> impl Iterator<Item = KeyInfo> {
        let value = Value::from(self.shadow_gates.clone());
        let shadow = self.stack_key(shadow::KEY, value, shadow::DOC.into(), Reload::Live);
        let slots = SLOTS.iter().map(|slot| {
            let mut names = self.of(slot.layer).map(|planned| Value::from(planned.reference.as_str()));
            let (value, doc) = match slot.arity {
                Arity::Around => (around::value(&self.around), around::DOC.into()),
                Arity::Many => (names.collect(), format!("Plugins of layer {}, in order.", slot.layer)),
                Arity::AtMostOne => {
                    let name = names.next().unwrap_or_else(|| "none".into());
                    (name, format!("The plugin of layer {}, or \"none\".", slot.layer))
                }
            };
            self.stack_key(slot.key, value, doc, slot.reload)
        });
        slots.chain([shadow])
    }

    fn stack_key(&self, key: &str, value: Value, doc: String, reload: Reload) -> KeyInfo {
        KeyInfo {
            table: "stack".into(),
            key: key.into(),
            value: Some(value),
            origin: self.stack_origins.get(key).cloned().unwrap_or(ValueOrigin::Default),
            read_by: references::FILE,
            doc,
            reload,
        }
    }
}

/// The keys of a table, as its schema has them.
/// How a change of one has effect is said by its schema, or is as for the others of its table.
fn section_keys(
    section: &ConfigSection,
    schema: &Schema,
    read_by: &'static str,
    reload: Reload,
) -> Vec<KeyInfo> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let keys = properties.into_iter().flatten().map(|(key, schema)| {
        let default = || schema.get("default").filter(|value| !value.is_null());
        let doc = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        KeyInfo {
            table: section.path().into(),
            key: key.clone(),
            value: section.table().get(key).or_else(default).cloned(),
            origin: section.origin(key),
            read_by,
            doc: doc.lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" "),
            reload: said(schema).unwrap_or(reload),
        }
    });
    keys.collect()
}

/// What the schema of a key says of its reload.
fn said(schema: &Value) -> Option<Reload> {
    Reload::parse(schema.get(SCHEMA_KEY)?.as_str()?)
}

/// A value as TOML writes it in one line; `None` if it has no form there.
fn to_toml(value: &Value) -> Option<toml::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Object(table) => table
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), to_toml(value)?)))
            .collect::<toml::Table>()
            .into(),
        Value::Array(values) => values.iter().map(to_toml).collect::<Option<Vec<_>>>()?.into(),
        scalar => toml::Value::try_from(scalar).ok()?,
    })
}
