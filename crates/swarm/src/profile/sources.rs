//! What a profile is made of: layers, the later ones over the earlier.

use super::{builtin, env, file, path::KeyPath, set};
use figment::{
    Metadata, Provider, Source,
    value::{Dict, Map as FigmentMap},
};
use serde_json::{Map, Value};
use skep_api::{ConfigError, config::ValueOrigin};
use std::{collections::BTreeMap, path::PathBuf};

/// Where a profile comes from: built-in profile, then file, then environment, then flags. Later ones win, key by
/// key; a list is a value like any other and is replaced as a whole.
///
/// Nothing is read from the process by itself: a binary passes `std::env::vars()` and its arguments.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Sources {
    profile: Option<String>,
    files: Vec<FileSource>,
    env: Vec<(String, String)>,
    set: Vec<String>,
}

#[derive(Clone, Debug)]
enum FileSource {
    Path(PathBuf),
    Text { name: String, text: String },
}

impl Sources {
    /// The profile `default` alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts from this built-in profile instead of `default`.
    pub fn profile(mut self, name: impl Into<String>) -> Self {
        self.profile = Some(name.into());
        self
    }

    /// Lays a TOML file over it.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(FileSource::Path(path.into()));
        self
    }

    /// Lays TOML text over it; `name` is what errors call it.
    pub fn text(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.files.push(FileSource::Text { name: name.into(), text: text.into() });
        self
    }

    /// Lays the `SKEP_…` variables among these over it.
    pub fn env(mut self, vars: impl IntoIterator<Item = (String, String)>) -> Self {
        self.env.extend(vars);
        self
    }

    /// Lays one `KEY=VALUE` of a `--set` flag over it.
    pub fn set(mut self, assignment: impl Into<String>) -> Self {
        self.set.push(assignment.into());
        self
    }

    /// The name of the built-in profile.
    pub(super) fn profile_name(&self) -> &str {
        self.profile.as_deref().unwrap_or("default")
    }

    /// All layers in order, as far as they can be read; what cannot goes to `errors`.
    pub(super) fn layers(&self, errors: &mut Vec<ConfigError>) -> Vec<Layer> {
        let name = self.profile_name();
        let builtin =
            builtin::find(name).and_then(|text| file::parse(ValueOrigin::Builtin(name.to_string()), text));
        let files = self.files.iter().map(|source| match source {
            FileSource::Path(path) => file::read(path),
            FileSource::Text { name, text } => file::parse(ValueOrigin::File(name.clone()), text),
        });
        let mut layers = Vec::new();
        for layer in std::iter::once(builtin).chain(files) {
            layers.extend(layer.map_err(|e| errors.push(e)).ok());
        }
        layers.extend(env::layers(&self.env, errors));
        for text in &self.set {
            layers.extend(set::layer(text).map_err(|e| errors.push(e)).ok());
        }
        layers
    }
}

/// One source of values.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) origin: ValueOrigin,
    pub(super) table: Map<String, Value>,
    /// The lines of keys, for files.
    pub(super) lines: BTreeMap<KeyPath, usize>,
}

impl Layer {
    /// A layer of one value.
    pub(super) fn single(origin: ValueOrigin, path: &KeyPath, value: Value) -> Self {
        let mut table = value;
        for segment in path.segments().iter().rev() {
            table = Value::Object(Map::from_iter([(segment.clone(), table)]));
        }
        let table = if let Value::Object(table) = table { table } else { Map::new() };
        Self { origin, table, lines: BTreeMap::new() }
    }

    /// Where the value of a key of this layer is, with the line in a file.
    pub(super) fn origin_of(&self, path: &KeyPath) -> ValueOrigin {
        match (&self.origin, self.lines.get(path)) {
            (ValueOrigin::File(name), Some(line)) => ValueOrigin::File(format!("{name}:{line}")),
            (origin, _) => origin.clone(),
        }
    }

    /// The mark by which values that figment merged are led back to their layer.
    pub(super) fn mark(&self) -> Source {
        Source::Custom(self.origin.to_string())
    }
}

/// figment's own providers name a source but neither its line nor a single variable, so layers bring their own.
impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::from("profile", self.mark())
    }

    fn data(&self) -> Result<FigmentMap<figment::Profile, Dict>, figment::Error> {
        let dict = figment::value::Value::serialize(&self.table)?.into_dict().unwrap_or_default();
        Ok(figment::Profile::Default.collect(dict))
    }
}
