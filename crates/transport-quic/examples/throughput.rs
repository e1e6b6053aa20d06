//! How much of the bare QUIC library's throughput is left through this transport: one stream over loopback, in turns.
//!
//! `cargo run --release -p skep-transport-quic --example throughput -- [MiB] [rounds]`
//!
//! Both ends run in this process, on two threads; certificates, ciphers, windows and buffers are the same. `chunks` reads
//! without a copy, which a byte stream cannot.
#![allow(
    clippy::expect_used,
    clippy::disallowed_types,
    clippy::cast_precision_loss,
    reason = "a program for figures"
)]

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use skep_api::{
    ConfigSection, Keypair,
    muxer::Muxed,
    security::Verifier,
    transport::{Link, Transport},
};
use skep_tls::Identity;
use skep_transport_quic::QuicTransportConfig;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MIB: usize = 1 << 20;
const BUFFER: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Raw,
    RawChunks,
    Skep,
}

/// Bytes in a second, and seconds of CPU for all of them.
#[derive(Clone, Copy, Debug)]
struct Figures {
    rate: f64,
    cpu: f64,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>().expect("a number"));
    let (size, rounds) = (args.next().unwrap_or(1_024) * MIB, args.next().unwrap_or(7));
    let ways = [Way::Raw, Way::RawChunks, Way::Skep];
    let mut all: Vec<Vec<Figures>> = vec![Vec::new(); ways.len()];
    for round in 0..=rounds {
        for (i, figures) in all.iter_mut().enumerate() {
            // Each takes each place in turn.
            let way = ways.iter().cycle().nth(i).copied().expect("endless");
            let taken = run(way, size).await;
            // The first round warms up.
            if round > 0 {
                figures.push(taken);
            }
        }
    }
    let gib = size as f64 / 1024.0 / MIB as f64;
    for (way, figures) in ways.iter().zip(&all) {
        let rate = median(figures.iter().map(|f| f.rate));
        let cpu = median(figures.iter().map(|f| f.cpu)) / gib;
        let base = all.first().expect("one way");
        let ratio = median(figures.iter().zip(base).map(|(own, raw)| own.rate / raw.rate));
        println!("{way:?}: {:.0} MB/s, {cpu:.2} CPU s/GiB, {ratio:.3} of raw", rate / 1e6);
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

async fn run(way: Way, size: usize) -> Figures {
    let (begun, cpu) = (Instant::now(), cpu_time());
    match way {
        Way::Skep => skep(size).await,
        Way::Raw | Way::RawChunks => raw(size, way == Way::RawChunks).await,
    }
    let elapsed = begun.elapsed();
    Figures { rate: size as f64 / elapsed.as_secs_f64(), cpu: (cpu_time() - cpu).as_secs_f64() }
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    Duration::from_millis(ticks.filter_map(|n| n.parse::<u64>().ok()).sum::<u64>() * 10)
}

async fn skep(size: usize) {
    let node = |()| {
        let section = ConfigSection::empty("transport.quic");
        (skep_transport_quic::PLUGIN.build)(&section, &skep_testkit::build_cx()).expect("a transport")
    };
    let (dialer, listening): (Arc<dyn Transport>, Arc<dyn Transport>) = (node(()), node(()));
    let at = "/ip4/127.0.0.1/udp/0/quic-v1".parse().expect("a multiaddr");
    let mut listener = listening.listen(&at).await.expect("listen");
    let addr = listener.local_addrs().remove(0);
    let accept = async { listener.accept().await.expect("accept").accept().await.expect("take") };
    let (dialed, accepted) = tokio::join!(dialer.dial(&addr), accept);
    let (ours, theirs) = (muxed(dialed.expect("dial")), muxed(accepted));
    let drivers = [tokio::spawn(ours.driver), tokio::spawn(theirs.driver)];
    let write = tokio::spawn(async move {
        let mut stream = ours.conn.open().await.expect("open");
        let chunk = vec![7; BUFFER];
        for _ in 0..size / BUFFER {
            stream.write_all(&chunk).await.expect("write");
        }
        stream.shutdown().await.expect("finish");
        assert_eq!(stream.read_u8().await.expect("the answer"), 1);
    });
    let read = tokio::spawn(async move {
        let mut stream = theirs.conn.accept().await.expect("accept");
        let mut chunk = vec![0; BUFFER];
        let mut heard = 0;
        loop {
            match stream.read(&mut chunk).await.expect("read") {
                0 => break,
                n => heard += n,
            }
        }
        assert_eq!(heard, size);
        stream.write_all(&[1]).await.expect("answer");
        stream.shutdown().await.expect("finish");
    });
    write.await.expect("the writer");
    read.await.expect("the reader");
    drivers.iter().for_each(tokio::task::JoinHandle::abort);
}

fn muxed(link: Link) -> Muxed {
    match link {
        Link::Muxed(link) => link.muxed.into_parts().0,
        other => panic!("{other:?}"),
    }
}

/// The windows of this transport's default table.
fn tuning() -> Arc<quinn::TransportConfig> {
    let config = QuicTransportConfig::default();
    let mut transport = quinn::TransportConfig::default();
    transport
        .stream_receive_window(config.stream_window.into())
        .receive_window(config.connection_window.into())
        .send_window(config.send_window.into())
        .datagram_receive_buffer_size(None);
    Arc::new(transport)
}

fn endpoint(server: Option<quinn::ServerConfig>) -> quinn::Endpoint {
    let config = QuicTransportConfig::default();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind");
    let sizes = socket2::SockRef::from(&socket);
    sizes.set_recv_buffer_size(config.receive_buffer as usize).expect("a buffer");
    sizes.set_send_buffer_size(config.send_buffer as usize).expect("a buffer");
    let runtime = Arc::new(quinn::TokioRuntime);
    quinn::Endpoint::new(quinn::EndpointConfig::default(), server, socket, runtime).expect("an endpoint")
}

async fn raw(size: usize, chunks: bool) {
    let alpn = [b"libp2p".to_vec()];
    let identity = || Identity::new(&Keypair::generate_ed25519()).expect("a certificate");
    let (tls, _) = skep_tls::server_config(&identity(), Verifier::new(None), &alpn);
    let tls = Arc::new(QuicServerConfig::try_from(tls).expect("a cipher"));
    let mut config = quinn::ServerConfig::with_crypto(tls);
    config.transport_config(tuning());
    let server = endpoint(Some(config));
    let (tls, _) = skep_tls::client_config(&identity(), Verifier::new(None), &alpn);
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("a cipher")));
    config.transport_config(tuning());
    let dial = endpoint(None).connect_with(config, server.local_addr().expect("an address"), "x");
    let accept = async { server.accept().await.expect("accept").await.expect("take") };
    let (ours, theirs) = tokio::join!(dial.expect("a dial"), accept);
    let ours = ours.expect("dial");
    let write = tokio::spawn(async move {
        let (mut send, mut recv) = ours.open_bi().await.expect("open");
        let chunk = vec![7; BUFFER];
        for _ in 0..size / BUFFER {
            send.write_all(&chunk).await.expect("write");
        }
        send.finish().expect("finish");
        assert_eq!(recv.read_to_end(1).await.expect("the answer"), [1]);
    });
    let read = tokio::spawn(async move {
        let (mut send, mut recv) = theirs.accept_bi().await.expect("accept");
        let mut buffer = vec![0; BUFFER];
        let mut heard = 0;
        loop {
            let read = if chunks {
                recv.read_chunk(usize::MAX, true).await.expect("read").map(|chunk| chunk.bytes.len())
            } else {
                recv.read(&mut buffer).await.expect("read")
            };
            match read {
                None => break,
                Some(n) => heard += n,
            }
        }
        assert_eq!(heard, size);
        send.write_all(&[1]).await.expect("answer");
        send.finish().expect("finish");
        theirs.closed().await;
    });
    write.await.expect("the writer");
    read.await.expect("the reader");
}
