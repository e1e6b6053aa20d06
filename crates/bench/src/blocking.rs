//! What a handler that blocks its thread does to the pings of other peers: without and with a runtime of its own for
//! handlers, and what that costs a handler that does not block.
//!
//! Pings are due at fixed times, and each is measured from the time at which it was due: those that could not be sent
//! because the one before was held up count, too.

use crate::{
    Failure,
    args::Blocking,
    node::{self, open},
    stack::Stack,
};
use async_trait::async_trait;
use serde_json::json;
use skep::{
    Swarm, SwarmConn,
    api::{
        ConfigSection, Multiaddr,
        protocol::{InboundStream, ProtocolError, ProtocolHandler},
    },
    protocols::ping,
};
use std::{sync::Arc, thread, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::Instant,
};

const BLOCK: &str = "/bench/block/1";
/// How long a handler blocks its thread.
const BLOCKED: Duration = Duration::from_secs(1);
/// How often a ping is due.
const EVERY: Duration = Duration::from_millis(1);

#[derive(Debug)]
struct Blocks;

#[async_trait]
impl ProtocolHandler for Blocks {
    fn protocols(&self) -> Vec<String> {
        vec![BLOCK.into()]
    }

    async fn serve(&self, mut inbound: InboundStream) -> Result<(), ProtocolError> {
        while inbound.stream.read_u8().await.is_ok() {
            thread::sleep(BLOCKED);
            inbound.stream.write_u8(1).await?;
            inbound.stream.flush().await?;
        }
        Ok(())
    }
}

/// One line of the result.
#[derive(Debug)]
struct Case {
    what: &'static str,
    apart: bool,
    blocked: bool,
    count: usize,
    p50: Duration,
    p99: Duration,
    max: Duration,
}

/// Runs all cases and prints them.
pub(crate) fn run(args: &Blocking) -> Result<(), Failure> {
    let mut cases = Vec::new();
    for apart in [false, true] {
        for blocked in [false, true] {
            cases.push(case(args, apart, if blocked { args.blockers } else { 0 }, "ping")?);
        }
    }
    for apart in [false, true] {
        cases.push(case(args, apart, 0, "echo by a handler")?);
    }
    print(args, &cases);
    Ok(())
}

fn runtime() -> Result<Runtime, Failure> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}

/// Measures one case with runtimes of its own, by default with as many threads as there are cores.
fn case(args: &Blocking, apart: bool, blockers: usize, what: &'static str) -> Result<Case, Failure> {
    let (server, handlers, peers) = (runtime()?, runtime()?, runtime()?);
    let addr = server.block_on(serve(args, apart.then_some(&handlers)))?;
    let stack = args.stack.clone();
    let (secs, echo) = (args.secs, what != "ping");
    let measured = peers.block_on(async move {
        let (pinging, blocking) = (with_ping(&stack)?, node::build(&stack)?);
        let conn = pinging.dial_addr(&addr).await?;
        let _blockers = block(&blocking.dial_addr(&addr).await?, blockers).await?;
        tokio::spawn(async move { if echo { echoes(&conn, secs).await } else { pings(&conn, secs).await } })
            .await?
    });
    let mut took = measured?;
    for runtime in [server, handlers, peers] {
        runtime.shutdown_background();
    }
    took.sort();
    let at = |share: f64| {
        let position = (took.len().saturating_sub(1) as f64 * share).round() as usize;
        took.get(position).copied().unwrap_or_default()
    };
    let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
    Ok(Case { what, apart, blocked: blockers > 0, count: took.len(), p50, p99, max })
}

fn with_ping(stack: &Stack) -> Result<Swarm, Failure> {
    let builder = node::builder(stack)?;
    let ping = (ping::PLUGIN.build)(&ConfigSection::empty("protocol.ping"), builder.build_cx())?;
    Ok(builder.protocol("ping", ping).build()?)
}

/// The node that is measured. It goes with its runtime.
async fn serve(args: &Blocking, handlers: Option<&Runtime>) -> Result<Multiaddr, Failure> {
    let builder = node::builder(&args.stack)?;
    let ping = (ping::PLUGIN.build)(&ConfigSection::empty("protocol.ping"), builder.build_cx())?;
    let mut builder = builder.protocol("ping", ping).protocol("blocks", Arc::new(Blocks));
    if let Some(handlers) = handlers {
        builder = builder.handler_runtime(handlers.handle().clone());
    }
    let swarm = builder.build()?;
    node::listen(&swarm, &args.stack).await
}

/// Keeps so many handlers blocked, but for a moment between two times.
async fn block(conn: &SwarmConn, many: usize) -> Result<JoinSet<()>, Failure> {
    let mut blockers = JoinSet::new();
    for _ in 0..many {
        let mut stream = conn.open_stream(&[BLOCK.into()]).await?;
        blockers.spawn(async move {
            while stream.write_u8(1).await.is_ok() && stream.flush().await.is_ok() {
                if stream.read_u8().await.is_err() {
                    return;
                }
                tokio::time::sleep(BLOCKED / 10).await;
            }
        });
    }
    Ok(blockers)
}

async fn pings(conn: &SwarmConn, secs: Duration) -> Result<Vec<Duration>, Failure> {
    let mut stream = conn.open_stream(&[ping::PROTOCOL.into()]).await?;
    ping::ping(&mut stream).await?;
    let (begun, mut took, mut due) = (Instant::now(), Vec::new(), Duration::ZERO);
    while due < secs {
        tokio::time::sleep_until(begun + due).await;
        // The timer itself wakes up to a millisecond late; what is later than that was held up.
        let now = Instant::now();
        let due_at = begun + due;
        let from = if now.duration_since(due_at) < 2 * EVERY { now } else { due_at };
        ping::ping(&mut stream).await?;
        took.push(from.elapsed());
        due += EVERY;
    }
    Ok(took)
}

/// Round trips of one byte, one after the other.
async fn echoes(conn: &SwarmConn, secs: Duration) -> Result<Vec<Duration>, Failure> {
    let mut stream = open(conn).await?;
    stream.write_u8(b'E').await?;
    let (begun, mut took) = (Instant::now(), Vec::new());
    while begun.elapsed() < secs {
        let sent = Instant::now();
        stream.write_u8(1).await?;
        stream.flush().await?;
        stream.read_u8().await?;
        took.push(sent.elapsed());
    }
    Ok(took)
}

fn print(args: &Blocking, cases: &[Case]) {
    if args.json {
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let cases: Vec<_> = cases
            .iter()
            .map(|c| {
                json!({ "what": c.what, "handler_runtime": c.apart, "blocked": c.blocked, "count": c.count,
                    "p50_us": us(c.p50), "p99_us": us(c.p99), "max_us": us(c.max) })
            })
            .collect();
        println!(
            "{}",
            json!({ "op": "blocking", "stack": args.stack.to_string(), "blockers": args.blockers, "cases": cases })
        );
        return;
    }
    println!("{} handlers that block for {BLOCKED:?}, over {}\n", args.blockers, args.stack);
    println!(
        "{:<18} {:<16} {:<8} {:>8} {:>11} {:>11} {:>11}",
        "", "handlers run", "blocked", "count", "p50", "p99", "max"
    );
    for c in cases {
        let place = if c.apart { "on their own" } else { "with the node" };
        let blocked = if c.blocked { "yes" } else { "no" };
        let [p50, p99, max] = [c.p50, c.p99, c.max].map(|time| format!("{time:.1?}"));
        println!("{:<18} {place:<16} {blocked:<8} {:>8} {p50:>11} {p99:>11} {max:>11}", c.what, c.count);
    }
}
