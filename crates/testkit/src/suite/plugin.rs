//! What any plugin owes the node, whatever its layer: a name, documentation, and a strict configuration.

use super::{build_from, parse, path_of};
use crate::{
    cx::build_cx,
    harness::{self, During, Outcome, broken, ensure, suite},
};
use serde_json::{Map, Value, json};
use skep_api::{ConfigErrors, Layer, Plugin};
use std::{collections::BTreeSet, sync::Arc};

suite! { $
    /// Tests of a descriptor of any layer: `plugin_suite!(my_plugin::PLUGIN);`
    plugin_suite in plugin, fixture: Fixture<L>, for L: Layer;
    plugin_name_is_lower_snake_case,
    plugin_summary_is_one_line,
    plugin_example_builds,
    plugin_defaults_build,
    plugin_refuses_unknown_keys_by_path,
    plugin_refuses_wrong_types_by_path,
    plugin_describes_every_key,
    plugin_builds_independent_objects,
    plugin_build_starts_no_task,
}

/// The descriptor under test.
#[derive(Debug)]
pub struct Fixture<L: Layer> {
    plugin: Plugin<L>,
}

impl<L: Layer> Fixture<L> {
    /// Tests this descriptor.
    #[must_use]
    pub fn of(plugin: Plugin<L>) -> Self {
        Self { plugin }
    }

    fn keys(&self) -> Map<String, Value> {
        let schema = (self.plugin.schema)();
        schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
    }

    /// The keys without which nothing can be built, as the schema has them.
    fn required(&self) -> Vec<String> {
        let schema = (self.plugin.schema)();
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        required.filter_map(Value::as_str).map(str::to_string).collect()
    }

    fn build(&self, table: Map<String, Value>) -> Result<Arc<L::Object>, ConfigErrors> {
        build_from(&self.plugin, table, &build_cx())
    }

    /// Builds from the defaults, or from the example where another property says that the defaults do not build.
    fn build_any(&self) -> Result<Arc<L::Object>, ConfigErrors> {
        self.build(Map::new())
            .or_else(|e| parse(self.plugin.example).map_or(Err(e), |table| self.build(table)))
    }

    /// Builds from a table with one wrong key, and checks that it is refused by the path of that key.
    fn refuses(&self, key: &str, value: Value) -> Outcome {
        let path = format!("{}.{key}", path_of(&self.plugin));
        match self.build(Map::from_iter([(key.to_string(), value.clone())])) {
            Ok(_) => broken(format!("`{key} = {value}` was taken")),
            Err(errors) if errors.iter().any(|e| is_at(&e.key, &path)) => Ok(()),
            Err(errors) => {
                broken(format!("the error about `{key} = {value}` does not name {path}: {errors}"))
            }
        }
    }
}

impl<L: Layer> Clone for Fixture<L> {
    fn clone(&self) -> Self {
        Self { plugin: self.plugin }
    }
}

impl<L: Layer> harness::Fixture for Fixture<L> {}

/// The name is `lower_snake_case`, as the profile writes it.
pub async fn plugin_name_is_lower_snake_case<L: Layer>(fixture: Fixture<L>) -> Outcome {
    let name = fixture.plugin.name;
    let chars = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let edges = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('_');
    ensure!(edges && name.chars().all(chars) && !name.contains("__"), "the name is {name:?}");
    Ok(())
}

/// The summary is one line, and there is one.
pub async fn plugin_summary_is_one_line<L: Layer>(fixture: Fixture<L>) -> Outcome {
    let summary = fixture.plugin.summary;
    ensure!(!summary.trim().is_empty() && summary.lines().count() == 1, "the summary is {summary:?}");
    Ok(())
}

/// The example is TOML that the plugin builds from.
pub async fn plugin_example_builds<L: Layer>(fixture: Fixture<L>) -> Outcome {
    let table = parse(fixture.plugin.example).during("the example is no TOML")?;
    fixture.build(table).during("the example is refused").map(drop)
}

