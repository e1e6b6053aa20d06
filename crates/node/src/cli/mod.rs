//! The commands, one file each.

pub(crate) mod args;
mod backoff;
mod context;
pub(crate) mod dial;
pub(crate) mod dial_report;
mod inspect;
mod key;
pub(crate) mod log;
mod ping;
mod prune;
mod reload;
mod run;
mod signals;
mod status;
pub(crate) mod text;

use args::{Cli, Command};
use context::Context;
use serde_json::{Value, json};
use skep_api::error::{Kind, chain};
use std::io;

/// Why a command failed. Printed to standard error; the exit status is 1.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Config(#[from] skep_api::ConfigErrors),
    #[error(transparent)]
    Registry(#[from] skep_swarm::registry::RegistryError),
    #[error(transparent)]
    Build(#[from] skep_swarm::BuildError),
    #[error(transparent)]
    Key(#[from] key::KeyError),
    #[error(transparent)]
    Listen(#[from] skep_swarm::error::ListenError),
    #[error(transparent)]
    Dial(#[from] skep_swarm::error::DialError),
    #[error(transparent)]
    Stream(#[from] skep_swarm::error::NewStreamError),
    #[error(transparent)]
    Protocol(#[from] skep_api::protocol::ProtocolError),
    #[error(transparent)]
    Control(#[from] skep::control::ControlError),
    #[error(transparent)]
    Metrics(#[from] skep::metrics_prometheus::ServeError),
    #[error("the addresses are those of two peers, {0} and {1}, and one dial is for one peer")]
    SeveralPeers(skep_api::PeerId, skep_api::PeerId),
    #[error("cannot {0}")]
    Io(String, #[source] io::Error),
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    #[error("ended by a second signal before the connections were closed")]
    Interrupted,
}

impl Failure {
    /// What to do about it, where the words of the error do not say so.
    pub(crate) fn advice(&self) -> Option<String> {
        match self {
            Self::Key(error) => error.advice(),
            Self::Control(error) => Some(error.advice()),
            Self::Metrics(error) => Some(error.advice().into()),
            Self::Listen(error) => Some(error.cause.advice().into()),
            Self::Build(skep_swarm::BuildError::PeerStore(_, error)) => Some(error.kind().advice().into()),
            _ => None,
        }
    }
}

/// A failure for a script.
pub(crate) fn report(error: &Failure) -> Value {
    match error {
        Failure::Dial(error) => dial_report::failure_json(error),
        Failure::Config(errors) => {
            let problems: Vec<_> = errors
                .iter()
                .map(|e| json!({ "key": e.key, "origin": e.origin.to_string(), "problem": e.problem, "help": e.help }))
                .collect();
            json!({ "ok": false, "error": "the configuration has mistakes", "problems": problems })
        }
        other => json!({ "ok": false, "error": chain(other), "advice": other.advice() }),
    }
}

/// Runs the command.
pub(crate) async fn execute(cli: Cli) -> Result<(), Failure> {
    let cx = Context::new(cli.sources, cli.json);
    match cli.command {
        Command::Run(args) => run::run(&args, &cx).await,
        Command::Ping(args) => ping::run(&args, &cx).await,
        Command::Dial(args) => dial::run(&args, &cx).await,
        Command::Status(args) => status::run(&args, &cx).await,
        Command::Backoff(command) => backoff::run(&command, &cx).await,
        Command::Prune(args) => prune::run(&args, &cx).await,
        Command::Reload(args) => reload::run(&args, &cx).await,
        Command::Plugins => inspect::plugins(&cx),
        Command::Check => inspect::check(&cx),
        Command::Explain => inspect::explain(&cx),
        Command::Limits => inspect::limits(&cx),
        Command::Config(command) => inspect::config(&command, &cx),
        Command::Key(command) => key::run(&command, &cx),
    }
}
