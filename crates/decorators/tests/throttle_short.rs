//! `throttle` around streams that are shorter than a turn, on a paused clock: they wait as long ones do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod inside;

use inside::{muxed, yamux};
use skep_api::{
    decorator::Decorator,
    muxer::{MuxedConn, MuxedStream},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::{Instant, sleep},
};

/// A megabyte of ten to the sixth: a thousand bytes in each millisecond.
const RATE: usize = 1_000_000;
/// What passes at once.
const BURST: usize = 100_000;
const TURN: usize = 5_000;
/// What a stream may move at least, however many wait.
const MIN_SHARE: usize = 512;

/// Streams that are open at once.
const AT_ONCE: usize = 32;

fn throttle(table: &str) -> Arc<dyn Decorator> {
    inside::decorator(&skep_decorators::throttle::PLUGIN, table)
}

/// When how many bytes have passed, all streams of the test together.
#[derive(Clone, Debug, Default)]
struct Passed(Arc<Mutex<Vec<(Instant, usize)>>>);

impl Passed {
    fn note(&self, bytes: usize) {
        self.0.lock().unwrap().push((Instant::now(), bytes));
    }

    fn total(&self) -> usize {
        self.0.lock().unwrap().iter().map(|(_, bytes)| bytes).sum()
    }

    /// The most by which what has passed within any time was more than that time at the rate.
    fn ahead(&self) -> usize {
        let (mut ahead, mut most, mut last) = (0usize, 0, None);
        for (at, bytes) in self.0.lock().unwrap().iter() {
            let since = last.replace(*at).map_or(Duration::ZERO, |last| *at - last);
            ahead = ahead.saturating_sub(usize::try_from(since.as_millis()).unwrap() * RATE / 1_000) + bytes;
            most = most.max(ahead);
        }
        most
    }

    /// The longest time in which nothing has passed.
    fn longest_wait(&self) -> Duration {
        let passed = self.0.lock().unwrap();
        passed.iter().zip(passed.iter().skip(1)).map(|(a, b)| b.0 - a.0).max().unwrap()
    }
}

/// Opens this many streams, some at once, each for less than a turn.
async fn send_short(conn: Arc<dyn MuxedConn>, count: usize) {
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let conn = Arc::clone(&conn);
        workers.spawn(async move {
            for _ in 0..count / AT_ONCE {
                let mut stream = conn.open().await.unwrap();
                stream.write_all(&[7; TURN - 1]).await.unwrap();
                stream.shutdown().await.unwrap();
                // Until the peer has had all of it, as a request waits for its answer.
                assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
}

/// Takes all that streams carry, and ends them when they end.
fn serve(conn: Arc<dyn MuxedConn>, passed: &Passed) {
    let passed = passed.clone();
    tokio::spawn(async move {
        while let Ok(stream) = conn.accept().await {
            tokio::spawn(drain(stream, passed.clone()));
        }
    });
}

async fn drain(mut stream: Box<dyn MuxedStream>, passed: Passed) {
    let mut buffer = vec![0; 64 * 1_024];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        passed.note(read);
    }
    stream.shutdown().await.ok();
}

/// Two ends, of which the first sends; throttled is the one whose flow the table limits.
fn ends(table: &str, decorator: &Arc<dyn Decorator>) -> (Arc<dyn MuxedConn>, Arc<dyn MuxedConn>) {
    let throttled = decorator.muxer("yamux", yamux()).unwrap();
    if table.contains("upload") { muxed(&*throttled, &*yamux()) } else { muxed(&*yamux(), &*throttled) }
}

/// What may pass beside the rate: the burst, and what those may have that wait at the same moment.
fn bound(streams: usize) -> usize {
    BURST + streams * MIN_SHARE + 3 * TURN
}

const TABLES: [&str; 4] = [
    "upload = 1000000",
    "download = 1000000",
    "connection_upload = 1000000",
    "connection_download = 1000000",
];

#[tokio::test(start_paused = true)]
async fn short_streams_stay_within_the_limit() {
    for table in TABLES {
        let (near, far) = ends(table, &throttle(table));
        let (passed, begun) = (Passed::default(), Instant::now());
        serve(far, &passed);
        send_short(near, 1_024).await;
        assert_eq!(passed.total(), 1_024 * (TURN - 1), "{table}");
        // 5.1 MB less the burst.
        let took = begun.elapsed();
        assert!((4_950..5_200).contains(&took.as_millis()), "{table}: {took:?}");
        assert!(passed.ahead() <= bound(AT_ONCE), "{table}: {} ahead", passed.ahead());
    }
}

/// A stream with more to say has its part and is never held up for long, on the same connection and on another one.
#[tokio::test(start_paused = true)]
async fn short_streams_do_not_hold_up_a_long_one() {
    for (table, same) in [
        ("upload = 1000000", false),
        ("download = 1000000", false),
        ("connection_upload = 1000000", true),
        ("connection_download = 1000000", true),
    ] {
        let decorator = throttle(table);
        let (near, far) = ends(table, &decorator);
        let (short, long) = (Passed::default(), Passed::default());
        let beside = if same { (Arc::clone(&near), Arc::clone(&far)) } else { ends(table, &decorator) };
        let mut bulk = beside.0.open().await.unwrap();
        bulk.write_all(&[7]).await.unwrap();
        bulk.flush().await.unwrap();
        let sink = beside.1.accept().await.unwrap();
        tokio::spawn(drain(sink, long.clone()));
        let writing = tokio::spawn(async move { while bulk.write_all(&[7; TURN]).await.is_ok() {} });
        serve(far, &short);
        let begun = Instant::now();
        send_short(near, 1_024).await;
        let took = begun.elapsed();
        writing.abort();
        let expected = usize::try_from(took.as_millis()).unwrap() * RATE / 1_000;
        let both = short.total() + long.total();
        assert!(both <= expected + bound(AT_ONCE + 1), "{table}: {both} in {took:?}");
        // One of all that wait, of which each has its turn.
        let wait = Duration::from_millis(50);
        assert!(long.longest_wait() <= wait, "{table}: it waited {:?}", long.longest_wait());
        let least = if same { expected / (AT_ONCE + 8) } else { expected / 5 };
        assert!(long.total() >= least, "{table}: {} of {both}", long.total());
    }
}

/// Streams that have begun a turn, or waited for one, and then said nothing have kept none.
#[tokio::test(start_paused = true)]
async fn turns_are_not_saved_up() {
    const COUNT: usize = 200;
    let table = "download = 1000000";
    // Of the longer ones the first use up the burst, so that the others wait.
    for first in [100, 1_000] {
        let (near, far) = ends(table, &throttle(table));
        let passed = Passed::default();
        let mut streams = Vec::new();
        for _ in 0..COUNT {
            let mut stream = near.open().await.unwrap();
            stream.write_all(&vec![7; first]).await.unwrap();
            stream.flush().await.unwrap();
            tokio::spawn(drain(far.accept().await.unwrap(), passed.clone()));
            streams.push(stream);
        }
        for size in [0, TURN - 1 - first] {
            for stream in &mut streams {
                stream.write_all(&vec![7; size]).await.unwrap();
                stream.flush().await.unwrap();
            }
            sleep(Duration::from_secs(10)).await;
        }
        assert_eq!(passed.total(), COUNT * (TURN - 1));
        assert!(passed.ahead() <= bound(COUNT), "{first}: {} ahead", passed.ahead());
    }
}
