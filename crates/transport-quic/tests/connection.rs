//! What a connection says and hears: codes, limits, signs of life, and peers that move.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod ends;
mod relay;
mod strangers;

use ends::{connect_at, connection, listen, multiaddr_of, socket_of, transport};
use futures::FutureExt;
use quinn::VarInt;
use relay::Relay;
use skep_api::{
    CloseReason, Code, Keypair, Side,
    muxer::{Muxed, MuxedStream},
    stream::StreamError,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use strangers::{Flaw, client};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};
use tracing::{Event, Level, Metadata, span};

async fn pair(table: &str) -> (Muxed, Muxed) {
    let (dialer, node) = (transport(table), transport(table));
    let (mut listener, addr) = listen(&node).await;
    let (dialed, accepted) = connect_at(&dialer, &mut listener, &addr).await;
    (connection(dialed), connection(accepted))
}

/// A connection of the bare QUIC library with one of ours.
async fn stranger() -> (quinn::Connection, Muxed) {
    let node = transport("");
    let (mut listener, addr) = listen(&node).await;
    let (endpoint, config) = client(&Keypair::generate_ed25519(), Flaw::None);
    let dial = endpoint.connect_with(config, socket_of(&addr), "x").expect("a dial");
    let accept = async { listener.accept().await.expect("accept").accept().await.expect("take") };
    let (dialed, accepted) = tokio::join!(dial, accept);
    (dialed.expect("dial"), connection(accepted))
}

fn error_of(result: std::io::Result<usize>) -> StreamError {
    StreamError::of(&result.expect_err("an error")).expect("a stream error").clone()
}

#[tokio::test]
async fn the_peers_close_is_heard_with_its_code_and_escaped_text() {
    let (theirs, ours) = stranger().await;
    theirs.close(VarInt::from_u32(0x1005), b"pruned\x1b[2J");
    let CloseReason::Closed { by, code, text } = ours.driver.await else { panic!("not a close") };
    assert_eq!((by, code, text.as_str()), (Side::Remote, Code::SUPPLANTED, "pruned\\u{1b}[2J"));
}

#[tokio::test]
async fn our_close_is_told_with_its_code() {
    let (theirs, ours) = stranger().await;
    ours.conn.close(Code::GATED).await;
    let quinn::ConnectionError::ApplicationClosed(close) = theirs.closed().await else {
        panic!("not a close")
    };
    assert_eq!(close.error_code, VarInt::from_u32(0x1008));
    assert_eq!(ours.driver.await, CloseReason::local(Code::GATED));
}

#[tokio::test]
async fn dropping_the_driver_ends_the_connection() {
    let (theirs, ours) = stranger().await;
    let mut stream = ours.conn.open().await.unwrap();
    drop(ours.driver);
    assert!(matches!(theirs.closed().await, quinn::ConnectionError::ApplicationClosed(_)));
    let lost = error_of(stream.read(&mut [0]).await);
    assert!(matches!(lost, StreamError::ConnectionLost(CloseReason::Lost { .. })), "{lost:?}");
    assert!(ours.conn.open().await.is_err());
}

/// A dropped `close`, as when the caller's patience ends, leaves the code for the driver's drop.
#[tokio::test]
async fn a_close_waits_for_what_was_finished_and_is_told_even_when_given_up() {
    let (relay, ours, theirs) = through_a_relay("").await;
    let mut stream = ours.conn.open().await.unwrap();
    relay.cut()();
    stream.write_all(b"not acknowledged").await.unwrap();
    stream.shutdown().await.unwrap();
    drop(stream);
    let mut close = ours.conn.close(Code(77));
    assert!((&mut close).now_or_never().is_none(), "what was finished is taken back");
    assert!(ours.conn.open().await.is_err(), "a connection that is closing takes no more streams");
    drop(close);
    relay.mend();
    drop(ours.driver);
    assert_eq!(theirs.driver.await, CloseReason::remote(Code(77)));
}

