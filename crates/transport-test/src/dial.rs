//! The dialer: finds the listener, measures, and says what came of it.

use crate::{
    Failure,
    plan::{Load, Plan, Suite},
    rendezvous::Rendezvous,
    report::{Latency, Section},
    statistics::Summary,
};
use skep::{
    Swarm, SwarmConn,
    api::Multiaddr,
    protocols::{perf, ping},
};
use tokio::time::Instant;

/// Dials and measures; the result is what goes to standard output.
pub(crate) async fn run(
    plan: &Plan,
    swarm: &Swarm,
    load: &Load,
    deadline: Instant,
) -> Result<String, Failure> {
    let text = Rendezvous::connect(plan, deadline).await?.listener().await?;
    eprintln!("dialling {text}");
    let addr: Multiaddr = text.parse().map_err(|source| Failure::Address { text: text.clone(), source })?;
    match plan.suite {
        Suite::Transport => {
            let latency = latency(swarm, &addr).await?;
            Ok(if plan.json { latency.json() } else { latency.yaml() })
        }
        Suite::Perf => {
            let conn = swarm.dial_addr(&addr).await?;
            Ok(sections(&conn, load).await?.iter().map(Section::yaml).collect::<Vec<_>>().join("\n"))
        }
    }
}

async fn latency(swarm: &Swarm, addr: &Multiaddr) -> Result<Latency, Failure> {
    let begun = Instant::now();
    let conn = swarm.dial_addr(addr).await?;
    let mut stream = conn.open_stream(&[ping::PROTOCOL.into()]).await?;
    let ping_rtt = ping::ping(&mut stream).await.map_err(Failure::Ping)?;
    let handshake_plus_one_rtt = begun.elapsed();
    stream.finish().await.map_err(|e| Failure::Ping(e.into()))?;
    Ok(Latency { handshake_plus_one_rtt, ping_rtt })
}

async fn sections(conn: &SwarmConn, load: &Load) -> Result<[Section; 3], Failure> {
    let up =
        Job { name: "upload", upload: load.upload_bytes, download: 0, iterations: load.upload_iterations };
    let down = Job {
        name: "download",
        upload: 0,
        download: load.download_bytes,
        iterations: load.download_iterations,
    };
    let both = Job { name: "latency", upload: 1, download: 1, iterations: load.latency_iterations };
    Ok([rate(conn, &up).await?, rate(conn, &down).await?, trips(conn, &both).await?])
}

/// One measurement, repeated.
struct Job {
    name: &'static str,
    upload: u64,
    download: u64,
    iterations: u32,
}

/// Gigabits a second.
async fn rate(conn: &SwarmConn, job: &Job) -> Result<Section, Failure> {
    let bits = job.upload.max(job.download) as f64 * 8.0;
    let samples = repeat(conn, job).await?.into_iter().map(|seconds| bits / seconds / 1e9).collect();
    Ok(section(job, samples, "Gbps", 2))
}

/// Milliseconds.
async fn trips(conn: &SwarmConn, job: &Job) -> Result<Section, Failure> {
    let samples = repeat(conn, job).await?.into_iter().map(|seconds| seconds * 1e3).collect();
    Ok(section(job, samples, "ms", 3))
}

fn section(job: &Job, samples: Vec<f64>, unit: &'static str, decimals: usize) -> Section {
    let summary = Summary::of(samples);
    Section { name: job.name, iterations: job.iterations, summary, unit, decimals }
}

/// The seconds of each iteration, from the opening of its stream to its end.
async fn repeat(conn: &SwarmConn, job: &Job) -> Result<Vec<f64>, Failure> {
    let mut took = Vec::new();
    for iteration in 1..=job.iterations {
        let begun = Instant::now();
        let mut stream = conn.open_stream(&[perf::PROTOCOL.into()]).await?;
        let measured = perf::measure(&mut stream, job.upload, job.download).await;
        measured.map_err(|source| Failure::Measure { what: job.name, iteration, source })?;
        took.push(begun.elapsed().as_secs_f64());
        eprintln!("{} {iteration} of {}: {:?}", job.name, job.iterations, begun.elapsed());
    }
    Ok(took)
}