/// An empty table builds: every key has a default. Where the schema says that a key is required, such as the path
/// of a file that no two nodes may share, the table is refused by the path of that key, and for nothing else.
pub async fn plugin_defaults_build<L: Layer>(fixture: Fixture<L>) -> Outcome {
    let required = fixture.required();
    match fixture.build(Map::new()) {
        Ok(_) => {
            ensure!(required.is_empty(), "an empty table builds, and the schema requires {required:?}");
            Ok(())
        }
        Err(errors) => {
            let paths: BTreeSet<_> =
                required.iter().map(|key| format!("{}.{key}", path_of(&fixture.plugin))).collect();
            let refused: BTreeSet<_> = errors.iter().map(|e| e.key.clone()).collect();
            ensure!(refused == paths, "the defaults are refused: {errors}");
            Ok(())
        }
    }
}

/// A key that the plugin does not have is refused, and so is each of its own keys misspelt.
pub async fn plugin_refuses_unknown_keys_by_path<L: Layer>(fixture: Fixture<L>) -> Outcome {
    fixture.refuses("no_such_key", json!(1))?;
    let keys = fixture.keys();
    for key in keys.keys() {
        let misspelt = format!("{key}x");
        if !keys.contains_key(&misspelt) {
            fixture.refuses(&misspelt, json!(1))?;
        }
    }
    Ok(())
}

/// A value of a type that a key's schema does not have is refused.
pub async fn plugin_refuses_wrong_types_by_path<L: Layer>(fixture: Fixture<L>) -> Outcome {
    let root = (fixture.plugin.schema)().to_value();
    for (key, schema) in fixture.keys() {
        if let Some(wrong) = value_of_another_type(&root, &schema) {
            fixture.refuses(&key, wrong)?;
        }
    }
    Ok(())
}

/// Every key is described, for the operator who reads `skep plugins`.
pub async fn plugin_describes_every_key<L: Layer>(fixture: Fixture<L>) -> Outcome {
    for (key, schema) in fixture.keys() {
        let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        ensure!(!text.trim().is_empty(), "`{key}` has no description: write a doc comment on its field");
    }
    Ok(())
}

/// Two builds give two objects: two nodes with different stacks live in one process.
pub async fn plugin_builds_independent_objects<L: Layer>(fixture: Fixture<L>) -> Outcome {
    let first = fixture.build_any().during("the first build")?;
    let second = fixture.build_any().during("the second build")?;
    let (first, second) = (Arc::as_ptr(&first).cast::<()>(), Arc::as_ptr(&second).cast::<()>());
    ensure!(first != second, "two builds gave the same object");
    Ok(())
}

/// `build` starts no task; work begins when the node starts.
pub async fn plugin_build_starts_no_task<L: Layer>(fixture: Fixture<L>) -> Outcome {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let object = fixture.build_any().during("the build")?;
    let after = tasks();
    drop(object);
    ensure!(after == before, "{} tasks were started by `build`", after.saturating_sub(before));
    Ok(())
}

/// Whether the key of an error is this path or within it.
fn is_at(key: &str, path: &str) -> bool {
    key.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// A value that no type of this schema takes, if there is one.
fn value_of_another_type(root: &Value, schema: &Value) -> Option<Value> {
    let mut types = Vec::new();
    collect_types(root, schema, 8, &mut types);
    let candidates = [
        ("object", json!({ "no_such_key": {} })),
        ("array", json!([[[]]])),
        ("boolean", json!(true)),
        ("number", json!(-1.5)),
        ("string", json!("\u{1}")),
    ];
    // Without a word on types nothing can be said of what is wrong.
    let knows = !types.is_empty();
    candidates.into_iter().find(|(name, _)| knows && !types.iter().any(|t| t == name)).map(|(_, value)| value)
}

fn collect_types(root: &Value, schema: &Value, depth: u8, types: &mut Vec<String>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match schema.get("type") {
        Some(Value::String(name)) => types.push(name.replace("integer", "number")),
        Some(Value::Array(names)) => {
            types
                .extend(names.iter().filter_map(Value::as_str).map(|name| name.replace("integer", "number")));
        }
        _ => {}
    }
    let constants = schema
        .get("const")
        .into_iter()
        .chain(schema.get("enum").and_then(Value::as_array).into_iter().flatten());
    types.extend(constants.map(|value| type_of(value).to_string()));
    if let Some(target) = schema.get("$ref").and_then(Value::as_str)
        && let Some(found) = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer))
    {
        collect_types(root, found, depth, types);
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        for part in schema.get(word).and_then(Value::as_array).into_iter().flatten() {
            collect_types(root, part, depth, types);
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