/// One stream with a stranger, opened by it.
async fn stream() -> (quinn::SendStream, quinn::RecvStream, Box<dyn MuxedStream>, (quinn::Connection, Muxed))
{
    let (theirs, ours) = stranger().await;
    let (mut send, recv) = theirs.open_bi().await.expect("open");
    send.write_all(b"x").await.expect("write");
    let mut stream = ours.conn.accept().await.expect("accept");
    assert_eq!(stream.read_u8().await.expect("read"), b'x');
    (send, recv, stream, (theirs, ours))
}

/// As py-libp2p resets: the other direction goes on.
#[tokio::test]
async fn a_reset_of_one_direction_leaves_the_other() {
    let (mut send, mut recv, mut stream, _conns) = stream().await;
    send.reset(VarInt::from_u32(7)).unwrap();
    let reset = StreamError::Reset { by: Side::Remote, code: Code(7) };
    assert_eq!(error_of(stream.read(&mut [0]).await), reset);
    stream.write_all(b"still here").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(recv.read_to_end(100).await.unwrap(), b"still here");
    assert_eq!(error_of(stream.read(&mut [0]).await), reset);
}

/// As rust-libp2p drops a stream: the end of file, and no more reading.
#[tokio::test]
async fn a_finish_with_a_stop_is_told_as_both() {
    let (mut send, mut recv, mut stream, _conns) = stream().await;
    send.finish().unwrap();
    recv.stop(VarInt::from_u32(0)).unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    let told = loop {
        match stream.write(b"y").await {
            Ok(_) => sleep(Duration::from_millis(1)).await,
            Err(e) => break error_of(Err(e)),
        }
    };
    assert_eq!(told, StreamError::Reset { by: Side::Remote, code: Code::NONE });
}

#[tokio::test]
async fn codes_of_more_than_32_bits_are_unknown() {
    let (mut send, mut recv, mut stream, _conns) = stream().await;
    recv.stop(VarInt::from_u64(1 << 40).unwrap()).unwrap();
    let told = loop {
        match stream.write(b"y").await {
            Ok(_) => sleep(Duration::from_millis(1)).await,
            Err(e) => break error_of(Err(e)),
        }
    };
    assert_eq!(told, StreamError::Stopped { code: Code::UNKNOWN });
    send.reset(VarInt::MAX).unwrap();
    let reset = StreamError::Reset { by: Side::Remote, code: Code::UNKNOWN };
    assert_eq!(error_of(stream.read(&mut [0]).await), reset);
}

#[tokio::test]
async fn our_codes_are_told() {
    let (_send, mut recv, mut stream, _conns) = stream().await;
    stream.write_all(b"y").await.unwrap();
    stream.reset(Code::RATE_LIMITED);
    let told = loop {
        match recv.read(&mut [0]).await {
            Ok(_) => {}
            Err(e) => break e,
        }
    };
    assert_eq!(told, quinn::ReadError::Reset(VarInt::from_u32(0x1003)));

    let (mut send, mut recv, stream, _conns) = self::stream().await;
    drop(stream);
    assert_eq!(recv.read(&mut [0]).await, Err(quinn::ReadError::Reset(VarInt::from_u32(0x1009))));
    assert_eq!(send.stopped().await, Ok(Some(VarInt::from_u32(0x1009))));
    assert!(send.finish().is_ok());
}

