//! Frames and bytes at random: nothing panics, nothing hangs, and the memory of streams stays bounded.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod raw;

use proptest::{prelude::*, test_runner::RngSeed};
use raw::{Raw, configured, frame};
use skep_api::{CloseReason, security::Role, stream::StreamError};
use skep_testkit::DuplexConfig;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// Some frames of few streams, now and then a wrong one.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![5 => 0..300_usize, 1 => 10_000..100_000_usize];
    prop_oneof![
        30 => (0..6_u64, 0..7_u8, len).prop_map(|(stream, flag, len)| frame(stream, flag, &vec![1; len])),
        1 => (any::<u64>(), 0..8_u8).prop_map(|(stream, flag)| frame(stream >> 3, flag, b"")),
        1 => prop::collection::vec(any::<u8>(), 0..30),
    ]
}

/// What the node says in the end to a peer that sends this, while its streams are read, kept or dropped in turn.
async fn ending(bytes: Vec<u8>, chunks: usize) -> CloseReason {
    let table = "max_streams = 4\naccept_backlog = 2\nmax_buffer = 65536";
    let link = DuplexConfig::short(chunks, usize::MAX);
    let (node, Raw { mut read, mut write }) = configured(Role::Listener, table, link);
    let writing = tokio::spawn(async move {
        let _ = write.write_all(&bytes).await;
        let _ = write.shutdown().await;
    });
    let reading = tokio::spawn(async move {
        let mut sink = Vec::new();
        let _ = read.read_to_end(&mut sink).await;
    });
    let conn = node.conn.clone();
    let serving = tokio::spawn(async move {
        let (mut kept, mut readers) = (Vec::new(), Vec::new());
        let mut turn = 0_u32;
        while let Ok(mut stream) = conn.accept().await {
            assert!(conn.num_streams() <= 4);
            turn += 1;
            match turn % 3 {
                0 => drop(stream),
                1 => kept.push(stream),
                _ => readers.push(tokio::spawn(async move {
                    let _ = stream.write_all(b"hello").await;
                    if let Err(e) = stream.read_to_end(&mut Vec::new()).await {
                        assert!(StreamError::of(&e).is_some(), "{e}");
                    }
                })),
            }
        }
        for reader in readers {
            reader.await.unwrap();
        }
    });
    let reason = node.reason().await;
    serving.await.unwrap();
    reading.abort();
    writing.abort();
    reason
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_the_connection_ends_with_a_reason(
        parts in prop::collection::vec(any_bytes(), 0..60),
        chunks in prop_oneof![Just(1_usize), 2..50_usize, Just(usize::MAX)],
    ) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        let reason = runtime.block_on(async {
            timeout(Duration::from_secs(3_600), ending(parts.concat(), chunks)).await
        });
        prop_assert!(reason.is_ok(), "the connection hangs");
    }
}
