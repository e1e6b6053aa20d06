//! `throttle`, on a paused clock: how long bytes take, who gets how many, and what does not wait.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod inside;

use inside::{linked, memory, muxed, yamux};
use skep_api::{BoxIo, decorator::Decorator, transport::Transport};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, sleep, timeout},
};

/// A megabyte of ten to the sixth: a thousand bytes in each millisecond.
const RATE: usize = 1_000_000;
/// What passes at once.
const BURST: usize = 100_000;

fn throttle(table: &str) -> Arc<dyn Decorator> {
    inside::decorator(&skep_decorators::throttle::PLUGIN, table)
}

fn around_memory(table: &str) -> Arc<dyn Transport> {
    throttle(table).transport("memory", memory()).unwrap()
}

async fn throttled(table: &str) -> (BoxIo, BoxIo) {
    linked(&*around_memory(table), &*memory()).await
}

/// Writes so many bytes that differ.
async fn send(io: &mut (impl AsyncWrite + Unpin), count: usize) {
    let bytes: Vec<u8> = (0..count).map(|n| (n % 251) as u8).collect();
    io.write_all(&bytes).await.unwrap();
    io.flush().await.unwrap();
}

/// Reads so many bytes, which are those that [`send`] has written.
async fn receive(io: &mut (impl AsyncRead + Unpin), count: usize) {
    let mut bytes = vec![0; count];
    io.read_exact(&mut bytes).await.unwrap();
    assert!(bytes.iter().enumerate().all(|(n, byte)| *byte == (n % 251) as u8), "bytes came changed");
}

/// Counts the polls of a future.
async fn polls<F: Future>(future: F) -> (F::Output, usize) {
    let (mut future, mut count) = (pin!(future), 0);
    let output = poll_fn(|cx| {
        count += 1;
        future.as_mut().poll(cx)
    })
    .await;
    (output, count)
}

#[tokio::test(start_paused = true)]
async fn sending_takes_exactly_its_time_and_no_busy_loop() {
    for (key, table) in [("upload", "upload = 1000000"), ("each", "connection_upload = 1000000")] {
        let (mut near, mut far) = throttled(table).await;
        let reading = tokio::spawn(async move { receive(&mut far, BURST + 3 * RATE).await });
        let begun = Instant::now();
        let ((), polls) = polls(send(&mut near, BURST + 3 * RATE)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(3), "{key}");
        // A turn is five milliseconds; a poll when it comes, and a few for the pipe.
        assert!(polls < 2 * 600, "{polls} polls for 600 turns");
        reading.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn receiving_takes_exactly_its_time() {
    for table in ["download = 1000000", "connection_download = 1000000"] {
        let (mut near, mut far) = throttled(table).await;
        let writing = tokio::spawn(async move {
            send(&mut far, BURST + 3 * RATE).await;
            far
        });
        let begun = Instant::now();
        receive(&mut near, BURST + 3 * RATE).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
        writing.await.unwrap();
    }
}

/// What is not read fills the buffers below, so that the peer has to wait too.
#[tokio::test(start_paused = true)]
async fn a_reader_that_is_held_up_holds_up_the_peer() {
    let (mut near, mut far) = throttled("download = 1000000").await;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    tokio::spawn(async move {
        while far.write_all(&[0; 1_000]).await.is_ok() {
            count.fetch_add(1_000, Relaxed);
        }
    });
    let begun = Instant::now();
    let mut buffer = vec![0; 64 * 1_024];
    let mut received = 0;
    while begun.elapsed() < Duration::from_secs(5) {
        received += near.read(&mut buffer).await.unwrap();
    }
    assert!((5 * RATE..5 * RATE + BURST + 64 * 1_024).contains(&received), "{received}");
    let ahead = sent.load(Relaxed) - received;
    assert!(ahead < 2 << 20, "the peer is {ahead} bytes ahead: there is no back-pressure");
}

#[tokio::test(start_paused = true)]
async fn directions_have_limits_of_their_own() {
    let (mut near, mut far) = throttled("download = 1000").await;
    let begun = Instant::now();
    let (near, far) = (&mut near, &mut far);
    tokio::join!(send(near, 10 * RATE), receive(far, 10 * RATE));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// Connections that want more than there is get as much each, whatever the size of their writes.
#[tokio::test(start_paused = true)]
async fn connections_share_the_total_evenly() {
    let transport = around_memory("upload = 1000000");
    let mut got = Vec::new();
    for size in [100, 5_000, 300_000] {
        let (mut near, mut far) = linked(&*transport, &*memory()).await;
        let received = Arc::new(AtomicUsize::new(0));
        got.push(Arc::clone(&received));
        tokio::spawn(async move { while near.write_all(&vec![0; size]).await.is_ok() {} });
        tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1_024];
            while let Ok(n) = far.read(&mut buffer).await {
                received.fetch_add(n, Relaxed);
            }
        });
    }
    sleep(Duration::from_secs(30)).await;
    let got: Vec<_> = got.iter().map(|got| got.load(Relaxed)).collect();
    let all: usize = got.iter().sum();
    assert!((30 * RATE..30 * RATE + BURST + 3 * 5_000).contains(&all), "{all} in 30 s");
    let fair = 9_700_000..10_300_000;
    assert!(got.iter().all(|got| fair.contains(got)), "{got:?} of 10 MB each");
}

