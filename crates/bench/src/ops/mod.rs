//! The operations. Each returns what its line says beside the name of the operation.

mod idle;
mod rates;
mod rtt;
mod transfer;

use crate::{
    Failure,
    account::{self, Cpu},
    args::{Client, Op},
};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

/// The figures of one run, in the order in which they are printed.
pub(crate) type Figures = Map<String, Value>;

/// Runs the operation that the arguments name.
pub(crate) async fn run(args: &Client) -> Result<Figures, Failure> {
    match args.op {
        Op::Upload | Op::Download => transfer::run(args).await,
        Op::Connect => rates::connect(args).await,
        Op::Streams => rates::streams(args).await,
        Op::Pingpong => rates::pingpong(args).await,
        Op::Idle => idle::run(args).await,
        Op::Rtt => rtt::run(args).await,
    }
}

/// Time and CPU of both processes from a moment on.
#[derive(Debug)]
struct Meter {
    server_pid: u32,
    client: Cpu,
    server: Cpu,
    begun: Instant,
}

impl Meter {
    fn start(server_pid: u32) -> Self {
        let (client, server) = (account::cpu(std::process::id()), account::cpu(server_pid));
        Self { server_pid, client, server, begun: Instant::now() }
    }

    /// Seconds, and the CPU of client and server.
    fn stop(&self) -> (f64, Cpu, Cpu) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let client = account::cpu(std::process::id()).since(self.client);
        (seconds, client, account::cpu(self.server_pid).since(self.server))
    }
}

/// The figures of something that was done many times, from the time in seconds that each took.
fn rate(meter: &Meter, mut took: Vec<f64>, parallel: u64) -> Figures {
    let (seconds, client, server) = meter.stop();
    took.sort_by(f64::total_cmp);
    let n = took.len() as f64;
    let percentile =
        |p: f64| took.get((took.len().saturating_sub(1) as f64 * p).round() as usize).map(|s| s * 1e6);
    object(json!({
        "count": n, "parallel": parallel, "secs": seconds, "per_sec": n / seconds,
        "p50_us": percentile(0.5), "p99_us": percentile(0.99),
        "cpu_us_each_client": client.total / n * 1e6, "cpu_us_each_server": server.total / n * 1e6,
    }))
}

fn object(value: Value) -> Figures {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
