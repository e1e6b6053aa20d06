//! Profiles: what a node is assembled from, read from several sources with the origin of each value kept.
//!
//! Layers, later wins: built-in profile → file → `SKEP_<TABLE>__<KEY>` variables → `--set KEY=VALUE`. figment
//! merges them and remembers which layer a value came from. What it gets wrong is worked around here: it knows no
//! lines (`file.rs`), makes up a profile that is asked for and not defined (`builtin.rs`), splits the names of
//! variables at single underscores (`env.rs`), and lets a value of the wrong shape replace a whole table
//! (`shape.rs`).
//!
//! ```toml
//! listen = ["/ip4/0.0.0.0/tcp/4001"]
//!
//! [stack]                   # references, in order of preference
//! transports = ["tcp"]
//!
//! [transport.tcp]           # definitions: one table per plugin that needs options
//! nodelay = true
//! ```

mod builtin;
mod env;
mod file;
mod identity;
mod path;
mod set;
mod shape;
mod slots;
mod sources;

pub use builtin::BUILTIN;
pub use env::{PREFIX, RESERVED};
pub use identity::IdentityConfig;
pub use sources::Sources;

pub(crate) use path::{KeyPath, quoted};
pub(crate) use slots::{Arity, SLOTS, Slot};

use figment::{
    Figment, Provider,
    value::{Tag, Value as Tagged},
};
use serde_json::{Map, Value};
use skep_api::{ConfigError, ConfigErrors, ConfigSection, config::ValueOrigin};
use sources::Layer;

/// A profile that was read, not yet checked against the plugins there are.
#[derive(Clone, Debug)]
pub struct Profile {
    name: String,
    layers: Vec<Layer>,
    figment: Figment,
    merged: Tagged,
    /// Found while reading; reported together with what checking finds.
    findings: Vec<ConfigError>,
}

impl Profile {
    /// Reads and merges the sources.
    ///
    /// Only what makes a source unreadable is an error here; mistakes in keys and values are reported by
    /// [`Profile::check`] and [`Profile::assemble`], all at once.
    ///
    /// # Errors
    /// A built-in profile that does not exist, a file that cannot be read or is not TOML, a `--set` that is not
    /// `KEY=VALUE`, a variable with an empty name in it.
    pub fn load(sources: &Sources) -> Result<Self, ConfigErrors> {
        let mut errors = Vec::new();
        let mut layers = sources.layers(&mut errors);
        let findings: Vec<_> = layers.iter_mut().flat_map(shape::prune).collect();
        if !errors.is_empty() {
            errors.extend_from_slice(&findings);
        }
        ConfigErrors::check(errors)?;
        let figment = layers.iter().fold(Figment::new(), |figment, layer| figment.merge(layer));
        // Not `extract`, which loses the tags that lead from a value to its layer.
        let merged = figment.data().map_err(|e| ConfigError {
            key: "profile".into(),
            origin: ValueOrigin::Code,
            problem: format!("the sources cannot be merged: {e}"),
            help: "report it: each source by itself was read".into(),
        })?;
        let dict = merged.get(&figment::Profile::Default).cloned().unwrap_or_default();
        let merged = Tagged::Dict(Tag::Default, dict);
        Ok(Self { name: sources.profile_name().to_string(), layers, figment, merged, findings })
    }

    /// The built-in profile that it starts from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the node's key is kept: the table `[identity]`.
    ///
    /// # Errors
    /// All mistakes in that table.
    pub fn identity(&self) -> Result<IdentityConfig, ConfigErrors> {
        self.section(&KeyPath::new(["identity"])).decode()
    }

    pub(crate) fn findings(&self) -> &[ConfigError] {
        &self.findings
    }

    /// The merged value of a key.
    pub(crate) fn value(&self, path: &KeyPath) -> Option<Value> {
        self.tagged(path).and_then(|value| serde_json::to_value(value).ok())
    }

    /// Where the merged value of a key came from; of a table, the last layer that sets something in it.
    pub(crate) fn origin(&self, path: &KeyPath) -> ValueOrigin {
        let tag = self.tagged(path).map(Tagged::tag);
        let source =
            tag.and_then(|tag| self.figment.get_metadata(tag)).and_then(|found| found.source.as_ref());
        let layer = source.and_then(|source| self.layers.iter().rev().find(|l| l.mark() == *source));
        layer.map_or(ValueOrigin::Default, |layer| layer.origin_of(path))
    }

    /// The keys directly below a table, in order.
    pub(crate) fn keys(&self, path: &KeyPath) -> Vec<String> {
        match self.tagged(path) {
            Some(Tagged::Dict(_, table)) => table.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// A table with the origin of each of its keys; empty if it is not set.
    pub(crate) fn section(&self, path: &KeyPath) -> ConfigSection {
        let table = match self.value(path) {
            Some(Value::Object(table)) => table,
            _ => Map::new(),
        };
        let origins = table.keys().map(|key| (key.clone(), self.origin(&path.join(key)))).collect();
        ConfigSection::new(path.to_string(), table, origins, self.origin(path))
    }

    fn tagged(&self, path: &KeyPath) -> Option<&Tagged> {
        path.segments().iter().try_fold(&self.merged, |value, segment| match value {
            Tagged::Dict(_, table) => table.get(segment),
            _ => None,
        })
    }
}
