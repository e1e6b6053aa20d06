//! The suites, one module for each contract.
//!
//! A module has a `Fixture` (what the suite is run on), one function for each property, `properties()` with all
//! of them, and beside it the macro of the crate that makes tests of them.

pub mod gate;
pub mod insecure_upgrader;
pub mod muxer;
pub mod peerstore;
pub mod plugin;
pub mod protector;
pub mod pruner;
pub mod ranker;
pub mod resolver;
pub mod resources;
pub mod security;
pub mod selector;
pub mod service;
pub mod streams;
pub mod transport;

use serde_json::{Map, Value};
use skep_api::{BuildCx, ConfigErrors, ConfigSection, Layer, Plugin};
use std::sync::Arc;

/// Builds a plugin's object from a table in TOML, and says why where it cannot.
///
/// # Panics
/// If the table is no TOML or the plugin refuses it: the test names a wrong table then.
pub(crate) fn build<L: Layer>(plugin: &Plugin<L>, table: &str, cx: &BuildCx) -> Arc<L::Object> {
    match parse(table).map(|table| build_from(plugin, table, cx)) {
        Ok(Ok(object)) => object,
        Ok(Err(errors)) => panic!("{plugin:?} refuses its table: {errors}"),
        Err(e) => panic!("the table given for {plugin:?} is no TOML: {e}"),
    }
}

/// Builds a plugin's object from a decoded table.
pub(crate) fn build_from<L: Layer>(
    plugin: &Plugin<L>,
    table: Map<String, Value>,
    cx: &BuildCx,
) -> Result<Arc<L::Object>, ConfigErrors> {
    (plugin.build)(&ConfigSection::from_table(path_of(plugin), table), cx)
}

/// The path of a plugin's table, such as `transport.tcp`.
pub(crate) fn path_of<L: Layer>(plugin: &Plugin<L>) -> String {
    format!("{}.{}", L::NAME, plugin.name)
}

/// The keys of a table in TOML.
pub(crate) fn parse(table: &str) -> Result<Map<String, Value>, toml::de::Error> {
    toml::from_str(table)
}
