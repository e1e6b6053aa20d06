//! Why a stack cannot be had.

use crate::spec;
use skep::{
    api::ConfigErrors,
    swarm::registry::{PluginInfo, RegistryError},
};
use std::path::PathBuf;

/// Why a stack cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// A word that is none of a transport.
    #[error("no transport is called {word:?}; allowed: {known}", known = spec::transports())]
    Transport {
        /// The word.
        word: String,
    },
    /// Words of which a stack cannot be made.
    #[error("{asked:?} is no stack: write TRANSPORT-SECURITY-MUXER, such as tcp-noise-yamux, or quic alone")]
    Form {
        /// The words.
        asked: String,
    },
    /// A private network over a transport that has no raw links to protect.
    #[error(
        "a private network cannot be had over {transport}, whose links come secured: use tcp or ws, or leave the key out"
    )]
    NotProtectable {
        /// The transport's word.
        transport: &'static str,
    },
    /// The path of a key file that no profile can hold.
    #[error("the path of the key file is not UTF-8: {}; rename it", .0.display())]
    KeyFile(PathBuf),
    /// A plugin that this program does not have.
    #[error("{layer} `{name}` is not linked here; linked: {linked}")]
    NotLinked {
        /// The layer's word.
        layer: &'static str,
        /// The plugin's word.
        name: String,
        /// What there is, separated by commas.
        linked: String,
    },
    /// The plugins of the program are not what they should be.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The options of a plugin are wrong, such as a key file that cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
}

impl StackError {
    /// Whether the words are at fault, or that a plugin is not linked; a program that is asked for such a stack does not
    /// take it, whatever the rest of its arguments.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Registry(_) | Self::Config(_))
    }

    pub(crate) fn not_linked<'a>(
        layer: &'static str,
        name: &str,
        plugins: impl Iterator<Item = &'a PluginInfo>,
    ) -> Self {
        let names: Vec<_> = plugins.filter(|info| info.layer == layer).map(|info| info.name).collect();
        let linked = if names.is_empty() { "none".into() } else { names.join(", ") };
        Self::NotLinked { layer, name: name.into(), linked }
    }
}
