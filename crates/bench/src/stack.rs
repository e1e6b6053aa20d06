//! The stacks that `--stack` takes: all that can be made of the plugins that are linked.

use skep::{SwarmBuilder, api::metrics::Sink};
use skep_stacks::{Recipe, StackError, StackSpec, linked, registry};
use std::{fmt, str::FromStr, sync::Arc};

/// At the end of a stack's name: it counts for a sink of metrics.
const METERED: &str = "-metrics";

/// The benchmark opens more of both than a node on the default profile would let one peer have.
const OPTIONS: &str = "[swarm]\nmax_connections = 100000\nmax_inbound_streams = 100000";

/// A stack to measure. Its profile is read once, for all the nodes that a run may have.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    recipe: Arc<Recipe>,
    metered: bool,
}

/// All names. None of them if the plugins are not as they should be, which the use of a stack reports.
pub(crate) fn names() -> Vec<String> {
    let stacks = registry().and_then(|registry| linked(&registry)).unwrap_or_default();
    stacks.iter().map(ToString::to_string).collect()
}

impl Stack {
    pub(crate) fn spec(&self) -> &StackSpec {
        self.recipe.spec()
    }

    /// A node with this stack and nothing else.
    pub(crate) fn builder(&self) -> Result<SwarmBuilder, StackError> {
        self.recipe.builder(if self.metered { Sink::new() } else { Sink::default() })
    }
}

impl FromStr for Stack {
    type Err = StackError;

    fn from_str(name: &str) -> Result<Self, StackError> {
        let (name, metered) = match name.strip_suffix(METERED) {
            Some(name) => (name, true),
            None => (name, false),
        };
        Ok(Self { recipe: Arc::new(Recipe::new(name.parse()?, OPTIONS)?), metered })
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.spec(), if self.metered { METERED } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep::swarm::Settings;

    #[tokio::test]
    async fn every_name_is_that_of_a_stack_that_can_be_built() {
        assert!(names().contains(&"tcp-noise-yamux".to_string()), "{:?}", names());
        for name in names() {
            for (name, metered) in [(format!("{name}-metrics"), true), (name, false)] {
                let stack: Stack = name.parse().unwrap();
                assert_eq!((stack.to_string(), stack.metered), (name, metered));
                stack.builder().unwrap().build().unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_node_has_nothing_that_would_be_measured_with_its_stack() {
        let node = "tcp-noise-yamux".parse::<Stack>().unwrap().builder().unwrap().build().unwrap();
        let stack = node.stack();
        let counts = [stack.transports.len(), stack.security.len(), stack.muxers.len()];
        assert_eq!(counts, [1, 1, 1]);
        assert!(stack.gates.is_empty() && stack.protocols.is_empty() && stack.services.is_empty());
        assert!(stack.pruner.is_none() && stack.resolver.is_none() && stack.ranker.is_none());
        assert!(stack.peerstore.is_none() && stack.selector.is_none() && stack.resources.is_none());
        let expected =
            Settings { max_connections: 100_000, max_inbound_streams: 100_000, ..Settings::default() };
        assert_eq!(*node.settings(), expected);
    }
}
