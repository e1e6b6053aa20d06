//! Frames as large as the window, which the JavaScript implementation sends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod raw;

use raw::{CREDIT, DATA, FIN, PING, RST, Raw, SYN, listener, pair};
use skep_api::security::Role;
use skep_testkit::DuplexConfig;
use std::time::Duration;
use tokio::{io::AsyncReadExt, time::timeout};

const WINDOW: usize = 256 * 1024;
const LARGE: usize = 2 * 1024 * 1024;

fn body(len: usize) -> Vec<u8> {
    (0..=250_u8).cycle().take(len).collect()
}

#[tokio::test(start_paused = true)]
async fn a_first_frame_as_large_as_the_window_arrives() {
    let (node, Raw { read: _read, mut write }) = listener();
    let sending = tokio::spawn(async move {
        let bytes = [raw::header(DATA, SYN | FIN, 1, 256 * 1024), body(WINDOW)].concat();
        tokio::io::AsyncWriteExt::write_all(&mut write, &bytes).await.unwrap();
        write
    });
    let mut heard = Vec::new();
    node.accept().await.read_to_end(&mut heard).await.unwrap();
    assert!(heard == body(WINDOW));
    drop(sending.await);
}

/// The window grows with the round trip, which the `yamux` crate measures by the real clock.
#[tokio::test]
async fn a_frame_of_a_window_that_has_grown_above_a_mebibyte_arrives() {
    let slow = DuplexConfig::default().with_latency(Duration::from_millis(40)).with_capacity(8 << 20);
    let (node, mut peer) = pair(Role::Listener, "", slow);
    let reading = tokio::spawn(async move {
        let mut heard = 0_usize;
        let mut stream = node.accept().await;
        let mut buf = vec![0; 64 * 1024];
        loop {
            match stream.read(&mut buf).await.unwrap() {
                0 => return heard,
                n => heard += n,
            }
        }
    });
    let sending = async {
        peer.send(CREDIT, SYN, 1, 0).await;
        let (mut credit, mut sent) = (WINDOW, 0);
        while credit < LARGE {
            sent += credit;
            peer.data(0, 1, &body(credit)).await;
            credit = 0;
            while credit < WINDOW {
                let frame = peer.any_frame().await.unwrap();
                match frame.kind {
                    PING if frame.flags & SYN != 0 => peer.send(PING, 2, 0, frame.len).await,
                    CREDIT => {
                        assert_eq!(frame.flags & RST, 0);
                        credit += frame.len as usize;
                    }
                    _ => {}
                }
            }
        }
        peer.data(FIN, 1, &body(credit)).await;
        sent + credit
    };
    let sent = timeout(Duration::from_secs(60), sending).await.unwrap();
    assert_eq!(reading.await.unwrap(), sent);
}

/// A peer whose window is in one frame waits for credit, though the reader stopped in the middle of it.
#[tokio::test(start_paused = true)]
async fn a_frame_in_which_the_reader_stops_gives_its_credit_back() {
    for flags in [SYN, SYN | FIN] {
        let steps = stops_in_the_middle_of_a_frame(flags);
        timeout(Duration::from_secs(60), steps)
            .await
            .unwrap_or_else(|_| panic!("the peer gets no credit, flags {flags}"));
    }
}

/// Beyond the first piece, with which the stream is given out.
const MIDDLE: usize = 80_000;

async fn stops_in_the_middle_of_a_frame(flags: u16) {
    let (node, Raw { read, mut write }) = listener();
    let bytes = [raw::header(DATA, flags, 1, 256 * 1024), body(WINDOW)].concat();
    tokio::io::AsyncWriteExt::write_all(&mut write, &bytes[..MIDDLE]).await.unwrap();
    let mut stream = node.accept().await;
    stream.stop_reading(skep_api::Code(1));
    tokio::io::AsyncWriteExt::write_all(&mut write, &bytes[MIDDLE..]).await.unwrap();
    let mut peer = Raw { read, write };
    if flags & FIN == 0 {
        let mut given = 0;
        while given < WINDOW / 2 {
            let frame = peer.frame().await.unwrap();
            given += if frame.kind == CREDIT { frame.len as usize } else { 0 };
        }
    }
    // The connection goes on behind the frame.
    peer.data(SYN | FIN, 3, b"next").await;
    let mut next = Vec::new();
    node.accept().await.read_to_end(&mut next).await.unwrap();
    assert_eq!(next, b"next");
}
