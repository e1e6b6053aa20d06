//! The plugins of a program: collected, sorted, and compared with what the program meant to link.
//!
//! ```ignore
//! // src/plugins.rs of a binary
//! skep_swarm::plugins! {
//!     skep_transport_tcp::PLUGIN,
//!     skep_policies::gate::ip_filter::PLUGIN,
//! }
//! // at start-up
//! let registry = Registry::from_inventory(&plugins::expected())?;
//! ```
//!
//! What was linked but did not register is an error, never a node that quietly lacks TCP. The same descriptors
//! can be given to [`Registry::builder`], so nothing depends on what the linker does.

mod error;

pub use error::{RegistryError, RegistryProblem};
pub use skep_api::PluginInfo;

use skep_api::{
    Layer, Plugin,
    inventory::{self, Collect},
    plugin::layer,
};
use std::{any::Any, fmt, sync::Arc};

/// Names the plugins that a program links.
///
/// Defines `pub fn expected() -> Vec<PluginInfo>`, for [`Registry::from_inventory`]. To name the constants is
/// also what makes the linker take the crates. An entry may have `#[cfg(…)]` before it.
#[macro_export]
macro_rules! plugins {
    ($($(#[$attribute:meta])* $plugin:path),* $(,)?) => {
        /// The plugins that this program means to link.
        #[must_use]
        pub fn expected() -> ::std::vec::Vec<$crate::registry::PluginInfo> {
            #[allow(unused_mut, clippy::vec_init_then_push)]
            let mut expected = ::std::vec::Vec::new();
            $($(#[$attribute])* expected.push($plugin.info());)*
            expected
        }
    };
}

/// The plugins of a program, sorted by layer and name. Never empty, and no two of a layer share a name.
#[derive(Clone)]
pub struct Registry(Vec<Entry>);

#[derive(Clone)]
struct Entry {
    info: PluginInfo,
    /// A `Plugin<L>`, of the layer that `info` names.
    plugin: Arc<dyn Any + Send + Sync>,
}

impl Registry {
    /// Collects what the linked crates submitted and compares it with what the program `expected` to link.
    ///
    /// More than expected is fine.
    ///
    /// # Errors
    /// [`RegistryError`] with every plugin that is missing or that two crates claim.
    pub fn from_inventory(expected: &[PluginInfo]) -> Result<Self, RegistryError> {
        let mut builder = Self::builder();
        collect_all(&mut builder);
        builder.expect(expected).build()
    }

    /// A registry of descriptors given by hand.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder { entries: Vec::new(), expected: Vec::new() }
    }

    /// The plugin of a layer with this name.
    #[must_use]
    pub fn find<L: Layer>(&self, name: &str) -> Option<&Plugin<L>> {
        let found = self.0.iter().find(|entry| entry.info.layer == L::NAME && entry.info.name == name)?;
        found.plugin.downcast_ref()
    }

    /// What is known of the plugin of this layer and name.
    #[must_use]
    pub fn info(&self, layer: &str, name: &str) -> Option<&PluginInfo> {
        self.plugins().find(|info| info.layer == layer && info.name == name)
    }

    /// All plugins, by layer and name.
    pub fn plugins(&self) -> impl Iterator<Item = &PluginInfo> {
        self.0.iter().map(|entry| &entry.info)
    }

    /// The names of a layer's plugins, in order.
    #[must_use]
    pub fn names(&self, layer: &str) -> Vec<&'static str> {
        self.plugins().filter(|info| info.layer == layer).map(|info| info.name).collect()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.plugins().map(|info| format!("{}.{}", info.layer, info.name))).finish()
    }
}

/// Takes descriptors; the order does not matter.
#[derive(Clone)]
#[must_use]
pub struct RegistryBuilder {
    entries: Vec<Entry>,
    expected: Vec<PluginInfo>,
}

impl RegistryBuilder {
    /// Adds a plugin.
    #[expect(clippy::should_implement_trait, reason = "nobody adds registries with `+`")]
    pub fn add<L: Layer>(mut self, plugin: Plugin<L>) -> Self {
        self.push(plugin);
        self
    }

    /// Names plugins that have to be there.
    pub fn expect(mut self, expected: &[PluginInfo]) -> Self {
        self.expected.extend_from_slice(expected);
        self
    }

    /// The registry.
    ///
    /// # Errors
    /// [`RegistryError`] with every plugin that is missing or that was given twice, or if there is none at all.
    pub fn build(mut self) -> Result<Registry, RegistryError> {
        // The origin takes part so that errors come out the same, too, whatever the order of registration.
        self.entries.sort_by_key(|Entry { info, .. }| {
            (info.layer, info.name, info.origin.krate, info.origin.version, info.origin.line)
        });
        let found: Vec<PluginInfo> = self.entries.iter().map(|entry| entry.info).collect();
        let problems = error::problems(&found, &self.expected);
        if problems.is_empty() { Ok(Registry(self.entries)) } else { Err(RegistryError { problems }) }
    }

    fn push<L: Layer>(&mut self, plugin: Plugin<L>) {
        self.entries.push(Entry { info: plugin.info(), plugin: Arc::new(plugin) });
    }
}

impl fmt::Debug for RegistryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.entries.iter().map(|Entry { info, .. }| format!("{}.{}", info.layer, info.name)))
            .finish()
    }
}

/// The one place that reads what the crates submitted before `main`.
fn collect_all(builder: &mut RegistryBuilder) {
    collect::<layer::Transport>(builder);
    collect::<layer::Protector>(builder);
    collect::<layer::Security>(builder);
    collect::<layer::Muxer>(builder);
    collect::<layer::Gate>(builder);
    collect::<layer::Pruner>(builder);
    collect::<layer::Resolver>(builder);
    collect::<layer::Ranker>(builder);
    collect::<layer::Selector>(builder);
    collect::<layer::Resources>(builder);
    collect::<layer::Peerstore>(builder);
    collect::<layer::Protocol>(builder);
    collect::<layer::Service>(builder);
    collect::<layer::Decorator>(builder);
}

fn collect<L: Layer>(builder: &mut RegistryBuilder)
where
    Plugin<L>: Collect,
{
    for plugin in inventory::iter::<Plugin<L>> {
        builder.push(*plugin);
    }
}
