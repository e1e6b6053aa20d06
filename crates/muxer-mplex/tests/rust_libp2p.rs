//! The multiplexer of rust-libp2p at the other end, as its users have it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod raw;

use futures::{AsyncReadExt as _, AsyncWriteExt as _, FutureExt, future::poll_fn};
use libp2p_core::{muxing::StreamMuxer, upgrade::InboundConnectionUpgrade};
use libp2p_mplex::{Multiplex, Substream};
use raw::{Node, node};
use skep_api::{BoxIo, CloseReason, Code, Side, security::Role, stream::StreamError};
use skep_testkit::{DuplexConfig, duplex};
use std::pin::Pin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

type Theirs = Multiplex<Compat<BoxIo>>;

fn pair() -> (Node, Theirs) {
    let (io, peer) = duplex(DuplexConfig::default());
    let upgrade = libp2p_mplex::Config::new().upgrade_inbound(peer.compat(), "/mplex/6.7.0");
    (node(io, Role::Dialer, ""), upgrade.now_or_never().unwrap().unwrap())
}

async fn accept(theirs: &mut Theirs) -> Substream<Compat<BoxIo>> {
    poll_fn(|cx| Pin::new(&mut *theirs).poll_inbound(cx)).await.unwrap()
}

async fn open(theirs: &mut Theirs) -> Substream<Compat<BoxIo>> {
    poll_fn(|cx| Pin::new(&mut *theirs).poll_outbound(cx)).await.unwrap()
}

#[tokio::test]
async fn a_mebibyte_is_echoed_on_a_stream_of_either_end() {
    let text: Vec<u8> = (0..=250_u8).cycle().take(1 << 20).collect();
    let (node, mut theirs) = pair();
    for we_open in [true, false] {
        let theirs = async {
            let stream = if we_open { accept(&mut theirs).await } else { open(&mut theirs).await };
            let (mut read, mut write) = stream.split();
            if !we_open {
                write.flush().await.unwrap();
            }
            futures::io::copy(&mut read, &mut write).await.unwrap();
            write.close().await.unwrap();
        };
        let ours = async {
            let stream = if we_open { node.open().await } else { node.accept().await };
            let (mut read, mut write) = tokio::io::split(stream);
            let send = async {
                write.write_all(&text).await.unwrap();
                write.shutdown().await.unwrap();
            };
            let mut heard = Vec::new();
            let (_, ()) = futures::join!(read.read_to_end(&mut heard), send);
            assert!(heard == text, "{} of {} bytes came back", heard.len(), text.len());
        };
        futures::join!(ours, theirs);
    }
}

#[tokio::test]
async fn its_reset_is_seen_and_ours_ends_its_stream() {
    let (node, mut theirs) = pair();
    let mut ours = node.open().await;
    ours.write_all(b"?").await.unwrap();
    let dropped = accept(&mut theirs).await;
    drop(dropped);
    // It sends the reset of a dropped stream with its next traffic.
    let mut other = open(&mut theirs).await;
    other.write_all(b"!").await.unwrap();
    other.flush().await.unwrap();
    let error = ours.read_u8().await.unwrap_err();
    let expected = StreamError::Reset { by: Side::Remote, code: Code::UNKNOWN };
    assert_eq!(StreamError::of(&error), Some(&expected));

    let mut accepted = node.accept().await;
    assert_eq!(accepted.read_u8().await.unwrap(), b'!');
    accepted.reset(Code(1));
    assert_eq!(other.read(&mut [0]).await.unwrap(), 0, "it reads a reset as the end of file");
    assert!(other.write_all(b"x").await.is_err());
}

#[tokio::test]
async fn its_close_is_a_close() {
    let (node, mut theirs) = pair();
    poll_fn(|cx| Pin::new(&mut theirs).poll_close(cx)).await.unwrap();
    assert_eq!(node.reason().await, CloseReason::remote(Code::UNKNOWN));
}
