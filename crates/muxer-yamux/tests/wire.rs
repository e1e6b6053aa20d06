//! What the peer sees on the wire.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod raw;

use raw::{CREDIT, DATA, FIN, GO_AWAY, RST, SYN, dialer, listener, pair};
use skep_api::{
    CloseReason, Code, Side,
    muxer::{MuxedStream, MuxerErrorKind},
    security::Role,
    stream::StreamError,
};
use skep_testkit::DuplexConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A stream of the node, after its first byte has arrived.
async fn stream(node: &raw::Node, peer: &mut raw::Raw) -> Box<dyn MuxedStream> {
    let mut stream = node.open().await;
    stream.write_all(b"?").await.unwrap();
    let first = peer.next(DATA).await;
    assert_eq!((first.flags, first.stream, first.body.as_slice()), (SYN, 1, b"?".as_slice()));
    stream
}

#[tokio::test(start_paused = true)]
async fn a_reset_carries_its_code() {
    let (node, mut peer) = dialer();
    let mut ours = stream(&node, &mut peer).await;
    ours.reset(Code(0x77));
    let reset = peer.frame().await.unwrap();
    assert_eq!((reset.kind, reset.flags, reset.stream, reset.len), (CREDIT, RST, 1, 0x77));
    assert!(peer.is_silent().await);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_is_reset_even_after_the_peer_finished() {
    for peer_finishes in [false, true] {
        let (node, mut peer) = dialer();
        let mut ours = stream(&node, &mut peer).await;
        if peer_finishes {
            peer.send(CREDIT, FIN, 1, 0).await;
            assert_eq!(ours.read(&mut [0]).await.unwrap(), 0);
        }
        drop(ours);
        let reset = peer.frame().await.unwrap();
        assert_eq!((reset.kind, reset.flags, reset.len), (CREDIT, RST, Code::DROPPED.0));
        assert!(peer.is_silent().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_after_the_end_of_ours_is_sent_if_the_peer_is_not_done() {
    for peer_finishes in [false, true] {
        let (node, mut peer) = dialer();
        let mut ours = stream(&node, &mut peer).await;
        ours.shutdown().await.unwrap();
        let end = peer.frame().await.unwrap();
        assert_eq!((end.kind, end.flags), (DATA, FIN));
        if peer_finishes {
            peer.send(DATA, FIN, 1, 0).await;
            assert_eq!(ours.read(&mut [0]).await.unwrap(), 0);
        }
        ours.reset(Code(5));
        if !peer_finishes {
            let reset = peer.frame().await.unwrap();
            assert_eq!((reset.kind, reset.flags, reset.len), (CREDIT, RST, 5));
        }
        assert!(peer.is_silent().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_to_a_stream_that_is_gone_is_told_once() {
    let (node, mut peer) = dialer();
    let mut ours = stream(&node, &mut peer).await;
    ours.shutdown().await.unwrap();
    drop(ours);
    assert_eq!(peer.frame().await.unwrap().flags, FIN);
    // Nothing is said as long as the peer only reads what was sent.
    peer.send(CREDIT, 0, 1, 1000).await;
    assert!(peer.is_silent().await);
    peer.data(0, 1, &[1; 1000]).await;
    peer.data(0, 1, &[2; 1000]).await;
    let reset = peer.frame().await.unwrap();
    assert_eq!((reset.kind, reset.flags, reset.stream, reset.len), (CREDIT, RST, 1, Code::DROPPED.0));
    assert!(peer.is_silent().await);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_announced_by_whatever_comes_first() {
    let (node, mut peer) = dialer();
    let mut finished = node.open().await;
    finished.shutdown().await.unwrap();
    let frame = peer.frame().await.unwrap();
    assert_eq!((frame.kind, frame.flags, frame.stream), (DATA, SYN | FIN, 1));

    let mut reading = node.open().await;
    let read = tokio::spawn(async move { reading.read_u8().await });
    let frame = peer.frame().await.unwrap();
    assert_eq!((frame.kind, frame.flags, frame.stream, frame.len), (DATA, SYN, 3, 0));
    peer.data(0, 3, b"!").await;
    assert_eq!(read.await.unwrap().unwrap(), b'!');
    assert_eq!(peer.frame().await.unwrap().flags, RST);

    // Nobody has to hear of a stream on which nothing happened.
    drop(node.open().await);
    assert!(peer.is_silent().await);
}

#[tokio::test(start_paused = true)]
async fn resets_of_the_peer_reach_the_reader_and_a_writer_that_waits() {
    let (node, mut peer) = dialer();
    let ours = stream(&node, &mut peer).await;
    let (mut read, mut write) = tokio::io::split(ours);
    let writing = tokio::spawn(async move { write.write_all(&vec![0; 1 << 20]).await });
    let mut taken = 1;
    while taken < 256 * 1024 {
        taken += peer.next(DATA).await.body.len();
    }
    peer.send(CREDIT, RST, 1, Code::RATE_LIMITED.0).await;
    let expected = StreamError::Reset { by: Side::Remote, code: Code::RATE_LIMITED };
    let error = writing.await.unwrap().unwrap_err();
    assert_eq!(StreamError::of(&error), Some(&expected));
    let error = read.read_u8().await.unwrap_err();
    assert_eq!(StreamError::of(&error), Some(&expected));
}

#[tokio::test(start_paused = true)]
async fn a_reset_after_the_end_of_file_does_not_unsay_it() {
    let (node, mut peer) = dialer();
    let mut ours = stream(&node, &mut peer).await;
    peer.data(FIN, 1, b"all of it").await;
    peer.send(CREDIT, RST, 1, 0).await;
    let mut heard = Vec::new();
    ours.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"all of it");
}

#[tokio::test(start_paused = true)]
async fn the_peers_close_is_reported_with_its_code() {
    let cases = [(0, Code::NONE, ""), (1, Code(1), "yamux protocol error"), (0x1005, Code::SUPPLANTED, "")];
    for (sent, code, text) in cases {
        let (node, mut peer) = listener();
        peer.send(GO_AWAY, 0, 0, sent).await;
        let expected = CloseReason::Closed { by: Side::Remote, code, text: text.into() };
        assert_eq!(node.reason().await, expected);
    }
    let (node, peer) = listener();
    drop(peer);
    assert!(matches!(node.reason().await, CloseReason::Lost { .. }));
}

#[tokio::test(start_paused = true)]
async fn close_sends_everything_then_the_code_then_the_end_of_file() {
    let (node, mut peer) = dialer();
    let mut ours = stream(&node, &mut peer).await;
    ours.write_all(&[9; 200_000]).await.unwrap();
    ours.shutdown().await.unwrap();
    let conn = node.conn.clone();
    let closing = tokio::spawn(async move { conn.close(Code::SHUTDOWN).await });
    let mut body = 0;
    let last = loop {
        let frame = peer.frame().await.unwrap();
        if frame.kind != DATA {
            break frame;
        }
        body += frame.body.len();
        assert_eq!(frame.flags & FIN != 0, frame.body.is_empty());
    };
    assert_eq!(body, 200_000);
    assert_eq!((last.kind, last.len), (GO_AWAY, Code::SHUTDOWN.0));
    assert_eq!(peer.frame().await, None);
    drop(peer);
    closing.await.unwrap();
    assert_eq!(node.reason().await, CloseReason::local(Code::SHUTDOWN));
}

#[tokio::test(start_paused = true)]
async fn close_does_not_wait_for_a_peer_that_keeps_its_side_open() {
    let (node, mut peer) = listener();
    node.conn.close(Code::NONE).await;
    assert_eq!(node.reason().await, CloseReason::local(Code::NONE));
    assert_eq!(peer.next(GO_AWAY).await.len, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_too_many_is_reset_and_one_of_ours_is_refused() {
    let table = "max_streams = 2";
    let (node, mut peer) = pair(Role::Listener, table, DuplexConfig::default());
    for id in [1, 3, 5] {
        peer.data(SYN, id, b"hello").await;
    }
    let reset = peer.next(CREDIT).await;
    assert_eq!((reset.flags, reset.stream, reset.len), (RST, 5, Code::RESOURCE_LIMIT.0));
    let first = node.accept().await;
    let _second = node.accept().await;
    assert_eq!(node.conn.open().await.unwrap_err().kind(), MuxerErrorKind::TooManyStreams);

    // Room is made by the drop, and open waits until it is.
    drop(first);
    let mut ours = node.open().await;
    ours.write_all(b"x").await.unwrap();
    assert_eq!(peer.next(CREDIT).await.stream, 1);
    assert_eq!(peer.next(DATA).await.stream, 2);
}
