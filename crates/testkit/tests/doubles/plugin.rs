//! Descriptors: a right one, and others that differ from it in one field.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use skep_api::{
    BuildCx, ConfigErrors, ConfigSection, Plugin, PluginConfig,
    gate::{Checkpoint, Gate, GateCx, Verdict},
    plugin::layer,
    schemars::{self, JsonSchema},
};
use std::sync::{Arc, OnceLock};

/// A table with keys of several types.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// How many.
    count: u32,
    /// Which ones.
    names: Vec<String>,
    /// How, if at all.
    mode: Option<Mode>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Fast,
    Safe,
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();
}

#[derive(Debug)]
pub(crate) struct Open {
    _config: Config,
}

impl Gate for Open {
    fn check(&self, _: &Checkpoint<'_>, _cx: &GateCx<'_>) -> Verdict {
        Verdict::Allow
    }
}

mod registered {
    use super::{Config, Open};
    use std::sync::Arc;

    skep_api::register_gate! {
        name: "open",
        summary: "Lets everybody in",
        example: "count = 3\nnames = [\"a\"]\nmode = \"fast\"",
        config: Config,
        build: |config, _cx| Ok(Arc::new(Open { _config: config })),
    }
}
pub(crate) use registered::PLUGIN;

type Built = Result<Arc<dyn Gate>, ConfigErrors>;

pub(crate) fn refuses_defaults(section: &ConfigSection, cx: &BuildCx) -> Built {
    if section.table().is_empty() {
        return Err(section.error("count", "is missing", "").into());
    }
    (PLUGIN.build)(section, cx)
}

pub(crate) fn ignores_unknown_keys(section: &ConfigSection, cx: &BuildCx) -> Built {
    let known = ["count", "names", "mode"];
    let table = section.table().iter().filter(|(key, _)| known.contains(&key.as_str()));
    let table: Map<String, Value> = table.map(|(key, value)| (key.clone(), value.clone())).collect();
    (PLUGIN.build)(&ConfigSection::from_table(section.path(), table), cx)
}

/// The error about a wrong type says the table and not the key.
pub(crate) fn blurs_wrong_types(section: &ConfigSection, cx: &BuildCx) -> Built {
    (PLUGIN.build)(section, cx).map_err(|errors| match errors.to_string().contains("unknown key") {
        true => errors,
        false => section.error("", "is wrong somewhere", "").into(),
    })
}

pub(crate) fn shares_one_object(section: &ConfigSection, cx: &BuildCx) -> Built {
    static SHARED: OnceLock<Arc<dyn Gate>> = OnceLock::new();
    let built = (PLUGIN.build)(section, cx)?;
    Ok(Arc::clone(SHARED.get_or_init(|| built)))
}

pub(crate) fn starts_a_task(section: &ConfigSection, cx: &BuildCx) -> Built {
    cx.tasks.spawn("early", std::future::pending());
    (PLUGIN.build)(section, cx)
}

pub(crate) fn undescribed() -> schemars::Schema {
    let mut schema = (PLUGIN.schema)();
    schema.insert("properties".into(), json!({ "count": { "type": "integer" } }));
    schema
}

/// Requires a key that has a default.
pub(crate) fn requires_too_much() -> schemars::Schema {
    let mut schema = (PLUGIN.schema)();
    schema.insert("required".into(), json!(["count"]));
    schema
}

/// The right descriptor with one thing changed.
pub(crate) fn changed(change: impl FnOnce(&mut Plugin<layer::Gate>)) -> Plugin<layer::Gate> {
    let mut plugin = PLUGIN;
    change(&mut plugin);
    plugin
}
