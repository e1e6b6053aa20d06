//! Peers that break the protocol, or try to wear the node out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod raw;

use raw::{
    CLOSE_INITIATOR, MESSAGE_INITIATOR, MESSAGE_RECEIVER, OPEN, RESET_INITIATOR, RESET_RECEIVER, Raw,
    configured, frame, header, pair, varint,
};
use skep_api::{CloseReason, Code, Side, security::Role, stream::StreamError};
use skep_testkit::DuplexConfig;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep, timeout},
};

const SECOND: Duration = Duration::from_secs(1);

/// What a node says of a peer that sends this, while its streams are accepted and kept.
async fn verdict(role: Role, bytes: Vec<u8>) -> String {
    let (node, Raw { mut read, mut write }) = pair(role);
    let writing = tokio::spawn(async move {
        let _ = write.write_all(&bytes).await;
        write
    });
    let reading = tokio::spawn(async move {
        let mut bytes = Vec::new();
        let _ = read.read_to_end(&mut bytes).await;
    });
    let conn = node.conn.clone();
    let accepting = tokio::spawn(async move {
        let mut streams = Vec::new();
        while let Ok(stream) = conn.accept().await {
            streams.push(stream);
        }
        for mut stream in streams {
            let error = stream.write_all(b"x").await.unwrap_err();
            assert!(matches!(StreamError::of(&error), Some(StreamError::ConnectionLost(_))), "{error}");
        }
    });
    let reason = node.reason().await;
    let CloseReason::Violation { what } = reason else { panic!("not a violation: {reason}") };
    accepting.await.unwrap();
    reading.await.unwrap();
    drop(writing.await.unwrap());
    what
}

