//! Round trips, counted through a proxy that delays: the steps of a connect in units of its delay.

use super::{Figures, object};
use crate::{Failure, args::Client, node, protocol};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) async fn run(args: &Client) -> Result<Figures, Failure> {
    let mut figures = object(json!({ "rtt_ms": args.rtt_ms }));
    // Twice: the first connection of both processes includes whatever is made on first use.
    for prefix in ["cold_", ""] {
        for (name, value) in measure(args).await? {
            figures.insert(format!("{prefix}{name}"), json!(value));
        }
    }
    Ok(figures)
}

async fn measure(args: &Client) -> Result<[(&'static str, f64); 5], Failure> {
    let rtt = args.rtt_ms as f64 / 1e3;
    let client = node::Client::new(&args.common.stack, &args.addr)?;
    let begun = Instant::now();
    let conn = client.connect().await?;
    let connected = begun.elapsed();
    let mut stream = node::open(&conn).await?;
    let opened = begun.elapsed();
    protocol::first_echo(&mut stream).await?;
    let echoed = begun.elapsed();
    // Once the connection is quiet, one more stream.
    tokio::time::sleep(Duration::from_millis(args.rtt_ms.saturating_mul(3))).await;
    let again = Instant::now();
    let mut second = node::open(&conn).await?;
    let second_opened = again.elapsed();
    protocol::first_echo(&mut second).await?;
    let second_echoed = again.elapsed();
    let trips = |time: Duration| time.as_secs_f64() / rtt;
    Ok([
        ("connected_rtts", trips(connected)),
        ("stream_open_rtts", trips(opened)),
        ("first_echo_rtts", trips(echoed)),
        ("second_stream_open_rtts", trips(second_opened)),
        ("second_stream_echo_rtts", trips(second_echoed)),
    ])
}
