//! What streams leave behind that a peer resets, or that are reset because it takes nothing. A program of its own, for
//! the memory counted is the process's.
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod ends;
mod strangers;

use ends::{connection, listen, socket_of, transport};
use skep_api::{Code, Keypair, muxer::MuxedConn};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::{alloc::System, sync::Arc};
use strangers::{Flaw, client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Streams before the first look and between looks.
const STREAMS: usize = 4_000;

/// Less than a single allocation for each.
const PER_STREAM: usize = 8;

fn heap() -> usize {
    let stats = HEAP.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

/// A connection of a stranger, at both ends. Its driver and its listener go on by themselves.
async fn connected(
    config: impl FnOnce(&mut quinn::TransportConfig),
) -> (quinn::Connection, Arc<dyn MuxedConn>) {
    let node = transport("");
    let (mut listener, addr) = listen(&node).await;
    let (endpoint, mut dials) = client(&Keypair::generate_ed25519(), Flaw::None);
    let mut tuning = quinn::TransportConfig::default();
    config(&mut tuning);
    dials.transport_config(Arc::new(tuning));
    let dial = endpoint.connect_with(dials, socket_of(&addr), "x").expect("a dial");
    let accept = async { listener.accept().await.expect("accept").accept().await.expect("take") };
    let (dialed, accepted) = tokio::join!(dial, accept);
    let accepted = connection(accepted);
    tokio::spawn(async move {
        let _listener = listener;
        accepted.driver.await
    });
    (dialed.expect("a connection"), accepted.conn)
}

/// Reads until the reset, so that nothing of the stream is left at this end either.
async fn taken_back(mut recv: quinn::RecvStream) {
    let error = loop {
        if let Err(error) = recv.read(&mut [0; 64]).await {
            break error;
        }
    };
    assert!(matches!(error, quinn::ReadError::Reset(_)), "{error}");
}

/// The least that the heap grew by in four rounds, for each stream.
async fn growth(round: impl AsyncFn()) -> usize {
    let mut least = usize::MAX;
    round().await;
    for _ in 0..4 {
        let before = heap();
        round().await;
        least = least.min(heap().saturating_sub(before) / STREAMS);
    }
    least
}

#[tokio::test]
async fn streams_that_the_peer_resets_leave_nothing_behind() {
    let (stranger, node) = connected(|_| {}).await;
    let per_stream = growth(async || {
        for _ in 0..STREAMS {
            // Does not stop the stream: its own end alone is reset.
            let (mut send, recv) = stranger.open_bi().await.expect("open");
            send.reset(7_u8.into()).expect("reset");
            let mut stream = node.accept().await.expect("accept");
            let error = stream.read(&mut [0]).await.expect_err("a reset");
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
            drop(stream);
            taken_back(recv).await;
        }
    });
    let per_stream = per_stream.await;
    assert!(per_stream < PER_STREAM, "{per_stream} bytes each");
}

#[tokio::test]
async fn streams_that_are_reset_for_want_of_room_leave_little_behind() {
    let (stranger, node) = connected(|tuning| {
        // Room for a single byte, which is never read.
        tuning.receive_window(1_u8.into());
    })
    .await;
    let per_stream = growth(async || {
        for _ in 0..STREAMS {
            let (mut send, recv) = stranger.open_bi().await.expect("open");
            send.write_all(b"?").await.expect("write");
            let mut stream = node.accept().await.expect("accept");
            let blocked = async {
                loop {
                    stream.write_all(&[0; 64]).await.expect("no end");
                }
            };
            // Polled once: there is no room.
            tokio::select! {
                biased;
                () = blocked => {}
                () = std::future::ready(()) => {}
            }
            stream.reset(Code::DROPPED);
            taken_back(recv).await;
        }
    });
    let per_stream = per_stream.await;
    assert!(per_stream < PER_STREAM, "{per_stream} bytes each");
}
