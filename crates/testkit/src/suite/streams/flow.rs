//! The flow of data.

use super::{
    bytes::Dice,
    fixture::Fixture,
    voice::{Line, is_all, settle, stream_error},
};
use crate::harness::{Broken, During, Outcome, ensure};
use futures::future::try_join;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

const MEBIBYTE: usize = 1 << 20;

/// Thousands of writes of a few bytes, some of them sent at once, arrive in order, be their reader there or late.
pub async fn many_small_writes_arrive(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    for late in [false, true] {
        let mut dice = Dice(u64::from(late));
        let (mut ours, mut theirs) = line.stream().await?;
        let write = async {
            for _ in 0..4_000 {
                ours.write(dice.roll(8)).await.during("write")?;
                if dice.roll(10) == 0 {
                    ours.stream.flush().await.during("flush")?;
                }
            }
            ours.finish().await?;
            Ok::<_, Broken>(ours.says.at)
        };
        let read = async {
            if late {
                settle().await;
            }
            theirs.hear_out().await
        };
        let (written, heard) = try_join(write, read).await?;
        is_all(&heard, written)?;
    }
    line.goes_on().await
}

/// A write of nothing succeeds, also where there is no room, and it is no end: not at the start and not in the middle.
pub async fn nothing_written_changes_nothing(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    let (mut ours, mut theirs) = line.stream().await?;
    for len in [0, 1, 1_000] {
        let n = ours.stream.write(&[]).await.during("write nothing")?;
        ensure!(n == 0, "a write of nothing took {n} bytes");
        ours.stream.flush().await.during("flush")?;
        ours.say(len).await?;
        theirs.hear(len).await?;
        let n = theirs.stream.read(&mut []).await.during("read nothing")?;
        ensure!(n == 0, "a read of nothing gave {n} bytes");
    }
    ours.fill(32 * MEBIBYTE).await?;
    let nothing = timeout(Duration::from_secs(5), ours.stream.write(&[])).await;
    nothing.during("a write of nothing waits for room")?.during("write nothing")?;
    let ((), heard) = try_join(ours.finish(), theirs.hear_out()).await?;
    is_all(&heard, ours.says.at)?;
    line.goes_on().await
}

/// Reading and writing go on in two tasks, and dropping the reading half leaves the writing one as it is.
pub async fn reading_and_writing_go_on_in_two_tasks(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    let (mut ours, mut theirs) = line.stream().await?;
    let (mut reads, mut writes) = tokio::io::split(ours.stream);
    let reading = tokio::spawn(async move {
        let mut heard = vec![0; 100_000];
        reads.read_exact(&mut heard).await.map(|_| heard).map_err(|e| stream_error(&e))
    });
    let writing = tokio::spawn(async move {
        for _ in 0..32 {
            writes.write_all(&ours.says.peek(32 * 1024)).await.map_err(|e| stream_error(&e))?;
            ours.says.pass(32 * 1024);
        }
        writes.shutdown().await.map_err(|e| stream_error(&e))
    });
    settle().await;
    theirs.say(100_000).await?;
    let heard = reading.await.during("reading panicked")?.during("read")?;
    ensure!(ours.hears.matches(&heard), "bytes arrived changed");
    // Nobody reads this any more; it fits the window.
    theirs.say(10_000).await?;
    let heard = theirs.hear_out().await?;
    writing.await.during("writing panicked")?.during("write")?;
    is_all(&heard, 1 + MEBIBYTE as u64)?;
    line.goes_on().await
}

/// R5. Two streams that nobody reads, one in each direction, hold up no other.
pub async fn a_slow_stream_holds_up_no_other(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    let (mut slow, mut slow_peer) = line.stream().await?;
    slow.fill(32 * MEBIBYTE).await?;
    slow_peer.fill(32 * MEBIBYTE).await?;
    let (mut ours, mut theirs) = line.stream().await?;
    let limit = Duration::from_secs(15);
    for turn in 0..2 {
        let (from, to) = if turn == 0 { (&mut ours, &mut theirs) } else { (&mut theirs, &mut ours) };
        let exchange = try_join(
            async {
                from.write(2 * MEBIBYTE).await.during("write")?;
                from.finish().await
            },
            to.hear_out(),
        );
        let ((), heard) =
            timeout(limit, exchange).await.during("a stream waits for the reader of another")??;
        is_all(&heard, from.says.at)?;
    }
    // The slow ones are as they were.
    slow_peer.hear(1_000).await?;
    slow.hear(1_000).await
}