#[tokio::test(start_paused = true)]
async fn broken_frames_end_the_connection_with_a_reason() {
    let open = frame(1, OPEN, b"");
    let with = |frame: Vec<u8>| [open.clone(), frame].concat();
    let after_close = [frame(1, CLOSE_INITIATOR, b""), frame(1, MESSAGE_INITIATOR, b"more")].concat();
    let cases = [
        (
            header(1, OPEN, 1 << 63),
            "it sent a frame of 9223372036854775808 bytes, at most 1048576 are allowed",
        ),
        (
            with(header(1, MESSAGE_INITIATOR, u64::MAX)),
            "it sent a frame of 18446744073709551615 bytes, at most",
        ),
        (
            header(9, MESSAGE_INITIATOR, 1 << 21),
            "it sent a frame of 2097152 bytes, at most 1048576 are allowed",
        ),
        ([vec![0x80; 10], vec![0]].concat(), "it sent a malformed number"),
        (vec![0xff; 64 * 1024], "it sent a malformed number"),
        ([varint(8), vec![0x80; 11]].concat(), "it sent a malformed number"),
        (vec![0x80, 0], "it sent a malformed number"),
        (vec![7, 0], "it sent a frame with the unknown flag 7"),
        (with(open.clone()), "it opened stream 1 twice"),
        (vec![0; 64 * 1024], "it opened stream 0 twice"),
        (with(after_close), "it sent data on stream 1 (opened by the peer) after it had closed it"),
    ];
    for (bytes, expected) in cases {
        for role in [Role::Dialer, Role::Listener] {
            let what = verdict(role, bytes.clone()).await;
            assert!(what.starts_with(expected), "{what}, expected {expected}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn frames_for_streams_that_never_were_cost_a_reset_each_and_no_memory() {
    const STREAMS: u64 = 5_000;
    let (node, Raw { mut read, mut write }) = pair(Role::Listener);
    let flood = tokio::spawn(async move {
        for stream in 0..STREAMS {
            for flag in
                [RESET_INITIATOR, CLOSE_INITIATOR, RESET_RECEIVER, MESSAGE_INITIATOR, MESSAGE_INITIATOR]
            {
                write.write_all(&frame(stream, flag, &[0; 100])).await.unwrap();
            }
        }
        write.write_all(&frame(1 << 40, OPEN, b"")).await.unwrap();
        write
    });
    let reading = tokio::spawn(async move {
        let mut sink = Vec::new();
        let _ = read.read_to_end(&mut sink).await;
        sink
    });
    let stream = node.accept().await;
    assert_eq!(stream.id(), 1 << 41 | 1);
    assert_eq!(node.conn.num_streams(), 1);
    flood.await.unwrap().shutdown().await.unwrap();
    assert_eq!(node.reason().await, CloseReason::remote(Code::UNKNOWN));
    let expected: Vec<u8> = (0..STREAMS).flat_map(|stream| frame(stream, RESET_RECEIVER, b"")).collect();
    assert!(reading.await.unwrap() == expected, "not one reset for each stream");
}

#[tokio::test(start_paused = true)]
async fn opens_that_nobody_takes_leave_a_bounded_queue_and_a_working_connection() {
    let (node, Raw { mut read, mut write }) = pair(Role::Listener);
    for stream in 0..2_000 {
        write.write_all(&frame(stream, OPEN, b"a name that nobody keeps")).await.unwrap();
    }
    let mut resets = vec![0; (64..2_000).map(|stream| header(stream, RESET_RECEIVER, 0).len()).sum()];
    read.read_exact(&mut resets).await.unwrap();
    let expected: Vec<u8> = (64..2_000).flat_map(|stream| header(stream, RESET_RECEIVER, 0)).collect();
    assert!(resets == expected, "not one reset for each stream too many");
    assert_eq!(node.conn.num_streams(), 64);
    for number in 0..64_u64 {
        assert_eq!(node.accept().await.id(), 2 * number + 1);
    }
    sleep(SECOND).await;
    assert_eq!(node.conn.num_streams(), 0);
    write.write_all(&frame(5_000, OPEN, b"")).await.unwrap();
    assert_eq!(node.accept().await.id(), 10_001);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_opens_that_nobody_takes_end_the_connection() {
    let (node, Raw { mut read, mut write }) = pair(Role::Listener);
    let flood = tokio::spawn(async move {
        for stream in 0..10_000 {
            if write.write_all(&frame(stream, OPEN, b"")).await.is_err() {
                break;
            }
        }
    });
    let mut answers = Vec::new();
    let _ = read.read_to_end(&mut answers).await;
    let what = "it opened 4096 streams in a row that were refused".into();
    assert_eq!(node.reason().await, CloseReason::Violation { what });
    flood.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn streams_opened_and_reset_at_once_are_bounded_and_free_their_places() {
    let (node, Raw { mut read, mut write }) = pair(Role::Listener);
    let conn = node.conn.clone();
    let serving = tokio::spawn(async move {
        let mut served = 0_u32;
        while let Ok(mut stream) = conn.accept().await {
            assert!(conn.num_streams() <= 128);
            let _ = stream.write_all(b"an answer").await;
            served += 1;
        }
        served
    });
    let reading = tokio::spawn(async move {
        let mut sink = Vec::new();
        let _ = read.read_to_end(&mut sink).await;
    });
    for stream in 0..20_000 {
        let rapid = [frame(stream, OPEN, b""), frame(stream, RESET_INITIATOR, b"")].concat();
        write.write_all(&rapid).await.unwrap();
    }
    write.shutdown().await.unwrap();
    assert_eq!(node.reason().await, CloseReason::remote(Code::UNKNOWN));
    assert_eq!(serving.await.unwrap(), 20_000);
    reading.abort();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_and_floods_is_held_back_and_then_cut_off() {
    let small = DuplexConfig::default().with_capacity(4096);
    let (node, mut peer) = configured(Role::Listener, "write_timeout = \"7s\"", small);
    let started = Instant::now();
    let mut taken = 0_u64;
    // Each beyond the sixty-fourth asks for an answer.
    while let Ok(Ok(())) = timeout(SECOND, peer.write.write_all(&frame(taken, OPEN, b""))).await {
        taken += 1;
    }
    // Its own lane holds 4 KiB of them, the lane of the answers as much, and the node some in between.
    assert!(taken < 4_000, "{taken} streams were opened by a peer that does not read");
    assert_eq!(node.reason().await, CloseReason::Lost { what: "the peer has not read for 7s".into() });
    assert!(started.elapsed() < 9 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_holds_up_no_writer_for_ever() {
    let small = DuplexConfig::default().with_capacity(4096);
    let (node, _peer) = configured(Role::Dialer, "", small);
    let mut stream = node.open().await;
    let error = stream.write_all(&vec![0; 10 << 20]).await.unwrap_err();
    let lost = CloseReason::Lost { what: "the peer has not read for 30s".into() };
    assert_eq!(StreamError::of(&error), Some(&StreamError::ConnectionLost(lost.clone())));
    assert_eq!(node.reason().await, lost);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_is_given_up_and_the_others_go_on() {
    let (node, mut peer) = pair(Role::Listener);
    peer.send(1, OPEN, b"").await;
    peer.send(2, OPEN, b"").await;
    let (mut slow, mut quick) = (node.accept().await, node.accept().await);
    // One byte more than there is room for, and then something for the other one.
    let started = Instant::now();
    for _ in 0..4 {
        peer.send(1, MESSAGE_INITIATOR, &vec![1; 64 * 1024]).await;
    }
    peer.send(2, MESSAGE_INITIATOR, b"before").await;
    quick.read_exact(&mut [0; 6]).await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO, "a buffer that is just full holds nobody up");
    peer.send(1, MESSAGE_INITIATOR, b"!").await;
    peer.send(2, MESSAGE_INITIATOR, b"after").await;
    quick.read_exact(&mut [0; 5]).await.unwrap();
    assert_eq!(started.elapsed(), SECOND);
    peer.expect(1, RESET_RECEIVER).await;
    let error = slow.read_u8().await.unwrap_err();
    let given_up = StreamError::Reset { by: Side::Local, code: Code::RESOURCE_LIMIT };
    assert_eq!(StreamError::of(&error), Some(&given_up));
    assert!(peer.is_silent().await);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_keeps_up_in_time_loses_nothing_and_one_that_trickles_is_given_up() {
    for (chunk, keeps_up) in [(16 * 1024, true), (1024, false)] {
        let (node, mut peer) = pair(Role::Listener);
        peer.send(1, OPEN, b"").await;
        let mut stream = node.accept().await;
        let sending = tokio::spawn(async move {
            for _ in 0..64 {
                peer.send(1, MESSAGE_INITIATOR, &vec![1; 64 * 1024]).await;
            }
            peer.send(1, CLOSE_INITIATOR, b"").await;
            peer
        });
        let mut read = 0;
        let end = loop {
            sleep(Duration::from_millis(50)).await;
            match stream.read(&mut vec![0; chunk]).await {
                Ok(0) => break Ok(()),
                Ok(n) => read += n,
                Err(e) => break Err(StreamError::of(&e).unwrap().clone()),
            }
        };
        // Half of the buffer has to be read within a second: 128 KiB, in twenty reads.
        match keeps_up {
            true => assert_eq!((end, read), (Ok(()), 4 << 20)),
            false => {
                assert_eq!(end, Err(StreamError::Reset { by: Side::Local, code: Code::RESOURCE_LIMIT }));
            }
        }
        drop(sending.await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn full_streams_hold_no_more_than_their_buffers() {
    let table = "max_streams = 16\nmax_buffer = 65536\nslow_reader_timeout = \"1m\"";
    let (node, mut peer) = configured(Role::Listener, table, DuplexConfig::default().with_capacity(1024));
    let mut streams = Vec::new();
    for stream in 0..8 {
        peer.send(stream, OPEN, b"").await;
        streams.push(node.accept().await);
    }
    for stream in 0..8 {
        peer.send(stream, MESSAGE_INITIATOR, &vec![1; 65_536]).await;
    }
    // The next byte stays in the link, with what follows it.
    let more = frame(0, MESSAGE_INITIATOR, &vec![1; 65_536]);
    let mut taken = 0_usize;
    while let Ok(Ok(n)) = timeout(SECOND, peer.write.write(&more[taken..])).await {
        taken += n;
    }
    // What the link has room for, and what the node reads ahead.
    assert!(taken <= 1024 + 16 * 1024 + 16, "{taken} bytes more were taken");
    for stream in &mut streams {
        let mut heard = vec![0; 65_536];
        stream.read_exact(&mut heard).await.unwrap();
    }
    peer.write.write_all(&more[taken..]).await.unwrap();
    streams[0].read_exact(&mut vec![0; 65_536]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn empty_frames_and_tiny_ones_are_harmless() {
    let (node, mut peer) = pair(Role::Listener);
    peer.send(1, OPEN, b"").await;
    let mut stream = node.accept().await;
    let sending = tokio::spawn(async move {
        for _ in 0..100_000 {
            peer.send(1, MESSAGE_INITIATOR, b"").await;
        }
        for _ in 0..50_000 {
            peer.send(1, MESSAGE_INITIATOR, b"x").await;
        }
        peer.send(1, CLOSE_INITIATOR, b"").await;
        // A second end, a reset and an end again are no news.
        for flag in [CLOSE_INITIATOR, RESET_INITIATOR, CLOSE_INITIATOR, MESSAGE_INITIATOR] {
            peer.send(1, flag, b"late").await;
        }
        peer.send(7, MESSAGE_RECEIVER, b"for a stream that was never opened").await;
        peer
    });
    sleep(SECOND).await;
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard.len(), 50_000);
    let mut peer = sending.await.unwrap();
    peer.expect(7, RESET_INITIATOR).await;
}
