//! What can be wrong with the plugins of a program.

use super::PluginInfo;
use skep_api::Origin;
use std::fmt;

/// The plugins are not those that the program meant to link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RegistryError {
    /// All that is wrong.
    pub problems: Vec<RegistryProblem>,
}

/// One thing that is wrong with the plugins of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegistryProblem {
    /// No plugin at all.
    Empty,
    /// A plugin that the program names did not register.
    Missing {
        /// The layer's word.
        layer: &'static str,
        /// The plugin's word.
        name: &'static str,
        /// Where its descriptor is.
        origin: Origin,
    },
    /// Two plugins of a layer have one name.
    Duplicate {
        /// The layer's word.
        layer: &'static str,
        /// The word that both claim.
        name: &'static str,
        /// The one.
        first: Origin,
        /// The other.
        second: Origin,
    },
}

/// Compares plugins, in order, with those that are expected.
pub(super) fn problems(found: &[PluginInfo], expected: &[PluginInfo]) -> Vec<RegistryProblem> {
    if found.is_empty() {
        return vec![RegistryProblem::Empty];
    }
    let missing = expected.iter().filter(|wanted| !found.iter().any(|info| same(info, wanted)));
    let missing =
        missing.map(|i| RegistryProblem::Missing { layer: i.layer, name: i.name, origin: i.origin });
    let pairs = found.iter().zip(found.iter().skip(1));
    let duplicate = pairs.filter(|(a, b)| a.layer == b.layer && a.name == b.name);
    let duplicate = duplicate.map(|(a, b)| RegistryProblem::Duplicate {
        layer: a.layer,
        name: a.name,
        first: a.origin,
        second: b.origin,
    });
    missing.chain(duplicate).collect()
}

fn same(a: &PluginInfo, b: &PluginInfo) -> bool {
    a.layer == b.layer && a.name == b.name && a.origin.krate == b.origin.krate
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the plugins of this program are not as it expects:")?;
        for (i, problem) in self.problems.iter().enumerate() {
            write!(f, "\n  {}. {problem}", i + 1)?;
        }
        Ok(())
    }
}

impl fmt::Display for RegistryProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "no plugin registered at all\n    \
                 name the plugins in `plugins!` of the binary; on a target that `inventory` does not support, \
                 add them to `Registry::builder()`",
            ),
            Self::Missing { layer, name, origin } => write!(
                f,
                "{layer} `{name}` of {} {} is named by the program but did not register\n    \
                 its constructor was not linked, or another version of skep-api collected it: see \
                 `cargo tree -i skep-api`, or add its PLUGIN to `Registry::builder()`",
                origin.krate, origin.version
            ),
            Self::Duplicate { layer, name, first, second } => write!(
                f,
                "{layer} `{name}` is registered twice: by {} and by {}\n    \
                 link one of them only, or rename one",
                place(first),
                place(second)
            ),
        }
    }
}

fn place(origin: &Origin) -> String {
    format!("{} {} ({}:{})", origin.krate, origin.version, origin.file, origin.line)
}
