//! What it takes for a changed key of the configuration to have effect in a running node.

use std::fmt;

/// The key of a JSON Schema property that says so, where it is not what its layer says:
/// `#[schemars(extend("reload" = "restart"))]`.
pub const SCHEMA_KEY: &str = "reload";

/// How a changed key comes to have effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reload {
    /// At once.
    Live,
    /// For connections that are made from then on; those that stand keep what they were made with.
    NewConnections,
    /// By a restart only; a reload that would change it is refused.
    Restart,
}

impl Reload {
    /// The stable word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::NewConnections => "new_connections",
            Self::Restart => "restart",
        }
    }

    /// Reads the stable word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Live, Self::NewConnections, Self::Restart].into_iter().find(|reload| reload.name() == word)
    }
}

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
