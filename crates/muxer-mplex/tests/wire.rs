//! What the peer sees on the wire, byte by byte (libp2p specs, mplex/README.md).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod raw;

use raw::{
    CLOSE_INITIATOR, CLOSE_RECEIVER, Frame, MESSAGE_INITIATOR, MESSAGE_RECEIVER, Node, OPEN, RESET_INITIATOR,
    RESET_RECEIVER, Raw, configured, pair,
};
use skep_api::{
    CloseReason, Code, Side,
    muxer::{MuxedStream, MuxerErrorKind},
    security::Role,
    stream::StreamError,
};
use skep_testkit::DuplexConfig;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

const ROLES: [Role; 2] = [Role::Dialer, Role::Listener];

/// A stream that the node opened, after its first byte has arrived.
async fn ours(node: &Node, peer: &mut Raw) -> Box<dyn MuxedStream> {
    let mut stream = node.open().await;
    stream.write_all(b"?").await.unwrap();
    peer.expect(1, OPEN).await;
    assert_eq!(peer.frame().await, Some(Frame { stream: 1, flag: MESSAGE_INITIATOR, body: b"?".to_vec() }));
    stream
}

/// A stream that the peer opened, after its first byte has arrived.
async fn theirs(node: &Node, peer: &mut Raw) -> Box<dyn MuxedStream> {
    peer.send(1, OPEN, b"the name").await;
    peer.send(1, MESSAGE_INITIATOR, b"?").await;
    let mut stream = node.accept().await;
    assert_eq!(stream.read_u8().await.unwrap(), b'?');
    stream
}

fn reset_by_peer() -> StreamError {
    StreamError::Reset { by: Side::Remote, code: Code::UNKNOWN }
}

fn error<T: std::fmt::Debug>(result: std::io::Result<T>) -> StreamError {
    StreamError::of(&result.unwrap_err()).unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn both_roles_open_write_and_close_with_the_flags_of_an_initiator() {
    for role in ROLES {
        let (node, peer) = pair(role);
        let mut stream = node.open().await;
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        let Raw { mut read, write: _write } = peer;
        let mut bytes = [0; 11];
        read.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"\x08\x00\x0a\x05hello\x0c\x00", "{role}");
    }
}

#[tokio::test(start_paused = true)]
async fn both_roles_answer_with_the_flags_of_a_receiver() {
    for role in ROLES {
        let (node, mut peer) = pair(role);
        peer.write.write_all(b"\x98\x01\x04name\x9a\x01\x02hi\x9c\x01\x00").await.unwrap();
        let mut stream = node.accept().await;
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"hi", "{role}");
        stream.write_all(b"yes").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut bytes = [0; 9];
        peer.read.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"\x99\x01\x03yes\x9b\x01\x00", "{role}");
    }
}