/// A connection gets no more of what all share by having more streams.
#[tokio::test(start_paused = true)]
async fn streams_share_the_turn_of_their_connection() {
    let decorator = throttle("upload = 1000000");
    let mut got = Vec::new();
    for streams in [1, 8] {
        let muxer = decorator.muxer("yamux", yamux()).unwrap();
        let (near, far) = muxed(&*muxer, &*yamux());
        let received = Arc::new(AtomicUsize::new(0));
        got.push(Arc::clone(&received));
        for _ in 0..streams {
            let mut stream = near.open().await.unwrap();
            tokio::spawn(async move { while stream.write_all(&[0; 20_000]).await.is_ok() {} });
        }
        tokio::spawn(async move {
            let _near = near;
            while let Ok(mut stream) = far.accept().await {
                let received = Arc::clone(&received);
                tokio::spawn(async move {
                    let mut buffer = vec![0; 64 * 1_024];
                    while let Ok(n) = stream.read(&mut buffer).await {
                        received.fetch_add(n, Relaxed);
                    }
                });
            }
        });
    }
    sleep(Duration::from_secs(30)).await;
    let got: Vec<_> = got.iter().map(|got| got.load(Relaxed)).collect();
    let fair = 13_500_000..16_500_000;
    assert!(got.iter().all(|got| fair.contains(got)), "{got:?} of 15 MB each");
}

/// The limit of a connection is that of all its streams together.
#[tokio::test(start_paused = true)]
async fn streams_share_the_limit_of_their_connection() {
    let muxer = throttle("connection_upload = 1000000").muxer("yamux", yamux()).unwrap();
    let (near, far) = muxed(&*muxer, &*yamux());
    let reading = tokio::spawn(async move {
        for _ in 0..4 {
            let mut stream = far.accept().await.unwrap();
            tokio::spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
        }
        far
    });
    let begun = Instant::now();
    let mut writers = Vec::new();
    for _ in 0..4 {
        let mut stream = near.open().await.unwrap();
        writers.push(tokio::spawn(async move {
            stream.write_all(&vec![0; RATE]).await.unwrap();
            stream.shutdown().await.unwrap();
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let took = begun.elapsed();
    let expected = Duration::from_millis(3_880)..=Duration::from_millis(3_905);
    assert!(expected.contains(&took), "{took:?} for 4 MB less the burst");
    reading.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn finishing_and_flushing_do_not_wait_and_lose_nothing() {
    let (mut near, mut far) = throttled("upload = 1000000").await;
    let begun = Instant::now();
    send(&mut near, BURST).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // The next byte would have to wait; the end does not.
    near.shutdown().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    receive(&mut far, BURST).await;
    assert_eq!(far.read(&mut [0; 1]).await.unwrap(), 0);
    send(&mut far, 1_000).await;
    receive(&mut near, 1_000).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

/// Writes and reads that are given up while they wait, again and again.
#[tokio::test(start_paused = true)]
async fn a_future_that_is_dropped_loses_nothing() {
    let (mut near, mut far) = throttled("upload = 1000000\ndownload = 1000000").await;
    let (mut sent, bytes) = (0, (0..BURST + RATE).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    let reading = tokio::spawn(async move {
        receive(&mut far, BURST + RATE).await;
        send(&mut far, BURST + RATE).await;
        far
    });
    let begun = Instant::now();
    while sent < bytes.len() {
        if let Ok(written) = timeout(Duration::from_millis(2), near.write(&bytes[sent..])).await {
            sent += written.unwrap();
        }
    }
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    let (mut received, begun) = (Vec::new(), Instant::now());
    let mut buffer = [0; 3_000];
    while received.len() < BURST + RATE {
        if let Ok(read) = timeout(Duration::from_millis(2), near.read(&mut buffer)).await {
            received.extend_from_slice(&buffer[..read.unwrap()]);
        }
    }
    assert_eq!(received, bytes);
    assert!(begun.elapsed() <= Duration::from_millis(1_002), "{:?}", begun.elapsed());
    reading.await.unwrap();
}

/// A stream that is left alone while it waits holds nobody up.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_left_alone_takes_no_turns() {
    let transport = around_memory("upload = 1000000");
    let (mut left, _far) = linked(&*transport, &*memory()).await;
    send(&mut left, BURST).await;
    assert!(timeout(Duration::from_millis(1), left.write(&[0; 1_000])).await.is_err());
    let (mut near, mut far) = linked(&*transport, &*memory()).await;
    let begun = Instant::now();
    tokio::join!(send(&mut near, RATE), receive(&mut far, RATE));
    assert!(begun.elapsed() <= Duration::from_secs(1), "{:?}", begun.elapsed());
    drop(left);
}
