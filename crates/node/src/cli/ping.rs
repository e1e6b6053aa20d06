//! `skep ping`.

use super::{
    Failure,
    args::PingArgs,
    context::Context,
    text::{count, print, time},
};
use serde_json::json;
use skep_api::{
    Code,
    protocol::{ProtocolError, ProtocolErrorKind},
};
use skep_protocols::ping;
use skep_swarm::{DialOptions, SwarmConn};
use std::time::Duration;
use tokio::time::Instant;

pub(crate) async fn run(args: &PingArgs, cx: &Context) -> Result<(), Failure> {
    let swarm = cx.node()?.swarm;
    let dialed = swarm.dial_addr_with(&args.addr, DialOptions::default().timeout(args.timeout.0)).await?;
    let conn = dialed.connection;
    let result = pings(args, &conn, cx.json).await;
    conn.close(Code::NONE).await;
    swarm.shutdown(Duration::from_secs(1)).await;
    summary(&result?, cx.json)
}

async fn pings(args: &PingArgs, conn: &SwarmConn, as_json: bool) -> Result<Vec<Duration>, Failure> {
    if !as_json {
        print(format_args!("ping {} at {}", conn.peer(), conn.info().remote))?;
    }
    let mut stream = conn.open_stream(&[ping::PROTOCOL.into()]).await?;
    let mut times = Vec::new();
    for seq in 1..=args.count {
        let begun = Instant::now();
        let answer = tokio::time::timeout(args.timeout.0, ping::ping(&mut stream)).await;
        let took = answer.map_err(|_| {
            ProtocolError::new(ProtocolErrorKind::TimedOut, format!("ping {seq} after {}", args.timeout))
        })??;
        times.push(took);
        if !as_json {
            print(format_args!("  {seq:>3}  {}", time(took)))?;
        }
        if seq < args.count {
            tokio::time::sleep_until(begun + args.interval.0).await;
        }
    }
    stream.finish().await.map_err(ProtocolError::from)?;
    Ok(times)
}

fn summary(times: &[Duration], as_json: bool) -> Result<(), Failure> {
    let total: Duration = times.iter().sum();
    let mean = total.checked_div(u32::try_from(times.len()).unwrap_or(u32::MAX)).unwrap_or_default();
    let (min, max) = (times.iter().min().copied(), times.iter().max().copied());
    let (min, max) = (min.unwrap_or_default(), max.unwrap_or_default());
    if as_json {
        let all: Vec<_> = times.iter().copied().map(millis).collect();
        return print(json!({ "ok": true, "count": times.len(), "rtt_ms": all,
            "min_ms": millis(min), "mean_ms": millis(mean), "max_ms": millis(max) }));
    }
    let answers = count(times.len(), "answer");
    print(format_args!("{answers}: min {}, mean {}, max {}", time(min), time(mean), time(max)))
}

/// To the microsecond; what is below is noise.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
