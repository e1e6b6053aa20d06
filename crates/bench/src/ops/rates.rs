//! How often a second: connections, streams, round trips.

use super::{Figures, Meter, rate};
use crate::{Failure, args::Client, node, protocol};
use serde_json::json;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

/// Dial, secure, multiplex, open and negotiate a stream, one byte there and back; the rate includes closing.
pub(crate) async fn connect(args: &Client) -> Result<Figures, Failure> {
    let mut clients = Vec::new();
    for _ in 0..args.parallel {
        let client = Arc::new(node::Client::new(&args.common.stack, &args.addr)?);
        for _ in 0..3 {
            connect_once(&client).await?;
        }
        clients.push(client);
    }
    let each = args.count.unwrap_or(200).checked_div(args.parallel).unwrap_or_default();
    let meter = Meter::start(args.server_pid);
    let tasks = clients.into_iter().map(|client| {
        tokio::spawn(async move {
            let mut took = Vec::new();
            for _ in 0..each {
                took.push(connect_once(&client).await?);
            }
            Ok::<_, Failure>(took)
        })
    });
    let took = gather(tasks.collect()).await?;
    Ok(rate(&meter, took, args.parallel))
}

async fn connect_once(client: &node::Client) -> Result<f64, Failure> {
    let begun = Instant::now();
    let conn = client.connect().await?;
    let mut stream = node::open(&conn).await?;
    protocol::first_echo(&mut stream).await?;
    let took = begun.elapsed().as_secs_f64();
    drop(stream);
    node::close(conn).await;
    Ok(took)
}

/// Open, negotiate, one byte there and back, close, on one connection.
pub(crate) async fn streams(args: &Client) -> Result<Figures, Failure> {
    let client = node::Client::new(&args.common.stack, &args.addr)?;
    let conn = client.connect().await?;
    for _ in 0..10 {
        stream_once(&conn).await?;
    }
    let each = args.count.unwrap_or(10_000).checked_div(args.parallel).unwrap_or_default();
    let meter = Meter::start(args.server_pid);
    let tasks = (0..args.parallel).map(|_| {
        let conn = conn.clone();
        tokio::spawn(async move {
            let mut took = Vec::new();
            for _ in 0..each {
                took.push(stream_once(&conn).await?);
            }
            Ok::<_, Failure>(took)
        })
    });
    let took = gather(tasks.collect()).await?;
    Ok(rate(&meter, took, args.parallel))
}

async fn stream_once(conn: &skep::SwarmConn) -> Result<f64, Failure> {
    let begun = Instant::now();
    let mut stream = node::open(conn).await?;
    protocol::first_echo(&mut stream).await?;
    stream.finish().await?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Request and response on one open stream.
pub(crate) async fn pingpong(args: &Client) -> Result<Figures, Failure> {
    let client = node::Client::new(&args.common.stack, &args.addr)?;
    let conn = client.connect().await?;
    let mut stream = node::open(&conn).await?;
    protocol::first_echo(&mut stream).await?;
    let count = args.count.unwrap_or(20_000);
    let (out, mut back) = (vec![7; args.size as usize], vec![0; args.size as usize]);
    let mut took = Vec::new();
    let mut meter = Meter::start(args.server_pid);
    let warm = count / 10;
    for i in 0..count.saturating_add(warm) {
        if i == warm {
            took.clear();
            meter = Meter::start(args.server_pid);
        }
        let begun = Instant::now();
        stream.write_all(&out).await?;
        stream.flush().await?;
        stream.read_exact(&mut back).await?;
        took.push(begun.elapsed().as_secs_f64());
    }
    let mut figures = rate(&meter, took, 1);
    figures.insert("size".into(), json!(args.size));
    drop(stream);
    node::close(conn).await;
    Ok(figures)
}

async fn gather(tasks: Vec<tokio::task::JoinHandle<Result<Vec<f64>, Failure>>>) -> Result<Vec<f64>, Failure> {
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    Ok(all)
}
