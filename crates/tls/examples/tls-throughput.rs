//! How many bytes a second a TLS stream carries over a TCP connection on the loopback, one core for each side, what a
//! handshake costs, and what a connection at rest holds: `cargo run --release -p skep-tls --example tls-throughput`.

#![expect(clippy::unwrap_used, reason = "a measurement stops at the first error")]
#![expect(clippy::disallowed_types, reason = "it is about real time")]

use rustls::pki_types::ServerName;
use skep_api::{BoxIo, Keypair, security::Verifier};
use skep_tls::{Buffers, Identity, TlsStream, client_config, rustls, server_config};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{
    alloc::System,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TOTAL: usize = 4 << 30;
const PIECES: [usize; 3] = [1 << 14, 1 << 16, 1 << 18];
const HANDSHAKES: u32 = 2000;

fn main() {
    for piece in PIECES {
        let before = cpu_seconds();
        let seconds = transfer(piece).as_secs_f64();
        let cpu = (cpu_seconds() - before) / (TOTAL >> 30) as f64;
        let rate = TOTAL as f64 / seconds / 1e6;
        println!("pieces of {:>3} KiB: {rate:>6.0} MB/s, {cpu:.2} CPU s/GiB for both sides", piece >> 10);
    }
    let before = cpu_seconds();
    let (config, handshake) = handshakes();
    let cpu = (cpu_seconds() - before) / f64::from(HANDSHAKES) * 1e6;
    println!("configuration of a connection, both sides: {config:?}");
    println!("handshake over a pipe in memory, both sides: {handshake:?}, {cpu:.0} µs of CPU");
    println!("heap of a connection at rest: {} bytes of each side", at_rest());
}

/// What this process has used up to now, on Linux; 0 elsewhere. It moves less with the load of a machine than rates do.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.split_whitespace().skip(13).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn identity() -> Identity {
    Identity::new(&Keypair::generate_ed25519()).unwrap()
}

async fn dial(identity: &Identity, io: BoxIo) -> TlsStream {
    let (config, _outcome) = client_config(identity, Verifier::new(None), &[]);
    let name = ServerName::try_from("localhost").unwrap();
    TlsStream::connect(io, config, name, &Buffers::default()).await.unwrap()
}

async fn accept(identity: &Identity, io: BoxIo) -> TlsStream {
    let (config, _outcome) = server_config(identity, Verifier::new(None), &[]);
    TlsStream::accept(io, config, &Buffers::default()).await.unwrap()
}

/// Sends [`TOTAL`] bytes in such pieces, and waits for one byte back.
fn transfer(piece: usize) -> Duration {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let receiver = std::thread::spawn(move || {
        runtime().block_on(async {
            let (io, _) = TcpListener::from_std(listener).unwrap().accept().await.unwrap();
            let mut stream = accept(&identity(), Box::new(io)).await;
            let (mut left, mut buffer) = (TOTAL, vec![0; 1 << 18]);
            while left > 0 {
                left -= stream.read(&mut buffer).await.unwrap();
            }
            stream.write_all(b"x").await.unwrap();
            stream.flush().await.unwrap();
        });
    });
    let elapsed = runtime().block_on(async {
        let io = TcpStream::connect(addr).await.unwrap();
        io.set_nodelay(true).unwrap();
        let mut stream = dial(&identity(), Box::new(io)).await;
        let data = vec![0x5a; piece];
        let start = Instant::now();
        for _ in 0..TOTAL / piece {
            stream.write_all(&data).await.unwrap();
        }
        stream.flush().await.unwrap();
        stream.read_u8().await.unwrap();
        start.elapsed()
    });
    receiver.join().unwrap();
    elapsed
}

/// What the configurations of a connection cost, and what the whole handshake does.
fn handshakes() -> (Duration, Duration) {
    let (dialer, listener) = (identity(), identity());
    let start = Instant::now();
    for _ in 0..HANDSHAKES {
        drop(client_config(&dialer, Verifier::new(None), &[b"libp2p".to_vec()]));
        drop(server_config(&listener, Verifier::new(None), &[b"libp2p".to_vec()]));
    }
    let configs = start.elapsed() / HANDSHAKES;
    let start = Instant::now();
    runtime().block_on(async {
        for _ in 0..HANDSHAKES {
            let (a, b) = duplex(1 << 16);
            let dial = async {
                let mut stream = dial(&dialer, Box::new(a)).await;
                stream.flush().await.unwrap();
            };
            tokio::join!(dial, accept(&listener, Box::new(b)));
        }
    });
    (configs, start.elapsed() / HANDSHAKES)
}

/// What one side of a connection holds on the heap, without the stream below.
fn at_rest() -> isize {
    const CONNECTIONS: usize = 100;
    let (dialer, listener) = (identity(), identity());
    let buffers = Buffers::new(0);
    let heap = |region: &Region<'_, System>| {
        let change = region.change();
        isize::try_from(change.bytes_allocated).unwrap() - isize::try_from(change.bytes_deallocated).unwrap()
    };
    let mut pipes: Vec<_> = (0..CONNECTIONS).map(|_| duplex(1 << 16)).collect();
    // A pipe keeps room for what was in it, which is not to be counted.
    runtime().block_on(async {
        for (a, b) in &mut pipes {
            a.write_all(&[0; 4096]).await.unwrap();
            b.read_exact(&mut [0; 4096]).await.unwrap();
            b.write_all(&[0; 4096]).await.unwrap();
            a.read_exact(&mut [0; 4096]).await.unwrap();
        }
    });
    let mut streams: Vec<(BoxIo, BoxIo)> = Vec::with_capacity(CONNECTIONS);
    let secured = Region::new(ALLOCATOR);
    runtime().block_on(async {
        for (a, b) in pipes {
            let dial = async {
                let (config, _outcome) = client_config(&dialer, Verifier::new(None), &[]);
                let name = ServerName::try_from("localhost").unwrap();
                let mut stream = TlsStream::connect(Box::new(a), config, name, &buffers).await.unwrap();
                stream.flush().await.unwrap();
                stream
            };
            let accept = async {
                let (config, _outcome) = server_config(&listener, Verifier::new(None), &[]);
                TlsStream::accept(Box::new(b), config, &buffers).await.unwrap()
            };
            let (a, b) = tokio::join!(dial, accept);
            streams.push((Box::new(a), Box::new(b)));
        }
    });
    let each = heap(&secured) / isize::try_from(2 * CONNECTIONS).unwrap();
    drop(streams);
    each
}
