//! The skep peer for benchmark runs: a server and a client as separate processes, one line of JSON a run.

mod account;
mod args;
mod blocking;
mod idle;
mod node;
mod ops;
mod protocol;
mod stack;

use args::{Cli, Client, Common, Mode};
use clap::Parser;
use serde_json::json;
use skep::api::error::chain;
use std::process::ExitCode;
use tokio::io::AsyncReadExt;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(
        "{stack} joins nodes of one process only, and here there are two: give it to `skep-bench blocking`"
    )]
    OneProcess { stack: String },
    #[error("no result within {0:?}")]
    TooLong(std::time::Duration),
    #[error("after {expected} connections the acceptor counts {} with {} known peers and {} open streams",
        state.connections, state.identified, state.streams)]
    Restless { expected: u64, state: idle::State },
    #[error("the accepting process has ended or says what is no answer: {0:?}")]
    Acceptor(String),
    #[error(
        "{needed} open files are needed in each process, the limit is {limit}: raise it (`ulimit -Hn {needed}` as root) \
        or pass fewer `--connections`"
    )]
    Files { needed: u64, limit: u64 },
    #[error("a connection takes {each:.0} bytes, more than the {limit} it may take")]
    TooMuch { each: f64, limit: u64 },
    #[error("this system does not say how much memory a process has: {0} cannot be read")]
    NoMemory(String),
    #[error(transparent)]
    Address(#[from] skep::api::multiaddr::Error),
    #[error(transparent)]
    Listen(#[from] skep::swarm::error::ListenError),
    #[error(transparent)]
    Dial(#[from] skep::swarm::error::DialError),
    #[error(transparent)]
    Stream(#[from] skep::swarm::error::NewStreamError),
    #[error(transparent)]
    Protocol(#[from] skep::api::protocol::ProtocolError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
    #[error(transparent)]
    Build(#[from] skep::swarm::BuildError),
    #[error(transparent)]
    Config(#[from] skep::api::ConfigErrors),
    #[error(transparent)]
    Stack(#[from] skep_stacks::StackError),
}

fn main() -> ExitCode {
    skep::keep_freed_memory();
    let result = match Cli::parse().mode {
        Mode::Server(common) => on_runtime(common.workers, async move { server(&common).await }),
        Mode::Idle(args) => on_runtime(args.common.workers, async move { idle::run(&args).await }),
        Mode::Acceptor(args) => on_runtime(args.common.workers, async move { idle::serve(&args).await }),
        Mode::Blocking(args) => blocking::run(&args),
        Mode::Client(args) => on_runtime(args.common.workers, async move { client(&args).await }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{}", chain(&e));
            ExitCode::FAILURE
        }
    }
}

/// Runs on the runtime's own threads: what `block_on` runs would stay on the calling thread, and each step
/// between it and a connection's task would cross threads.
fn on_runtime(
    workers: usize,
    work: impl Future<Output = Result<(), Failure>> + Send + 'static,
) -> Result<(), Failure> {
    if workers == 0 {
        return tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let result = runtime.block_on(async { tokio::spawn(work).await? });
    // The thread that reads standard input may still wait: it is not joined.
    runtime.shutdown_background();
    result
}

async fn server(common: &Common) -> Result<(), Failure> {
    node::between_processes(&common.stack)?;
    let swarm = node::build(&common.stack)?;
    println!("READY {} {}", node::listen(&swarm, &common.stack).await?, std::process::id());
    let stdin_closed = async {
        let (mut stdin, mut buf) = (tokio::io::stdin(), [0; 256]);
        while matches!(stdin.read(&mut buf).await, Ok(n) if n > 0) {}
    };
    let _ = tokio::time::timeout(common.max_secs, stdin_closed).await;
    Ok(())
}

async fn client(args: &Client) -> Result<(), Failure> {
    node::between_processes(&args.common.stack)?;
    let limit = args.common.max_secs;
    let figures =
        tokio::time::timeout(limit, ops::run(args)).await.map_err(|_| Failure::TooLong(limit))??;
    let mut line = serde_json::Map::new();
    line.insert("impl".into(), json!("skep"));
    line.insert("stack".into(), json!(args.common.stack.to_string()));
    line.insert("op".into(), json!(format!("{:?}", args.op).to_lowercase()));
    if let Some(label) = &args.label {
        line.insert("label".into(), json!(label));
    }
    line.extend(figures);
    println!("{}", serde_json::Value::Object(line));
    Ok(())
}
