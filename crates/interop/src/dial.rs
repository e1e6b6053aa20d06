//! The dialling side: one connection, one operation, some streams one after another.

use crate::{
    Failure,
    args::Args,
    pattern,
    serve::{ECHO, RESET, SINK, SOURCE},
};
use serde_json::{Map, Value, json};
use skep::{
    NetStream, Swarm, SwarmConn,
    api::{Multiaddr, stream::StreamError},
    protocols::{identify, ping},
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    time::Instant,
};

/// Dials and runs the operation; the result is what the line says beside `ok` and `op`.
pub(crate) async fn run(swarm: &Swarm, args: &Args) -> Result<Map<String, Value>, Failure> {
    let addr: Multiaddr = args.target.as_deref().unwrap_or_default().parse()?;
    let conn = swarm.dial_addr(&addr).await?;
    let begun = Instant::now();
    let mut line = match args.op.as_str() {
        "ping" => pings(&conn, args).await?,
        "identify" => ask(&conn).await?,
        _ => streams(&conn, args).await?,
    };
    line.insert("seconds".into(), json!(begun.elapsed().as_secs_f64()));
    Ok(line)
}

async fn pings(conn: &SwarmConn, args: &Args) -> Result<Map<String, Value>, Failure> {
    let mut stream = conn.open_stream(&[ping::PROTOCOL.into()]).await?;
    let mut total = Duration::ZERO;
    for _ in 0..args.count {
        total = total.saturating_add(ping::ping(&mut stream).await?);
    }
    stream.finish().await?;
    let mean = total.as_secs_f64() * 1e3 / args.count.max(1) as f64;
    Ok(object(json!({ "rtt_ms": mean, "count": args.count })))
}

async fn ask(conn: &SwarmConn) -> Result<Map<String, Value>, Failure> {
    // Asking checks the key against the peer id.
    let info = identify::ask(&*conn.session()).await?;
    if !info.protocols.iter().any(|p| p == ECHO) {
        return Err(Failure::Wrong(format!("{ECHO} is not among {:?}", info.protocols)));
    }
    Ok(object(json!({
        "peer_id": conn.peer().to_string(),
        "agent_version": info.agent_version,
        "protocol_version": info.protocol_version,
        "protocols": info.protocols,
        "listen_addrs": info.listen_addrs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "observed_addr": info.observed_addr.map(|a| a.to_string()),
    })))
}

async fn streams(conn: &SwarmConn, args: &Args) -> Result<Map<String, Value>, Failure> {
    let protocol = match args.op.as_str() {
        "echo" => ECHO,
        "sink" => SINK,
        "source" => SOURCE,
        "reset" => RESET,
        other => return Err(Failure::Wrong(format!("unknown operation {other}"))),
    };
    let mut ended = None;
    for _ in 0..args.count {
        let stream = conn.open_stream(&[protocol.into()]).await?;
        match protocol {
            ECHO => echo(stream, args.bytes).await?,
            SINK => sink(stream, args.bytes).await?,
            SOURCE => source(stream, args.bytes).await?,
            _ => ended = Some(reset(stream).await?),
        }
    }
    Ok(object(match ended {
        Some(ended) => json!({ "ended": ended, "count": args.count }),
        None => json!({ "bytes": args.bytes.saturating_mul(args.count), "count": args.count }),
    }))
}

async fn echo(stream: NetStream, bytes: u64) -> Result<(), Failure> {
    let (mut r, mut w) = split(stream);
    let send = async {
        pattern::write(&mut w, bytes).await?;
        w.shutdown().await?;
        Ok(())
    };
    tokio::try_join!(send, pattern::read(&mut r, bytes)).map(drop)
}

async fn sink(mut stream: NetStream, bytes: u64) -> Result<(), Failure> {
    pattern::write(&mut stream, bytes).await?;
    stream.finish().await?;
    let count = stream.read_u64().await?;
    let mut end = [0];
    if stream.read(&mut end).await? != 0 {
        return Err(Failure::Wrong("more than 8 bytes in the answer".into()));
    }
    if count == bytes {
        Ok(())
    } else {
        Err(Failure::Wrong(format!("the peer counted {count} of {bytes} bytes")))
    }
}

async fn source(mut stream: NetStream, bytes: u64) -> Result<(), Failure> {
    stream.write_u64(bytes).await?;
    stream.finish().await?;
    pattern::read(&mut stream, bytes).await
}

async fn reset(mut stream: NetStream) -> Result<&'static str, Failure> {
    stream.write_u8(1).await?;
    stream.flush().await?;
    match stream.read(&mut [0; 64]).await {
        Err(e) if matches!(StreamError::of(&e), Some(StreamError::Reset { .. })) => Ok("reset"),
        Err(e) => Err(e.into()),
        Ok(0) => Err(Failure::Wrong("the stream ended cleanly, without a reset".into())),
        Ok(_) => Err(Failure::Wrong("data on the stream, not a reset".into())),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
