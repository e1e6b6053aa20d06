//! Why a test failed.

use skep::api::protocol::ProtocolError;
use skep_stacks::StackError;
use std::{process::ExitCode, time::Duration};

/// Why a test failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Environment(#[from] crate::environment::Problems),
    #[error("{asked:?} is no suite: give transport or perf, or nothing for transport")]
    Suite { asked: String },
    #[error(transparent)]
    Stack(#[from] StackError),
    #[error(transparent)]
    Build(#[from] skep::swarm::BuildError),
    #[error("the runtime cannot be started, or signals not be caught")]
    Runtime(#[source] std::io::Error),
    #[error("the Redis server at {addr} cannot be used: see REDIS_ADDR")]
    Redis { addr: String, source: redis::RedisError },
    #[error("no listener has published its address as {key} within {waited:?}: see its log, and TEST_KEY")]
    NoListener { key: String, waited: Duration },
    #[error("the listener published {text:?}, which is no address")]
    Address { text: String, source: skep::api::multiaddr::Error },
    #[error(transparent)]
    Listen(#[from] skep::swarm::error::ListenError),
    #[error("the node listens on no address")]
    NoAddress,
    #[error(transparent)]
    Dial(#[from] skep::swarm::error::DialError),
    #[error(transparent)]
    Open(#[from] skep::swarm::error::NewStreamError),
    #[error("{what}, iteration {iteration}")]
    Measure { what: &'static str, iteration: u32, source: ProtocolError },
    #[error("the ping")]
    Ping(#[source] ProtocolError),
    #[error("the result cannot be written to standard output")]
    Output(#[source] std::io::Error),
    #[error("the run came to an end that it should not")]
    Task(#[from] tokio::task::JoinError),
    #[error("not done within {0:?}: see TEST_TIMEOUT_SECS")]
    TooLong(Duration),
}

impl Failure {
    /// 2 for what the suite should not have asked for, else 1.
    pub(crate) fn status(&self) -> ExitCode {
        match self {
            Self::Environment(_) | Self::Suite { .. } => ExitCode::from(2),
            Self::Stack(error) if error.is_usage() => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}