#[tokio::test(start_paused = true)]
async fn both_ends_may_give_a_stream_the_same_number() {
    let (node, mut peer) = pair(Role::Dialer);
    let mut ours = ours(&node, &mut peer).await;
    let mut theirs = theirs(&node, &mut peer).await;
    assert_ne!(ours.id(), theirs.id());
    peer.send(1, MESSAGE_RECEIVER, b"to the one you opened").await;
    peer.send(1, MESSAGE_INITIATOR, b"to the one I opened").await;
    peer.send(1, CLOSE_RECEIVER, b"").await;
    peer.send(1, CLOSE_INITIATOR, b"").await;
    let mut heard = String::new();
    ours.read_to_string(&mut heard).await.unwrap();
    theirs.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "to the one you openedto the one I opened");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_or_reset_sends_one_reset_at_once() {
    for by_drop in [true, false] {
        let (node, mut peer) = pair(Role::Dialer);
        let mut stream = ours(&node, &mut peer).await;
        if !by_drop {
            stream.reset(Code(7));
            assert_eq!(error(stream.read_u8().await), StreamError::Reset { by: Side::Local, code: Code(7) });
        }
        drop(stream);
        peer.expect(1, RESET_INITIATOR).await;
        assert!(peer.is_silent().await);

        let stream = theirs(&node, &mut peer).await;
        drop(stream);
        peer.expect(1, RESET_RECEIVER).await;
        assert!(peer.is_silent().await);
        assert_eq!(node.conn.num_streams(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_unfinished_is_a_reset_although_the_peer_has_finished() {
    let (node, mut peer) = pair(Role::Listener);
    let mut stream = theirs(&node, &mut peer).await;
    peer.send(1, CLOSE_INITIATOR, b"").await;
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    drop(stream);
    peer.expect(1, RESET_RECEIVER).await;
    assert!(peer.is_silent().await);
}

#[tokio::test(start_paused = true)]
async fn a_reset_after_the_end_of_ours_is_sent_if_the_peer_is_not_done() {
    for peer_finishes in [false, true] {
        let (node, mut peer) = pair(Role::Dialer);
        let mut stream = ours(&node, &mut peer).await;
        stream.shutdown().await.unwrap();
        peer.expect(1, CLOSE_INITIATOR).await;
        if peer_finishes {
            peer.send(1, CLOSE_RECEIVER, b"").await;
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        }
        stream.reset(Code(5));
        if !peer_finishes {
            peer.expect(1, RESET_INITIATOR).await;
        }
        assert!(peer.is_silent().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_to_a_stream_that_is_gone_is_told_once() {
    let (node, mut peer) = pair(Role::Dialer);
    let mut stream = ours(&node, &mut peer).await;
    stream.shutdown().await.unwrap();
    drop(stream);
    peer.expect(1, CLOSE_INITIATOR).await;
    assert!(peer.is_silent().await, "as long as the peer only reads");
    for _ in 0..3 {
        peer.send(1, MESSAGE_RECEIVER, &[1; 1_000]).await;
    }
    peer.expect(1, RESET_INITIATOR).await;
    peer.send(1, CLOSE_RECEIVER, b"").await;
    peer.send(1, RESET_RECEIVER, b"").await;
    assert!(peer.is_silent().await);
}

#[tokio::test(start_paused = true)]
async fn a_reset_of_the_peer_is_no_end_of_file_and_drops_what_is_in_flight() {
    let (node, mut peer) = pair(Role::Dialer);
    let mut stream = ours(&node, &mut peer).await;
    peer.send(1, MESSAGE_RECEIVER, b"never to be read").await;
    peer.send(1, RESET_RECEIVER, b"").await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(error(stream.read_u8().await), reset_by_peer());
    assert_eq!(error(stream.write(b"x").await), reset_by_peer());
    drop(stream);
    assert!(peer.is_silent().await, "a reset is not answered");
    assert_eq!(node.conn.num_streams(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reset_after_the_end_of_file_does_not_unsay_it() {
    let (node, mut peer) = pair(Role::Dialer);
    let mut stream = ours(&node, &mut peer).await;
    peer.send(1, MESSAGE_RECEIVER, b"all of it").await;
    peer.send(1, CLOSE_RECEIVER, b"").await;
    peer.send(1, RESET_RECEIVER, b"").await;
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"all of it");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(error(stream.write(b"x").await), reset_by_peer());
}

#[tokio::test(start_paused = true)]
async fn frames_are_no_larger_than_asked_for_and_streams_take_turns() {
    let table = "frame_size = 1024";
    let (node, mut peer) = configured(Role::Dialer, table, DuplexConfig::default().with_capacity(512));
    let (mut one, mut two) = (node.open().await, node.open().await);
    one.write_all(&[1; 10_000]).await.unwrap();
    two.write_all(&[2; 10_000]).await.unwrap();
    let mut sent = Vec::new();
    let mut bytes = 0;
    while bytes < 20_000 {
        let frame = peer.frame().await.unwrap();
        if frame.flag == MESSAGE_INITIATOR {
            assert!(frame.body.len() <= 1024);
            bytes += frame.body.len();
            sent.push(frame.stream);
        }
    }
    let second = sent.iter().position(|stream| *stream == 2).unwrap();
    let last_of_first = sent.iter().rposition(|stream| *stream == 1).unwrap();
    assert!(second < last_of_first, "one stream after the other: {sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_frame_of_a_mebibyte_is_taken_and_one_byte_more_is_not() {
    let most = 1 << 20;
    let (node, mut peer) = pair(Role::Listener);
    peer.send(3, OPEN, b"").await;
    let sending = tokio::spawn(async move {
        peer.send(3, MESSAGE_INITIATOR, &vec![7; most]).await;
        peer
    });
    let mut stream = node.accept().await;
    let mut heard = vec![0; most];
    stream.read_exact(&mut heard).await.unwrap();
    assert!(heard.iter().all(|byte| *byte == 7));
    let mut peer = sending.await.unwrap();
    peer.write.write_all(&raw::header(3, MESSAGE_INITIATOR, (1 << 20) + 1)).await.unwrap();
    let what = "it sent a frame of 1048577 bytes, at most 1048576 are allowed".into();
    assert_eq!(node.reason().await, CloseReason::Violation { what });
}

#[tokio::test(start_paused = true)]
async fn close_sends_everything_and_then_the_end_of_file() {
    let (node, mut peer) = pair(Role::Dialer);
    let mut stream = ours(&node, &mut peer).await;
    let conn = node.conn.clone();
    let closing = tokio::spawn(async move {
        stream.write_all(&[9; 200_000]).await.unwrap();
        stream.shutdown().await.unwrap();
        conn.close(Code::SHUTDOWN).await;
    });
    let mut bytes = 0;
    let last = loop {
        let frame = peer.frame().await.unwrap();
        if frame.flag != MESSAGE_INITIATOR {
            break frame;
        }
        bytes += frame.body.len();
    };
    assert_eq!(bytes, 200_000);
    assert_eq!(last.flag, CLOSE_INITIATOR);
    assert_eq!(peer.frame().await, None);
    drop(peer);
    closing.await.unwrap();
    assert_eq!(node.reason().await, CloseReason::local(Code::SHUTDOWN));
}

#[tokio::test(start_paused = true)]
async fn close_does_not_wait_for_a_peer_that_keeps_its_side_open() {
    let (node, _peer) = pair(Role::Listener);
    node.conn.close(Code::NONE).await;
    assert_eq!(node.reason().await, CloseReason::local(Code::NONE));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_link_is_a_close_between_frames_and_a_loss_inside_of_one() {
    for (bytes, is_close) in [
        (raw::frame(1, OPEN, b""), true),
        (raw::frame(1, OPEN, b"name"), true),
        (vec![8], false),
        (raw::header(1, OPEN, 4), false),
        ([raw::frame(1, OPEN, b""), raw::header(1, MESSAGE_INITIATOR, 2), vec![1]].concat(), false),
    ] {
        let (node, mut peer) = pair(Role::Listener);
        peer.write.write_all(&bytes).await.unwrap();
        drop(peer);
        let expected = match is_close {
            true => CloseReason::remote(Code::UNKNOWN),
            false => CloseReason::Lost { what: "the peer ended the connection inside of a frame".into() },
        };
        assert_eq!(node.reason().await, expected, "{bytes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_end_has_half_of_the_streams() {
    let (node, mut peer) = configured(Role::Listener, "max_streams = 4", DuplexConfig::default());
    for stream in [1, 2, 3, 4] {
        peer.send(stream, OPEN, b"").await;
    }
    let (_first, second) = (node.accept().await, node.accept().await);
    let ours = (node.open().await, node.open().await);
    for (stream, flag) in [(3, RESET_RECEIVER), (4, RESET_RECEIVER), (1, OPEN), (2, OPEN)] {
        peer.expect(stream, flag).await;
    }

    // Room in the one half is none in the other.
    drop(second);
    peer.expect(2, RESET_RECEIVER).await;
    assert_eq!(node.conn.open().await.unwrap_err().kind(), MuxerErrorKind::TooManyStreams);
    peer.send(5, OPEN, b"").await;
    let _fifth = node.accept().await;

    // Room is made by the drop, and open waits until it is.
    drop(ours);
    let _third = node.open().await;
    for (stream, flag) in [(1, RESET_INITIATOR), (2, RESET_INITIATOR), (3, OPEN)] {
        peer.expect(stream, flag).await;
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_are_unsent_until_the_link_has_taken_them() {
    // The link takes less than a frame while nobody reads.
    let (node, mut peer) = configured(Role::Dialer, "", DuplexConfig::default().with_capacity(1_000));
    assert_eq!(node.conn.unsent(), 0);
    let mut stream = node.open().await;
    stream.write_all(&[7; 10_000]).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let waiting = node.conn.unsent();
    assert!((9_000..10_000).contains(&waiting), "{waiting} of 10000");
    let mut arrived = 0;
    while arrived < 10_000 {
        arrived += peer.frame().await.unwrap().body.len();
    }
    assert_eq!((arrived, node.conn.unsent()), (10_000, 0));
    stream.write_all(&[7; 50_000]).await.unwrap();
    stream.reset(Code(1));
    assert!(node.conn.unsent() <= 50_000);
    while peer.frame().await.unwrap().flag != RESET_INITIATOR {}
    assert_eq!(node.conn.unsent(), 0, "what a reset threw away is not waited for");
}
