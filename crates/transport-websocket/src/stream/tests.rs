use super::*;
use crate::{error::Violation, mask::Mask};
use outbound::MAX_PAYLOAD;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::timeout,
};

/// Everything that the tests send fits.
const ROOM: usize = 1 << 20;
const MASK: [u8; 4] = [1, 2, 3, 4];

fn pair() -> (WsStream<DuplexStream>, WsStream<DuplexStream>) {
    let (a, b) = duplex(ROOM);
    (WsStream::new(a, Role::Client, Vec::new()), WsStream::new(b, Role::Server, Vec::new()))
}

/// A server's stream, and the wire to it.
fn server(room: usize) -> (WsStream<DuplexStream>, DuplexStream) {
    let (ours, wire) = duplex(room);
    (WsStream::new(ours, Role::Server, Vec::new()), wire)
}

/// A client's frame of fewer than 126 bytes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut masked = payload.to_vec();
    Mask(MASK).apply(&mut masked);
    [&[first, 0x80 | payload.len() as u8], &MASK[..], &masked].concat()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8)) as u8).collect()
}

async fn violation(bytes: &[u8]) -> (Violation, Vec<u8>) {
    let (mut stream, mut wire) = server(ROOM);
    wire.write_all(bytes).await.unwrap();
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let violation = *error.get_ref().and_then(|e| e.downcast_ref()).unwrap();
    // It stays so.
    assert_eq!(stream.read_u8().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(stream.write_u8(0).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    let mut answer = vec![0; 4];
    wire.read_exact(&mut answer).await.unwrap();
    (violation, answer)
}

#[tokio::test]
async fn bytes_pass_in_pieces_of_any_size() {
    let sent = pattern(300_000);
    for piece in [1, 7, 1000, 5000, MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 300_000] {
        let (mut from, mut to) = pair();
        let write = async {
            for piece in sent.chunks(piece.max(100)) {
                from.write_all(piece).await.unwrap();
            }
            from.shutdown().await.unwrap();
        };
        let read = async {
            let mut heard = Vec::new();
            let mut some = vec![0; piece];
            loop {
                match to.read(&mut some).await.unwrap() {
                    0 => break heard,
                    n => heard.extend_from_slice(&some[..n]),
                }
            }
        };
        let ((), heard) = tokio::join!(write, read);
        assert!(heard == sent, "in pieces of {piece}");
    }
}

#[tokio::test]
async fn a_server_answers_in_frames_without_a_mask() {
    let (mut client, mut server) = pair();
    server.write_all(&pattern(200_000)).await.unwrap();
    server.flush().await.unwrap();
    let mut heard = vec![0; 200_000];
    client.read_exact(&mut heard).await.unwrap();
    assert!(heard == pattern(200_000));
}

#[tokio::test]
async fn a_flush_sends_one_frame() {
    let (mut stream, mut wire) = server(ROOM);
    for _ in 0..10 {
        stream.write_all(b"0123456789").await.unwrap();
    }
    let written = stream.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cd")]).await.unwrap();
    assert_eq!(written, 4);
    stream.flush().await.unwrap();
    stream.flush().await.unwrap();
    let mut bytes = vec![0; 106];
    wire.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes[..2], [0x82, 104]);
    assert_eq!(bytes[102..], *b"abcd");
    drop(stream);
    assert_eq!(wire.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_masks_each_frame_anew() {
    let (ours, mut wire) = duplex(ROOM);
    let mut stream = WsStream::new(ours, Role::Client, Vec::new());
    let mut masks = std::collections::BTreeSet::new();
    for _ in 0..10 {
        stream.write_all(b"libp2p").await.unwrap();
        stream.flush().await.unwrap();
        let mut bytes = [0; 12];
        wire.read_exact(&mut bytes).await.unwrap();
        let [0x82, 0x86, a, b, c, d, ref payload @ ..] = bytes else { panic!("{bytes:02x?}") };
        let mut payload = payload.to_vec();
        Mask([a, b, c, d]).apply(&mut payload);
        assert_eq!(payload, b"libp2p");
        masks.insert([a, b, c, d]);
    }
    assert!(masks.len() > 8, "{masks:?}");
}

#[tokio::test]
async fn fragments_and_empty_frames_make_one_stream() {
    let (mut stream, mut wire) = server(ROOM);
    for bytes in [
        frame(0x02, b"li"),
        frame(0x00, b""),
        frame(0x89, b"!"),
        frame(0x80, b"bp"),
        frame(0x82, b""),
        frame(0x8a, b"nobody asked"),
        frame(0x82, b"2p"),
    ] {
        wire.write_all(&bytes).await.unwrap();
    }
    let mut heard = [0; 6];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"libp2p");
    let mut pong = [0; 3];
    wire.read_exact(&mut pong).await.unwrap();
    assert_eq!(pong, [0x8a, 1, b'!']);
}

#[tokio::test]
async fn what_is_against_the_rules_is_told_to_both_ends() {
    for (bytes, expected, code) in [
        (frame(0x81, b"text"), Violation::Text, 1003_u16),
        (vec![0x82, 4, 1, 2, 3, 4], Violation::Unmasked, 1002),
        (frame(0xc2, b"deflated"), Violation::ReservedBits, 1002),
        (frame(0x80, b"of nothing"), Violation::LoneContinuation, 1002),
        (frame(0x09, b"in pieces"), Violation::FragmentedControl, 1002),
        (frame(0x88, b"?"), Violation::Close, 1002),
        (b"\x13/multistream/1.0.0\n".to_vec(), Violation::Opcode(3), 1002),
    ] {
        let (found, answer) = violation(&bytes).await;
        assert_eq!(found, expected);
        assert_eq!(answer, [&[0x88, 2], &code.to_be_bytes()[..]].concat(), "{expected}");
    }
}

#[tokio::test]
async fn a_message_within_a_message_is_told() {
    let (mut stream, mut wire) = server(ROOM);
    wire.write_all(&[frame(0x02, b"a"), frame(0x82, b"b")].concat()).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'a');
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.get_ref().and_then(|e| e.downcast_ref()), Some(&Violation::BrokenMessage));
}

