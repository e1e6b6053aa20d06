//! Why a simulation could not be run.

use skep::{
    api::ConfigErrors,
    swarm::{BuildError, error::ListenError},
};

/// A simulation that could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A plan that makes no sense.
    #[error("{what} is {given}; allowed: {allowed}")]
    Plan {
        /// The part of the plan.
        what: &'static str,
        /// What it is.
        given: u64,
        /// What it may be.
        allowed: String,
    },
    /// A plugin refused its options.
    #[error("a plugin of node {node} could not be built")]
    Plugin {
        /// The node's number.
        node: usize,
        /// Why.
        #[source]
        source: ConfigErrors,
    },
    /// A node refused its layers.
    #[error("node {node} could not be built")]
    Build {
        /// The node's number.
        node: usize,
        /// Why.
        #[source]
        source: BuildError,
    },
    /// A node could not listen.
    #[error("node {node} could not listen")]
    Listen {
        /// The node's number.
        node: usize,
        /// Why.
        #[source]
        source: ListenError,
    },
    /// A key was not taken.
    #[error("the key of node {node} could not be made: {detail}")]
    Key {
        /// The node's number.
        node: usize,
        /// Why.
        detail: String,
    },
    /// The runtime did not start.
    #[error("the runtime could not be started; see the cause")]
    Runtime(#[source] std::io::Error),
}
