//! `skep-bench idle`: the memory that a node spends on a connection that somebody dialled and nobody uses.
//!
//! One process accepts, this one dials, each connection from a node of its own. Both ends serve ping and identify and ask
//! each other who they are, as nodes do. Memory is read before and after, when nothing moves any more.

mod acceptor;
mod files;
mod report;

pub(crate) use acceptor::{State, serve};

use crate::{
    Failure,
    account::{Memory, memory},
    args::Idle,
    node, protocol,
};
use acceptor::Acceptor;
use futures::{StreamExt, TryStreamExt, stream};
use report::{Progress, Report};
use skep::SwarmConn;
use std::time::Duration;
use tokio::time::Instant;

/// Connections made before the memory is first read, so that what is made once is not counted.
const WARM: u64 = 16;

/// How often the acceptor is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// A node and its connection to the acceptor.
type Dialled = (node::Client, SwarmConn);

/// Measures and prints the result.
pub(crate) async fn run(args: &Idle) -> Result<(), Failure> {
    node::between_processes(&args.common.stack)?;
    files::make_room_for(args.connections.saturating_add(WARM))?;
    let mut acceptor = Acceptor::start(args)?;
    let mut kept = connect(args, &acceptor, WARM).await?;
    let first = settle(args, &mut acceptor, WARM).await?;
    kept.append(&mut connect(args, &acceptor, args.connections).await?);
    let last = settle(args, &mut acceptor, WARM.saturating_add(args.connections)).await?;
    let open = kept.iter().filter(|(_, conn)| conn.is_open()).count() as u64;
    let report = Report {
        connections: args.connections,
        alive: open.saturating_sub(WARM),
        touch: args.touch,
        before: first,
        after: last,
    };
    report.print(args.json);
    match args.at_most {
        Some(limit) if report.anonymous() > limit as f64 => {
            Err(Failure::TooMuch { each: report.anonymous(), limit })
        }
        _ => Ok(()),
    }
}

/// Memory of the accepting and of the dialling process.
#[derive(Clone, Copy, Debug)]
struct Reading {
    acceptor: Memory,
    dialler: Memory,
}

async fn connect(args: &Idle, acceptor: &Acceptor, count: u64) -> Result<Vec<Dialled>, Failure> {
    let mut progress = Progress::new("connected", count);
    let parallel = usize::try_from(args.parallel).unwrap_or(usize::MAX).max(1);
    let dials = stream::iter(0..count).map(|_| dial(args, acceptor.addr())).buffer_unordered(parallel);
    let kept = dials.inspect_ok(|_| progress.step()).try_collect().await;
    progress.end();
    kept
}

async fn dial(args: &Idle, addr: &str) -> Result<Dialled, Failure> {
    let client = node::Client::social(&args.common.stack, addr)?;
    let conn = client.connect().await?;
    if args.touch > 0 {
        protocol::upload(&mut node::open(&conn).await?, args.touch, protocol::BLOCK).await?;
        protocol::download(&mut node::open(&conn).await?, args.touch, protocol::BLOCK).await?;
    }
    Ok((client, conn))
}

/// Waits until the acceptor knows who every peer is and no stream is open, and then as long again as `--rest-ms` says.
async fn settle(args: &Idle, acceptor: &mut Acceptor, expected: u64) -> Result<Reading, Failure> {
    let mut progress = Progress::new("identified", expected);
    let begun = Instant::now();
    loop {
        let state = acceptor.state()?;
        progress.at(state.identified);
        if state.identified >= expected && state.streams == 0 {
            break;
        }
        if begun.elapsed() >= args.common.max_secs {
            return Err(Failure::Restless { expected, state });
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    progress.end();
    tokio::time::sleep(Duration::from_millis(args.rest_ms)).await;
    Ok(Reading { acceptor: memory(acceptor.pid())?, dialler: memory(std::process::id())? })
}