#[tokio::test]
async fn a_giant_frame_is_a_stream_like_any_other() {
    let (mut stream, mut wire) = server(ROOM);
    let announced = [&[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &[0; 4][..]].concat();
    wire.write_all(&announced).await.unwrap();
    wire.write_all(&pattern(100_000)).await.unwrap();
    let mut heard = vec![0; 100_000];
    for piece in heard.chunks_mut(100) {
        stream.read_exact(piece).await.unwrap();
        assert!(stream.inbound.memory() <= 8 * 1024, "{} bytes are held", stream.inbound.memory());
    }
    assert!(heard == pattern(100_000));
}

#[tokio::test]
async fn fragments_without_end_take_no_memory() {
    let (mut stream, mut wire) = server(ROOM);
    wire.write_all(&frame(0x02, b"x")).await.unwrap();
    for _ in 0..1000 {
        wire.write_all(&frame(0x00, b"x").repeat(100)).await.unwrap();
        let mut heard = [0; 100];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, [b'x'; 100]);
        assert!(stream.inbound.memory() <= 8 * 1024);
    }
}

#[tokio::test]
async fn a_flood_of_pings_that_reads_no_pong_is_bounded_and_blocks_nothing() {
    let (mut stream, mut wire) = server(1024);
    for _ in 0..1000 {
        wire.write_all(&frame(0x89, &[7; 125]).repeat(5)).await.unwrap();
        wire.write_all(&frame(0x82, b"x")).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
        assert!(stream.outbound.memory() <= 1024, "{} bytes wait", stream.outbound.memory());
    }
    // What it did not read is still in order.
    let mut pong = [0; 127];
    wire.read_exact(&mut pong).await.unwrap();
    assert_eq!(pong[..3], [0x8a, 125, 7]);
}

