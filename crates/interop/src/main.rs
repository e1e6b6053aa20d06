//! The skep peer for interoperability runs: listens or dials with one transport, one security protocol and one
//! muxer, perhaps in a private network, by the command line and the protocols that the peers of all implementations share.

mod args;
mod dial;
mod pattern;
mod serve;

use args::Args;
use serde_json::{Map, json};
use skep::{
    Swarm,
    api::{Multiaddr, error::chain, metrics::Sink, multiaddr::Protocol},
};
use skep_stacks::{Recipe, StackError};
use std::{net::Ipv4Addr, process::ExitCode, sync::Arc, time::Duration};
use tokio::io::AsyncReadExt;

/// What a peer serves beside the interop protocols. The operation `identify` asks; that the node asks too would be one
/// question too many for js-libp2p.
const OPTIONS: &str = r#"
[stack]
protocols = ["ping", "identify"]

[protocol.identify]
ask = false
"#;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
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
    Build(#[from] skep::swarm::BuildError),
    #[error(transparent)]
    Stack(#[from] StackError),
    #[error("{0}")]
    Wrong(String),
}

fn main() -> ExitCode {
    skep::keep_freed_memory();
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(line) => return usage(&line),
    };
    let recipe = match Recipe::new(args.stack.clone(), OPTIONS) {
        Ok(recipe) => recipe,
        Err(e) => return usage(&chain(&e)),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return usage(&format!("no runtime: {e}")),
    };
    let status = runtime.block_on(run(&args, &recipe));
    // The thread that reads standard input may still wait: it is not joined.
    runtime.shutdown_background();
    status
}

fn usage(line: &str) -> ExitCode {
    eprintln!("{line}");
    ExitCode::from(2)
}

async fn run(args: &Args, recipe: &Recipe) -> ExitCode {
    if args.target.is_none() {
        return match listen(args, recipe).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("{}", chain(&e));
                ExitCode::FAILURE
            }
        };
    }
    let (mut line, ok) = match tokio::time::timeout(args.timeout, dial(args, recipe)).await {
        Ok(Ok(line)) => (line, true),
        Ok(Err(e)) => (Map::from_iter([("error".to_string(), json!(chain(&e)))]), false),
        Err(_) => (
            Map::from_iter([("error".to_string(), json!(format!("gave up after {:?}", args.timeout)))]),
            false,
        ),
    };
    line.insert("ok".into(), json!(ok));
    line.insert("op".into(), json!(args.op));
    println!("{}", serde_json::Value::Object(line));
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A node with what the flags name and nothing else.
fn node(recipe: &Recipe) -> Result<Swarm, Failure> {
    Ok(recipe.builder(Sink::default())?.protocol("interop", Arc::new(serve::Interop)).build()?)
}

async fn dial(args: &Args, recipe: &Recipe) -> Result<Map<String, serde_json::Value>, Failure> {
    let swarm = node(recipe)?;
    let result = dial::run(&swarm, args).await;
    swarm.shutdown(Duration::from_secs(2)).await;
    result
}

async fn listen(args: &Args, recipe: &Recipe) -> Result<(), Failure> {
    let swarm = node(recipe)?;
    let anywhere = recipe.spec().listen_addr(Ipv4Addr::LOCALHOST.into());
    let addr: Multiaddr = args.listen.as_deref().unwrap_or(&anywhere).parse()?;
    for addr in swarm.listen(&addr).await?.into_iter().take(1) {
        println!("LISTEN {}", addr.with(Protocol::P2p(swarm.peer_id())));
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        () = stdin_closed() => {}
        _ = terminate.recv() => {}
    }
    swarm.shutdown(Duration::from_secs(2)).await;
    Ok(())
}

async fn stdin_closed() {
    let (mut stdin, mut buf) = (tokio::io::stdin(), [0; 256]);
    while matches!(stdin.read(&mut buf).await, Ok(n) if n > 0) {}
}
