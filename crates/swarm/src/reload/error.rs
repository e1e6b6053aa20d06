//! Why a reload did not take place. The node runs as before in each case.

use super::diff::KeyChange;
use crate::{error::ListenError, handlers::HandlerError};
use skep_api::ConfigErrors;

/// A reload that did not take place. The node runs as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// Mistakes in the new configuration.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// Keys that only a restart can change.
    #[error("{}; restart the node, or leave as they are: {}", needs(.0), paths(.0))]
    Restart(Vec<KeyChange>),
    /// An address of the new configuration cannot be listened on.
    #[error("a listener of the new configuration could not be bound; the node listens where it did")]
    Listen(#[from] ListenError),
    /// A protocol of the new configuration is served by a handler that the application has set.
    #[error("a protocol of the new configuration cannot be served")]
    Handler(#[from] HandlerError),
    /// A plugin panicked while it was built.
    #[error("a plugin panicked while it was built: {0}; see the log, and report it to its authors")]
    Panicked(String),
    /// The node was not made from a profile.
    #[error("the node was composed in code; only one that was assembled from a profile can be reloaded")]
    NotFromProfile,
    /// Another reload is under way.
    #[error("another reload is under way; try again when it is over")]
    Busy,
    /// The node shuts down.
    #[error("the node is shutting down")]
    ShuttingDown,
}

fn needs(changes: &[KeyChange]) -> String {
    match changes {
        [only] => format!("`{}` needs a restart", only.path),
        many => format!("{} keys need a restart", many.len()),
    }
}

fn paths(changes: &[KeyChange]) -> String {
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
