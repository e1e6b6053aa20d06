//! What WebSocket costs over plain TCP: sends one GiB each way over both on this host, and prints the rates.
//!
//! `cargo run --release -p skep-transport-websocket --example throughput`
#![allow(clippy::unwrap_used, reason = "a measurement ends with whatever is wrong")]

use skep_api::{
    BoxIo,
    transport::{Link, Transport},
};
use skep_transport_tcp::TcpTransport;
use skep_transport_websocket::{Certificate, Config, Trust, WebSocketTransport};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

const TOTAL: usize = 1 << 30;
/// As a security layer writes and reads.
const PIECE: usize = 64 * 1024;

#[tokio::main]
async fn main() {
    let tcp: Arc<dyn Transport> = Arc::new(TcpTransport::new(skep_transport_tcp::Config::default()));
    let ws: Arc<dyn Transport> = Arc::new(WebSocketTransport::new(&Config::default()).unwrap());
    let unchecked = Config { certificate: Certificate::SelfSigned, roots: Trust::None, ..Config::default() };
    let wss: Arc<dyn Transport> = Arc::new(WebSocketTransport::new(&unchecked).unwrap());
    for _ in 0..3 {
        for (name, transport, addr) in [
            ("tcp", &tcp, "/ip4/127.0.0.1/tcp/0"),
            ("ws", &ws, "/ip4/127.0.0.1/tcp/0/ws"),
            ("wss", &wss, "/ip4/127.0.0.1/tcp/0/tls/ws"),
        ] {
            let (dialled, accepted) = connect(transport, addr).await;
            let (up, dialled, accepted) = transfer(dialled, accepted).await;
            let (down, ..) = transfer(accepted, dialled).await;
            println!("{name:4} up {up:6.0} MiB/s   down {down:6.0} MiB/s");
        }
    }
}

async fn connect(transport: &Arc<dyn Transport>, addr: &str) -> (BoxIo, BoxIo) {
    let mut listener = transport.listen(&addr.parse().unwrap()).await.unwrap();
    let to = listener.local_addrs().remove(0);
    let transport = Arc::clone(transport);
    let dial = tokio::spawn(async move { transport.dial(&to).await.unwrap() });
    let accepted = listener.accept().await.unwrap().accept().await.unwrap();
    (io_of(dial.await.unwrap()), io_of(accepted))
}

fn io_of(link: Link) -> BoxIo {
    match link {
        Link::Raw(link) => link.io,
        other => panic!("a raw link was expected: {other:?}"),
    }
}

/// Sends in one direction; the rate in MiB/s, and the two ends again.
async fn transfer(mut from: BoxIo, mut to: BoxIo) -> (f64, BoxIo, BoxIo) {
    let start = Instant::now();
    let sender = tokio::spawn(async move {
        let piece = vec![7; PIECE];
        for _ in 0..TOTAL / PIECE {
            from.write_all(&piece).await.unwrap();
        }
        from.flush().await.unwrap();
        from
    });
    let mut some = vec![0; PIECE];
    let mut left = TOTAL;
    while left > 0 {
        left -= to.read(&mut some).await.unwrap();
    }
    let rate = (TOTAL >> 20) as f64 / start.elapsed().as_secs_f64();
    (rate, sender.await.unwrap(), to)
}