/// A stop is seen even where the room of the whole connection is used up by another stream.
#[tokio::test]
async fn a_stop_reaches_a_writer_that_waits_for_room_of_the_connection() {
    let (a, b) = pair("stream_window = 65536\nconnection_window = 65536").await;
    let (mut full, mut other) = (a.conn.open().await.unwrap(), a.conn.open().await.unwrap());
    other.write_all(b"x").await.unwrap();
    let chunk = vec![0; 4_096];
    while tokio::time::timeout(Duration::from_millis(300), full.write_all(&chunk)).await.is_ok() {}
    let mut theirs = b.conn.accept().await.unwrap();
    let mut theirs_too = b.conn.accept().await.unwrap();
    let mut first = [0];
    theirs_too.read_exact(&mut first).await.unwrap();
    let (stopped, _other) =
        if first == *b"x" { (&mut theirs_too, &mut theirs) } else { (&mut theirs, &mut theirs_too) };
    let blocked = tokio::spawn(async move { error_of(other.write_all(&[0; 100_000]).await.map(|()| 0)) });
    stopped.stop_reading(Code(9));
    assert_eq!(blocked.await.unwrap(), StreamError::Stopped { code: Code(9) });
}

#[tokio::test]
async fn opening_waits_while_the_peer_allows_no_more_streams() {
    let (a, b) = pair("max_concurrent_streams = 2").await;
    let mut first = a.conn.open().await.unwrap();
    let _second = a.conn.open().await.unwrap();
    assert_eq!(a.conn.num_streams(), 2);
    let mut third = a.conn.open();
    assert!((&mut third).now_or_never().is_none(), "the peer takes two streams at once");
    first.write_all(b"x").await.unwrap();
    drop(first);
    drop(b.conn.accept().await.unwrap());
    third.await.unwrap();
}

#[tokio::test]
async fn a_probe_makes_the_peer_heard() {
    let quiet = Duration::from_millis(300);
    let (a, _b) = pair("keep_alive = \"0s\"\nmtu_discovery = false").await;
    while a.conn.pulse().unwrap().silent < quiet {
        sleep(Duration::from_millis(10)).await;
    }
    a.conn.probe();
    while a.conn.pulse().unwrap().silent >= quiet {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(a.conn.pulse().unwrap().latency.unwrap() > Duration::ZERO);
}

/// Counts the log lines that say that a peer has moved.
struct Moves(Arc<AtomicUsize>);

impl tracing::Subscriber for Moves {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::INFO && metadata.target().starts_with("skep_transport_quic")
    }
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

async fn through_a_relay(table: &str) -> (Relay, Muxed, Muxed) {
    let (dialer, node) = (transport(table), transport(table));
    let (mut listener, addr) = listen(&node).await;
    let relay = Relay::to(socket_of(&addr));
    let (dialed, accepted) = connect_at(&dialer, &mut listener, &multiaddr_of(relay.addr)).await;
    (relay, connection(dialed), connection(accepted))
}

#[tokio::test]
async fn a_peer_that_moves_is_followed_and_reported() {
    let moves = Arc::new(AtomicUsize::new(0));
    let _guard = tracing::subscriber::set_default(Moves(Arc::clone(&moves)));
    let (relay, ours, theirs) = through_a_relay("").await;
    let before = theirs.conn.remote().unwrap();
    let after = multiaddr_of(relay.take_another_way());
    assert_ne!(before, after);
    for _ in 0..2 {
        let mut stream = ours.conn.open().await.unwrap();
        stream.write_all(b"x").await.unwrap();
        let mut accepted = theirs.conn.accept().await.unwrap();
        assert_eq!(accepted.read_u8().await.unwrap(), b'x');
        accepted.write_all(b"y").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'y');
    }
    assert_eq!(theirs.conn.remote(), Some(after));
    assert_eq!(moves.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn without_migration_a_peer_that_moves_is_lost() {
    let table = "migration = false\nidle_timeout = \"1s\"\nkeep_alive = \"200ms\"";
    let (relay, ours, theirs) = through_a_relay(table).await;
    relay.take_another_way();
    let mut stream = ours.conn.open().await.unwrap();
    stream.write_all(b"x").await.unwrap();
    let (ours, theirs) = tokio::join!(ours.driver, theirs.driver);
    for reason in [ours, theirs] {
        assert!(matches!(reason, CloseReason::Lost { .. }), "{reason:?}");
    }
}
