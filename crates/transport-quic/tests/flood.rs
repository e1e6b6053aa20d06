//! Floods of handshakes that nobody means to end. A program of its own, for the memory counted is the process's.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod ends;
mod strangers;

use ends::{connect_at, listen, socket_of, transport};
use skep_api::{Keypair, transport::Incoming};
use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use strangers::{Flaw, client};

/// First packets of handshakes, each with connection ids of its own. Made in a runtime of its own, so that nothing is left
/// of who made them.
fn first_packets(count: usize) -> Vec<Vec<u8>> {
    let make = async move {
        let collector = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("bind");
        let at = collector.local_addr().expect("an address");
        let (endpoint, config) = client(&Keypair::generate_ed25519(), Flaw::None);
        let (mut packet, mut packets) = (vec![0; 2_048], Vec::new());
        for _ in 0..count {
            let dial = endpoint.connect_with(config.clone(), at, "x").expect("a dial");
            let (len, _) = collector.recv_from(&mut packet).await.expect("a packet");
            packets.push(packet[..len].to_vec());
            drop(dial);
            // Its farewell is not for the listener.
            while collector.try_recv_from(&mut packet).is_ok() {}
        }
        packets
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    std::thread::spawn(move || runtime.block_on(make)).join().expect("packets")
}

/// Memory that this process holds, in MiB.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = pages.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or_default();
    pages * 4 / 1_024
}

/// Begins handshakes from so many ports, in a thread. A packet that the listener has turned away is new to it again.
fn flood(
    packets: Vec<Vec<u8>>,
    count: usize,
    at: SocketAddr,
) -> (tokio::task::JoinHandle<()>, Arc<AtomicBool>) {
    let over = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&over);
    let flood = tokio::task::spawn_blocking(move || {
        for packet in packets.iter().cycle().take(count) {
            let source = UdpSocket::bind("127.0.0.1:0").expect("bind");
            let _ = source.send_to(packet, at);
        }
        done.store(true, Ordering::Release);
    });
    (flood, over)
}

/// Handshakes that begin from many ports and never go on. As many as `SKEP_HALF_OPEN` says, two thousand without it.
///
/// Whoever accepts does the worst that is allowed: it never decides about a stranger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_handshakes_are_bounded_and_hold_up_nobody() {
    let count = std::env::var("SKEP_HALF_OPEN").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    let (dialer, node) = (transport("handshake_timeout = \"30s\""), transport("retry_threshold = 16"));
    let (mut listener, addr) = listen(&node).await;
    // All dials of a node come from one port.
    let (first, _accepted) = connect_at(&dialer, &mut listener, &addr).await;
    let packets = first_packets(count.min(2_000));
    let before = resident();
    let (flood, over) = flood(packets, count, socket_of(&addr));
    let mut strangers: Vec<Box<dyn Incoming>> = Vec::new();
    let mut served = 0;
    while !over.load(Ordering::Acquire) || served < 3 {
        let mut dial = dialer.dial(&addr);
        let dialed = loop {
            tokio::select! {
                dialed = &mut dial => break dialed,
                incoming = listener.accept() => {
                    let incoming = incoming.expect("accept");
                    if incoming.remote_addr() == first.local() {
                        tokio::spawn(async move { drop(incoming.accept().await) });
                    } else {
                        strangers.push(incoming);
                    }
                }
            }
        };
        drop(dialed.expect("an honest dial"));
        served += 1;
    }
    flood.await.expect("the flood");
    let (held, grown) = (strangers.len(), resident().saturating_sub(before));
    println!(
        "{count} half-open handshakes: {served} honest dials served, {held} strangers held, {grown} MiB more"
    );
    assert!(held <= 16, "{held} strangers were let in without a proof of their address");
    assert!(grown < 32, "{grown} MiB more after {count} half-open handshakes");
}
