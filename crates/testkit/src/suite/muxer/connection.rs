//! Opening and accepting streams.

use super::{
    Fixture,
    pair::{End, Pair, STUCK, Stream, hear, hear_all, say, text},
};
use crate::{
    duplex::{DuplexConfig, wiretap},
    harness::{Broken, During, MOST_POLLS, Outcome, breathe, broken, ensure},
};
use futures::future::{try_join, try_join_all};
use skep_api::{muxer::Muxed, security::Role};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

/// M1. `mux` sends nothing; a connection whose driver was never polled has left no byte.
pub async fn m1_mux_sends_nothing_by_itself(fixture: Fixture) -> Outcome {
    for role in [Role::Dialer, Role::Listener] {
        let (a, _peer, wire) = wiretap(DuplexConfig::default());
        let muxed = (fixture.build)().mux(a, role);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let sent = wire.sent_by(Role::Dialer).len();
        ensure!(sent == 0, "`mux` sent {sent} bytes before its driver was polled, {role}");
        drop(muxed);
    }
    Ok(())
}

/// C1. A stream can be opened and written before the peer has said a word.
pub async fn c1_open_can_be_written_at_once(fixture: Fixture) -> Outcome {
    let (a, b, _wire) = wiretap(DuplexConfig::default());
    let dialer = End::new(&fixture, a, Role::Dialer);
    // The peer's driver does not run yet.
    let Muxed { conn, driver } = (fixture.build)().mux(b, Role::Listener);
    let write = async {
        let mut stream = dialer.open().await?;
        say(&mut stream, b"first").await?;
        Ok::<_, Broken>(stream)
    };
    let Ok(written) = timeout(STUCK, write).await else {
        return broken("opening and writing waits for the peer's word");
    };
    let _stream = written?;
    let listener = End { conn, driver: tokio::spawn(driver) };
    hear(&mut listener.accept().await?, b"first").await
}

/// C2. `accept` that is dropped after any poll loses no stream, and streams come in the order of arrival.
pub async fn c2_accept_is_cancel_safe_and_in_order(fixture: Fixture) -> Outcome {
    const STREAMS: u8 = 20;
    let pair = Pair::new(&fixture);
    let mut kept = Vec::new();
    for round in 0..2 {
        let open = async {
            for id in 0..STREAMS {
                let mut stream = pair.dialer.open().await?;
                say(&mut stream, &[id]).await?;
                kept.push(stream);
                // In the second round all wait in the queue before the first is accepted.
                if round == 0 {
                    tokio::task::yield_now().await;
                }
            }
            Ok(())
        };
        let accept = async {
            for id in 0..STREAMS {
                let mut stream = accept_by_single_polls(&pair.listener).await?;
                let first = stream.read_u8().await.during("read")?;
                ensure!(first == id, "stream {first} was accepted where {id} came next");
            }
            Ok(())
        };
        if round == 0 {
            try_join(open, accept).await?;
        } else {
            open.await?;
            accept.await?;
        }
    }
    Ok(())
}

/// Accepts with futures that are polled once each.
async fn accept_by_single_polls(end: &End) -> Result<Stream, Broken> {
    for turn in 0..MOST_POLLS {
        tokio::select! {
            biased;
            stream = end.accept() => return stream,
            () = breathe(turn) => {}
        }
    }
    broken("nothing was accepted")
}

/// Both ends open streams, each with its own number on its end, and both are counted.
pub async fn streams_open_from_both_ends(fixture: Fixture) -> Outcome {
    let Pair { dialer, listener, wire: _wire } = Pair::new(&fixture);
    let open = |end: End| async move {
        let mut ours = end.open().await?;
        say(&mut ours, b"hello").await?;
        let mut theirs = end.accept().await?;
        hear(&mut theirs, b"hello").await?;
        say(&mut theirs, b"hello yourself").await?;
        hear(&mut ours, b"hello yourself").await?;
        ensure!(ours.id() != theirs.id(), "both streams have the number {}", ours.id());
        let count = end.conn.num_streams();
        ensure!(count == 2, "two streams are open, and `num_streams` says {count}");
        Ok((end, ours, theirs))
    };
    try_join(open(dialer), open(listener)).await.map(drop)
}

/// A thousand streams one after the other, after which none is left.
pub async fn a_thousand_streams_in_turn(fixture: Fixture) -> Outcome {
    let pair = Pair::new(&fixture);
    let ask = async {
        for id in 0..1_000_u32 {
            ask(&pair.dialer, id).await?;
        }
        Ok(())
    };
    let serve = async {
        for _ in 0..1_000 {
            serve(pair.listener.accept().await?).await?;
        }
        Ok(())
    };
    try_join(ask, serve).await?;
    none_is_left(&pair).await
}

/// A hundred streams at the same time, after which none is left.
pub async fn a_hundred_streams_at_once(fixture: Fixture) -> Outcome {
    let pair = Pair::new(&fixture);
    let serve = async {
        let mut tasks = Vec::new();
        for _ in 0..100 {
            tasks.push(tokio::spawn(serve(pair.listener.accept().await?)));
        }
        for task in tasks {
            task.await.during("the task of a stream")??;
        }
        Ok(())
    };
    let ask = try_join_all((0..100).map(|id| ask(&pair.dialer, id)).collect::<Vec<_>>());
    try_join(ask, serve).await?;
    none_is_left(&pair).await
}

/// Over a link that reads and writes a byte or a few at a time everything arrives as it was sent.
pub async fn short_reads_and_writes_of_the_link_change_nothing(fixture: Fixture) -> Outcome {
    let slow = DuplexConfig::short(77, 100).with_capacity(150).with_latency(Duration::from_micros(10));
    for config in [DuplexConfig::short(1, usize::MAX), DuplexConfig::short(usize::MAX, 1), slow] {
        let pair = Pair::over(&fixture, config);
        let sent = text(20_000);
        let send = async {
            let mut stream = pair.dialer.open().await?;
            stream.write_all(&sent).await.during("write")?;
            stream.shutdown().await.during("shutdown")?;
            hear_all(&mut stream).await
        };
        let (echoed, ()) = try_join(send, async { serve(pair.listener.accept().await?).await }).await?;
        ensure!(
            echoed == sent,
            "{} of {} bytes came back over {config:?}, or changed",
            echoed.len(),
            sent.len()
        );
    }
    Ok(())
}

fn ask(end: &End, id: u32) -> impl Future<Output = Outcome> + Send {
    let conn = Arc::clone(&end.conn);
    async move {
        let mut stream = conn.open().await.during(&format!("open stream {id}"))?;
        say(&mut stream, &id.to_be_bytes()).await?;
        stream.shutdown().await.during("shutdown")?;
        let answer = hear_all(&mut stream).await?;
        ensure!(answer == id.to_be_bytes(), "stream {id} was answered with {answer:?}");
        Ok(())
    }
}

/// Sends back everything on one stream.
async fn serve(mut stream: Stream) -> Outcome {
    let question = hear_all(&mut stream).await?;
    stream.write_all(&question).await.during("write")?;
    stream.shutdown().await.during("shutdown")
}

async fn none_is_left(pair: &Pair) -> Outcome {
    let count = || (pair.dialer.conn.num_streams(), pair.listener.conn.num_streams());
    let wait = async {
        while count() != (0, 0) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = timeout(STUCK, wait).await;
    ensure!(waited.is_ok(), "all streams are done, and `num_streams` of the ends says {:?}", count());
    Ok(())
}
