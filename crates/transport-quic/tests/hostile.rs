//! Strangers that mean no good: junk of every size, and floods of handshakes that nobody means to end.
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod ends;
mod strangers;

use ends::{connect_at, connection, listen, socket_of, transport};
use skep_api::{
    Multiaddr, Keypair,
    transport::{Incoming, Listener, Transport},
};
use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use strangers::{Flaw, client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The most that UDP carries over IPv4.
const MOST: usize = 65_507;

/// Dials, and hears one byte back.
async fn honest(dialer: &Arc<dyn Transport>, listener: &mut Box<dyn Listener>, addr: &Multiaddr) {
    let (dialed, accepted) = connect_at(dialer, listener, addr).await;
    let (dialed, accepted) = (connection(dialed), connection(accepted));
    let mut stream = dialed.conn.open().await.expect("open");
    stream.write_all(b"x").await.expect("write");
    let mut served = accepted.conn.accept().await.expect("accept");
    assert_eq!(served.read_u8().await.expect("read"), b'x');
}

/// Sends datagrams of every size there is, their content at random but for the first byte, which takes all values.
fn throw_junk(at: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut junk: Vec<u8> = std::iter::repeat_with(|| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_le_bytes()[0]
    })
    .take(2 * MOST)
    .collect();
    for size in 0..=MOST {
        let start = size;
        junk[start] = size.to_le_bytes()[0];
        // A long header of version 1 now and then, which is looked at more closely.
        if size % 3 == 0 && size > 5 {
            junk[start] |= 0xc0;
            junk[start + 1..start + 5].copy_from_slice(&[0, 0, 0, 1]);
        }
        // What the receiver has no room for is lost, as anywhere.
        let _ = socket.send_to(&junk[start..start + size], at);
    }
    // More than this is refused by the system itself.
    assert!(socket.send_to(&junk[..=MOST], at).is_err(), "UDP carried {} bytes", MOST + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_of_every_size_holds_up_nobody() {
    let (dialer, node) = (transport("handshake_timeout = \"30s\""), transport(""));
    let (mut listener, addr) = listen(&node).await;
    let at = socket_of(&addr);
    let over = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&over);
    let junk = tokio::task::spawn_blocking(move || {
        throw_junk(at);
        done.store(true, Ordering::Release);
    });
    let mut served = 0;
    while !over.load(Ordering::Acquire) || served < 3 {
        honest(&dialer, &mut listener, &addr).await;
        served += 1;
    }
    junk.await.expect("the junk");
    honest(&dialer, &mut listener, &addr).await;
}

/// First packets of handshakes, each with connection ids of its own.
async fn first_packets(count: usize, mut each: impl FnMut(&[u8])) {
    let collector = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("bind");
    let at = collector.local_addr().expect("an address");
    let (endpoint, config) = client(&Keypair::generate_ed25519(), Flaw::None);
    let mut packet = vec![0; 2_048];
    for _ in 0..count {
        let dial = endpoint.connect_with(config.clone(), at, "x").expect("a dial");
        let (len, _) = collector.recv_from(&mut packet).await.expect("a packet");
        each(&packet[..len]);
        drop(dial);
        // Its farewell is not for the listener.
        while collector.try_recv_from(&mut packet).is_ok() {}
    }
}

/// Memory that this process holds, in MiB.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = pages.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or_default();
    pages * 4 / 1_024
}

/// Handshakes that begin from many ports and never go on. As many as `SKEP_HALF_OPEN` says, two thousand without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_handshakes_are_bounded_and_hold_up_nobody() {
    const THRESHOLD: usize = 64;
    let count = std::env::var("SKEP_HALF_OPEN").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    let (dialer, node) = (transport("handshake_timeout = \"30s\""), transport(""));
    let (mut listener, addr) = listen(&node).await;
    let at = socket_of(&addr);
    honest(&dialer, &mut listener, &addr).await;
    let before = resident();
    // Whoever accepts is slow: strangers stay in its hands.
    let mut strangers: Vec<Box<dyn Incoming>> = Vec::new();
    let over = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&over);
    let flood = tokio::spawn(async move {
        first_packets(count, |packet| {
            let source = UdpSocket::bind("127.0.0.1:0").expect("bind");
            let _ = source.send_to(packet, at);
        })
        .await;
        done.store(true, Ordering::Release);
    });
    let mut served = 0;
    while !over.load(Ordering::Acquire) || served < 3 {
        let dial = dialer.dial(&addr);
        tokio::pin!(dial);
        let dialed = loop {
            tokio::select! {
                dialed = &mut dial => break dialed,
                incoming = listener.accept() => {
                    let incoming = incoming.expect("accept");
                    // An honest peer comes with a proof of its address once there are too many without.
                    if strangers.len() < THRESHOLD && served == 0 && !is_from(&dialer, &*incoming) {
                        strangers.push(incoming);
                    } else {
                        tokio::spawn(async move { drop(incoming.accept().await) });
                    }
                }
            }
        };
        drop(dialed.expect("an honest dial"));
        served += 1;
    }
    flood.await.expect("the flood");
    let grown = resident().saturating_sub(before);
    println!("{count} half-open handshakes: {served} honest dials served, {} held, {grown} MiB more", strangers.len());
    assert!(strangers.len() <= THRESHOLD);
    assert!(grown < 200, "{grown} MiB more after {count} half-open handshakes");
}

fn is_from(_dialer: &Arc<dyn Transport>, _incoming: &dyn Incoming) -> bool {
    false
}
