//! `chaos` around a muxer: streams whose bytes are lost stall, but not beyond the end of their connection.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod inside;

use inside::yamux;
use skep_api::{
    Code, Side,
    muxer::{Muxed, MuxedConn, MuxedStream, Muxer},
    security::Role,
    stream::StreamError,
};
use skep_testkit::{DuplexConfig, duplex};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

const STREAMS: usize = 20;

/// Longer than anything takes that does not stall.
const WAIT: Duration = Duration::from_secs(60);

/// A connection each stream of which loses one direction from its first byte on, its peer, and the driver.
fn lossy() -> (Arc<dyn MuxedConn>, Arc<dyn MuxedConn>, JoinHandle<()>) {
    let table = "seed = 7\ndrop_percent = 100\nwithin = 1";
    let muxer = inside::decorator(&skep_decorators::chaos::PLUGIN, table).muxer("yamux", yamux()).unwrap();
    let (a, b) = duplex(DuplexConfig::default());
    let start = |muxer: &dyn Muxer, io, role| {
        let Muxed { conn, driver } = muxer.mux(io, role);
        (conn, tokio::spawn(async move { drop(driver.await) }))
    };
    let ((near, driver), (far, _)) = (start(&*muxer, a, Role::Dialer), start(&*yamux(), b, Role::Listener));
    (near, far, driver)
}

/// A stream and what the peer has of it, which has written something.
async fn stream(
    near: &Arc<dyn MuxedConn>,
    far: &Arc<dyn MuxedConn>,
) -> (Box<dyn MuxedStream>, Box<dyn MuxedStream>) {
    let mut stream = near.open().await.unwrap();
    stream.flush().await.unwrap();
    let mut theirs = far.accept().await.unwrap();
    theirs.write_all(b"lost or not").await.unwrap();
    theirs.flush().await.unwrap();
    (stream, theirs)
}

/// What the peer does before the connection ends.
#[derive(Clone, Copy, Debug)]
enum Peer {
    Waits,
    Finishes,
    Resets,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    CutOff,
}

const CASES: [(Peer, End); 6] = [
    (Peer::Waits, End::Close),
    (Peer::Waits, End::CutOff),
    (Peer::Finishes, End::Close),
    (Peer::Finishes, End::CutOff),
    (Peer::Resets, End::Close),
    (Peer::Resets, End::CutOff),
];

async fn end(conn: &Arc<dyn MuxedConn>, driver: &JoinHandle<()>, end: End) {
    match end {
        End::Close => conn.close(Code::NONE).await,
        End::CutOff => driver.abort(),
    }
}

fn is_lost(error: &io::Error) -> bool {
    matches!(StreamError::of(error), Some(StreamError::ConnectionLost(_)))
}

#[tokio::test(start_paused = true)]
async fn a_reader_whose_bytes_are_lost_hears_of_the_end_of_the_connection() {
    for (peer, how) in CASES {
        let (near, far, driver) = lossy();
        let (mut readers, mut theirs) = (JoinSet::new(), Vec::new());
        for _ in 0..STREAMS {
            let (mut stream, mut their) = stream(&near, &far).await;
            match peer {
                Peer::Waits => {}
                Peer::Finishes => their.shutdown().await.unwrap(),
                Peer::Resets => their.reset(Code(9)),
            }
            theirs.push(their);
            readers.spawn(async move {
                let mut heard = Vec::new();
                let result = stream.read_to_end(&mut heard).await;
                (heard.is_empty(), result)
            });
        }
        sleep(WAIT).await;
        // What stalls is still there.
        let mut stalled = STREAMS;
        while let Some(ended) = readers.try_join_next() {
            assert!(!ended.unwrap().0, "{peer:?}: it was told");
            stalled -= 1;
        }
        assert!(stalled > 3, "{peer:?}: {stalled} of {STREAMS}");
        end(&near, &driver, how).await;
        let mut ended = 0;
        while let Ok(Some(result)) = timeout(WAIT, readers.join_next()).await {
            let (_, result) = result.unwrap();
            assert!(is_lost(&result.unwrap_err()), "{peer:?}, {how:?}");
            ended += 1;
        }
        assert_eq!(ended, stalled, "{peer:?}, {how:?}: readers wait though the connection has ended");
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_whose_bytes_are_lost_hears_of_the_end_of_the_connection() {
    for how in [End::Close, End::CutOff] {
        let (near, far, driver) = lossy();
        let (mut writers, mut theirs) = (JoinSet::new(), Vec::new());
        for _ in 0..STREAMS {
            let (mut stream, their) = stream(&near, &far).await;
            theirs.push(their);
            writers.spawn(async move {
                let error = loop {
                    if let Err(error) = stream.write(b"lost or not").await {
                        break error;
                    }
                    sleep(Duration::from_secs(1)).await;
                };
                // Neither is there anything that it could finish.
                assert!(stream.shutdown().await.is_err());
                error
            });
        }
        sleep(WAIT).await;
        end(&near, &driver, how).await;
        let mut ended = 0;
        while let Ok(Some(error)) = timeout(WAIT, writers.join_next()).await {
            let error = error.unwrap();
            assert!(is_lost(&error), "{how:?}: {error}");
            ended += 1;
        }
        assert_eq!(ended, STREAMS, "{how:?}: writers go on though the connection has ended");
    }
}

/// What this node does itself is no secret to it.
#[tokio::test(start_paused = true)]
async fn a_stream_that_stalls_can_be_reset() {
    let (near, far, _driver) = lossy();
    let mut stalled = 0;
    for n in 0..2 * STREAMS {
        let (mut stream, mut theirs) = stream(&near, &far).await;
        theirs.shutdown().await.unwrap();
        if timeout(WAIT, stream.read(&mut [0; 1])).await.is_ok() {
            continue;
        }
        stalled += 1;
        let (code, reset) = (Code(5), n % 2 == 0);
        if reset {
            stream.reset(code)
        } else {
            stream.stop_reading(code)
        }
        let error = timeout(WAIT, stream.read(&mut [0; 1])).await.expect("it waits").unwrap_err();
        assert_eq!(StreamError::of(&error), Some(&StreamError::Reset { by: Side::Local, code }));
    }
    assert!(stalled > 5, "{stalled} stalled");
}
