//! What a step of the resource manager costs: `cargo run --release -p skep-policies --example resource_costs`.
//!
//! Each figure is the median of fifty rounds, in nanoseconds for one step, on one thread and with all of them.

use skep_api::{
    Keypair, Multiaddr, PeerId,
    resources::{ConnectionRequest, Priority, ResourceManager},
    security::Role,
};
use skep_policies::resources::scoped::{Config, CountLimit, Machine, Scoped};
use std::{error::Error, net::Ipv4Addr, sync::Arc, thread, time::Duration};
use tokio::time::Instant;

const ROUNDS: usize = 50;
const STEPS: u32 = 500;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut config = Config { inbound_rate: 100_000, inbound_burst: 100_000, ..Config::default() };
    config.limits.peer.connections = Some(CountLimit(None));
    let machine = Machine { memory: Some(64 << 30), open_files: Some(1 << 20) };
    let manager = Scoped::new(&config, &machine).map_err(|e| format!("{e:?}"))?;
    let manager: Arc<dyn ResourceManager> = Arc::new(manager);
    let peers: Vec<PeerId> = (0..STEPS).map(|_| Keypair::generate_ed25519().public().to_peer_id()).collect();
    one_by_one(&*manager, &peers)?;
    for threads in [1, 2, 4] {
        let each = together(&manager, threads)?;
        println!("{threads} threads at once, open and drop a stream {:>9}", shown(each));
    }
    Ok(())
}

/// The steps in turn, with five hundred connections open.
fn one_by_one(manager: &dyn ResourceManager, peers: &[PeerId]) -> Result<(), Failure> {
    let names = ["open_connection", "set_peer", "open_stream", "set_protocol", "reserve", "drop all"];
    let mut figures = vec![Vec::new(); names.len()];
    for _ in 0..ROUNDS {
        let remotes: Vec<Multiaddr> = (0..STEPS).map(|n| Ipv4Addr::from(0x0100_0000 + n).into()).collect();
        let mut times = Vec::new();
        let mut connections = Vec::new();
        let start = Instant::now();
        for remote in &remotes {
            connections.push(manager.open_connection(&ConnectionRequest::new(Role::Listener, remote))?);
        }
        times.push(start.elapsed());
        let start = Instant::now();
        for (connection, peer) in connections.iter_mut().zip(peers) {
            connection.set_peer(peer)?;
        }
        times.push(start.elapsed());
        let (start, mut streams) = (Instant::now(), Vec::new());
        for connection in &connections {
            streams.push(connection.open_stream(Role::Listener)?);
        }
        times.push(start.elapsed());
        let start = Instant::now();
        for stream in &mut streams {
            stream.set_protocol("/ipfs/ping/1.0.0")?;
        }
        times.push(start.elapsed());
        let (start, mut memory) = (Instant::now(), Vec::new());
        for stream in &streams {
            memory.push(stream.reserve(100, Priority::High)?);
        }
        times.push(start.elapsed());
        let start = Instant::now();
        drop((memory, streams, connections));
        times.push(start.elapsed());
        figures.iter_mut().zip(times).for_each(|(all, time)| all.push(time));
    }
    for (name, all) in names.iter().zip(figures) {
        println!("{name:<50} {:>9}", shown(median(all)));
    }
    Ok(())
}

/// Streams of many threads, each on a connection of its own.
fn together(manager: &Arc<dyn ResourceManager>, threads: u32) -> Result<Duration, Failure> {
    let work = |n: u32| {
        let manager = Arc::clone(manager);
        move || -> Result<Duration, Failure> {
            let remote = Ipv4Addr::from(0x0200_0000 + n).into();
            let connection = manager.open_connection(&ConnectionRequest::new(Role::Listener, &remote))?;
            let start = Instant::now();
            for _ in 0..STEPS * 20 {
                drop(connection.open_stream(Role::Listener)?);
            }
            Ok(start.elapsed() / 20)
        }
    };
    let workers: Vec<_> = (0..threads).map(|n| thread::spawn(work(n))).collect();
    let mut times = Vec::new();
    for worker in workers {
        times.push(worker.join().map_err(|_| "a thread panicked")??);
    }
    Ok(median(times))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn shown(time: Duration) -> String {
    format!("{} ns", time.as_nanos() / u128::from(STEPS))
}
