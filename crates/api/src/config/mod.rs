//! How a plugin reads its configuration table.
//!
//! The order is always the same: defaults, strict decode over them, pure validation, build. Decoding goes key
//! by key, so that every wrong key is reported and not only the first, each with the place that its value came
//! from.

mod duration;
mod error;
mod section;

pub use duration::{DurationOrNever, DurationText};
pub use error::{ConfigError, ConfigErrors, Problem, Problems};
pub use section::{ConfigSection, ValueOrigin, nearest};

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

/// The typed form of a plugin's table.
///
/// Derive `Serialize`, `Deserialize` and `JsonSchema` with `#[serde(default, deny_unknown_fields)]`, write the
/// unit, the default and the cost of each key in its doc comment, and do not use `flatten` (serde cannot deny
/// unknown keys beside it).
pub trait PluginConfig: Default + Serialize + DeserializeOwned + JsonSchema {
    /// The source file of the type: `file!()`.
    const FILE: &'static str;

    /// Checks what types cannot say. Pure: no file, no socket, no clock.
    fn validate(&self, _problems: &mut Problems) {}
}

/// The table of a plugin that has no keys.
#[derive(Clone, Debug, Default, Serialize, serde::Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoConfig {}

impl PluginConfig for NoConfig {
    const FILE: &'static str = file!();
}
