//! Peers that break the protocol, or try to wear the node out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod raw;

use raw::{ACK, CREDIT, DATA, FIN, GO_AWAY, PING, RST, Raw, SYN, header, listener, pair};
use skep_api::{CloseReason, Code, security::Role};
use skep_testkit::DuplexConfig;
use std::time::Duration;
use tokio::{io::AsyncWriteExt, time::timeout};

const WINDOW: u32 = 256 * 1024;

/// What a listening node says of a peer that sends this, and what it tells the peer.
async fn verdict(bytes: Vec<u8>) -> (String, Option<u32>) {
    let (node, Raw { read, mut write }) = listener();
    let writing = tokio::spawn(async move {
        let _ = write.write_all(&bytes).await;
        write
    });
    let reading = async move {
        let mut peer = Raw { read, write: writing.await.unwrap() };
        while let Some(frame) = peer.any_frame().await {
            if frame.kind == GO_AWAY {
                return Some(frame.len);
            }
        }
        None
    };
    let reading = tokio::spawn(reading);
    let waiting = tokio::spawn({
        let conn = node.conn.clone();
        async move {
            let mut streams = Vec::new();
            while let Ok(stream) = conn.accept().await {
                streams.push(stream);
            }
        }
    });
    let CloseReason::Violation { what } = node.reason().await else { panic!("not a violation") };
    waiting.await.unwrap();
    (what, reading.await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn broken_frames_end_the_connection_with_a_reason() {
    let open = header(CREDIT, SYN, 1, 0);
    let with = |frame: Vec<u8>| [open.clone(), frame].concat();
    let window = usize::try_from(WINDOW).unwrap();
    let too_much = [header(DATA, 0, 1, WINDOW + 1), vec![0; window + 1]].concat();
    let too_much_at_once = [header(DATA, SYN, 1, WINDOW + 1), vec![0; window + 1]].concat();
    let twice_the_credit =
        [open.clone(), header(CREDIT, 0, 1, u32::MAX), header(CREDIT, 0, 1, u32::MAX)].concat();
    let cases = [
        (twice_the_credit, "it gave 4294967295 bytes of credit to stream 1, which overflows the window"),
        (
            header(CREDIT, SYN, 1, u32::MAX),
            "it gave 4294967295 bytes of credit to stream 1, which overflows the window",
        ),
        (too_much_at_once, "it opened stream 1 with 262145 bytes, the first window is 262144"),
        (with(too_much), "it sent 262145 bytes to stream 1, more than its window"),
        (vec![1; 12], "it sent a frame of yamux version 1, only 0 is known"),
        (vec![0xff; 64 * 1024], "it sent a frame of yamux version 255, only 0 is known"),
        (header(9, 0, 1, 0), "it sent a frame of the unknown type 9"),
        (vec![0; 64 * 1024], "a frame with data or credit for stream 0, which is the connection"),
        (header(DATA, SYN, 2, 0), "it opened stream 2, a number that is ours to give"),
        (with(open.clone()), "it opened stream 1 twice"),
        (header(PING, ACK, 0, 77), "it answered a ping that was not sent (77)"),
    ];
    for (bytes, expected) in cases {
        assert_eq!(verdict(bytes).await, (expected.to_string(), Some(1)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_is_held_back_and_then_cut_off() {
    let small = DuplexConfig::default().with_capacity(4096);
    let (node, mut peer) = pair(Role::Listener, "write_timeout = \"7s\"", small);
    let started = tokio::time::Instant::now();
    let ping = header(PING, SYN, 0, 1);
    let mut taken = 0_usize;
    while let Ok(Ok(())) = timeout(Duration::from_secs(1), peer.write.write_all(&ping)).await {
        taken += ping.len();
    }
    // Its own lane holds 4 KiB of them and the lane of the answers as much.
    assert!(taken < 3 * 4096, "{taken} bytes of pings were taken");
    assert_eq!(node.reason().await, CloseReason::Lost { what: "the peer has not read for 7s".into() });
    assert!(started.elapsed() < Duration::from_secs(8));
}

#[tokio::test(start_paused = true)]
async fn opens_that_nobody_takes_leave_a_bounded_queue_and_a_working_connection() {
    let (node, Raw { mut read, mut write }) = listener();
    let flood = tokio::spawn(async move {
        for id in 0..2_000_u32 {
            write.write_all(&header(DATA, SYN, 2 * id + 1, 0)).await.unwrap();
        }
        write.write_all(&header(PING, SYN, 0, 4711)).await.unwrap();
        write
    });
    let mut resets = 0;
    loop {
        let bytes = {
            let mut bytes = [0; 12];
            tokio::io::AsyncReadExt::read_exact(&mut read, &mut bytes).await.unwrap();
            bytes.to_vec()
        };
        if bytes == header(PING, ACK, 0, 4711) {
            break;
        }
        if bytes[..4] == header(CREDIT, RST, 0, 0)[..4] {
            assert_eq!(bytes[8..], Code::RESOURCE_LIMIT.0.to_be_bytes());
            resets += 1;
        }
    }
    let _write = flood.await.unwrap();
    assert_eq!(resets, 2_000 - 256);
    assert_eq!(node.conn.num_streams(), 256);
    for id in 0..256_u64 {
        assert_eq!(node.accept().await.id(), 2 * id + 1);
    }
    assert_eq!(node.conn.num_streams(), 0);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_opens_that_nobody_takes_end_the_connection() {
    let (node, Raw { mut read, mut write }) = listener();
    let flood = tokio::spawn(async move {
        for id in 0..10_000_u32 {
            if write.write_all(&header(DATA, SYN, 2 * id + 1, 0)).await.is_err() {
                break;
            }
        }
    });
    let mut answers = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut answers).await;
    let what = "it opened 4096 streams in a row that were refused".into();
    assert_eq!(node.reason().await, CloseReason::Violation { what });
    assert!(answers.len() <= 12 * (10_000 - 256), "{} bytes of answers", answers.len());
    flood.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn frames_of_one_byte_that_nobody_reads_end_the_connection() {
    let (node, Raw { mut read, mut write }) = listener();
    let flood = tokio::spawn(async move {
        write.write_all(&header(DATA, SYN, 1, 0)).await.unwrap();
        for _ in 0..20_000_u32 {
            if write.write_all(&[header(DATA, 0, 1, 1), vec![7]].concat()).await.is_err() {
                break;
            }
        }
    });
    let _unread = node.accept().await;
    let mut answers = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut answers).await;
    let what = "it sent 16384 frames to stream 1 that nobody has read yet".into();
    assert_eq!(node.reason().await, CloseReason::Violation { what });
    flood.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn data_for_streams_that_never_were_costs_a_reset_each_and_no_memory() {
    let (node, Raw { read, mut write }) = listener();
    let flood = tokio::spawn(async move {
        for id in 0..5_000_u32 {
            write.write_all(&[header(DATA, 0, 2 * id + 1, 100), vec![0; 100]].concat()).await.unwrap();
        }
        write.write_all(&header(DATA, SYN | FIN, 10_001, 0)).await.unwrap();
        write
    });
    let reading = tokio::spawn(async move {
        let mut read = read;
        let mut sink = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut sink).await;
        sink.len()
    });
    assert_eq!(node.accept().await.id(), 10_001);
    drop(flood.await.unwrap());
    assert_eq!(node.conn.num_streams(), 0);
    node.driver.abort();
    assert!(reading.await.unwrap() >= 5_000 * 12);
}