#[tokio::test]
async fn pings_are_answered_by_a_reader_alone_also_when_the_way_was_blocked() {
    let (mut stream, mut wire) = server(64);
    stream.write_all(&[0; 100]).await.unwrap();
    assert!(timeout(Duration::ZERO, stream.flush()).await.is_err(), "there was room for all");
    let reader = tokio::spawn(async move { stream.read_u8().await.map(drop) });
    wire.write_all(&frame(0x89, b"?")).await.unwrap();
    let mut heard = [0; 102 + 3];
    wire.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard[102..], [0x8a, 1, b'?']);
    assert!(!reader.is_finished());
    reader.abort();
}

#[tokio::test]
async fn a_blocked_writer_and_a_reader_that_answers_both_go_on() {
    let (stream, mut wire) = server(64);
    let (mut read, mut write) = tokio::io::split(stream);
    let writer = tokio::spawn(async move {
        write.write_all(&pattern(10_000)).await?;
        write.flush().await
    });
    let reader = tokio::spawn(async move {
        let mut heard = Vec::new();
        read.read_to_end(&mut heard).await.map(|_| heard)
    });
    for _ in 0..10 {
        wire.write_all(&frame(0x89, b"?")).await.unwrap();
        wire.write_all(&frame(0x82, b"x")).await.unwrap();
        tokio::task::yield_now().await;
    }
    wire.write_all(&frame(0x88, b"")).await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(&[0x88, 2, 0x03, 0xe8]) {
        heard.push(wire.read_u8().await.unwrap());
    }
    assert_eq!(reader.await.unwrap().unwrap(), [b'x'; 10]);
    writer.await.unwrap().unwrap();
}

#[tokio::test]
async fn closing_is_in_order() {
    let (mut client, mut server) = pair();
    client.write_all(b"bye").await.unwrap();
    client.shutdown().await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(client.write_u8(0).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    // What was written and not flushed still goes out before the answer.
    server.write_all(b"so long").await.unwrap();
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"bye");
    assert_eq!(server.write_u8(0).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    server.shutdown().await.unwrap();
    heard.clear();
    client.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"so long");
}

#[tokio::test]
async fn an_end_without_a_close_frame_is_an_error() {
    for sent in [&b""[..], &frame(0x82, b"")[..1], &frame(0x82, b"abc")[..7]] {
        let (mut stream, mut wire) = server(ROOM);
        wire.write_all(sent).await.unwrap();
        drop(wire);
        let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{sent:?}");
    }
    // After this end's close frame nothing more is due.
    let (mut stream, wire) = server(ROOM);
    stream.shutdown().await.unwrap();
    drop(wire);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_peer_that_closes_with_a_reason_is_quoted() {
    let (mut stream, mut wire) = server(ROOM);
    wire.write_all(&frame(0x88, b"\x03\xf3no\x07room")).await.unwrap();
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    assert_eq!(error.to_string(), "the peer closed with code 1011: no\\u{7}room");
    let mut answer = [0; 4];
    wire.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [0x88, 2, 0x03, 0xf3]);
}

#[tokio::test]
async fn what_came_with_the_upgrade_is_read_first() {
    let (ours, mut wire) = duplex(ROOM);
    let received = frame(0x82, b"first")[..8].to_vec();
    let mut stream = WsStream::new(ours, Role::Server, received);
    wire.write_all(&frame(0x82, b"first")[8..]).await.unwrap();
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"first");
}

#[tokio::test]
async fn an_idle_stream_holds_no_large_buffer() {
    for len in [100, 1_000, 1_100, 10_240, MAX_PAYLOAD, MAX_PAYLOAD * 2] {
        let (mut client, mut server) = pair();
        for _ in 0..3 {
            client.write_all(&pattern(len)).await.unwrap();
            client.flush().await.unwrap();
            server.read_exact(&mut vec![0; len]).await.unwrap();
        }
        assert!(timeout(Duration::ZERO, server.read_u8()).await.is_err());
        assert_eq!(server.inbound.memory(), 0);
        let held = client.outbound.memory();
        assert!(held <= 2 * 1024, "{held} bytes are held after writes of {len}");
    }
}
