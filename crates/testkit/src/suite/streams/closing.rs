//! The end of the connection, as its streams see it.

use super::{
    fixture::Fixture,
    voice::{End, Line, Voice, is_all, is_closed, is_cut_short, is_lost, is_reason, settle},
};
use crate::harness::{Broken, During, Outcome, broken, ensure};
use futures::future::try_join;
use skep_api::{CloseReason, Code};
use std::time::Duration;
use tokio::time::timeout;

const MEBIBYTE: usize = 1 << 20;
const CODES: [Code; 3] = [Code::NONE, Code::SHUTDOWN, Code(0x7fff_fffe)];

/// C4, C5. What streams had finished is delivered before the close, read at once or later. The others end with the
/// connection, and every end is told who closed and with which code.
pub async fn closing_delivers_what_was_finished_and_tells_the_code(fixture: Fixture) -> Outcome {
    for code in CODES {
        let line = Line::new(&fixture).await?;
        let (here, there) = line.closes(code);
        let (mut long, mut long_peer) = line.stream().await?;
        let (mut late, mut late_peer) = line.stream().await?;
        let (mut open, mut open_peer) = line.stream().await?;
        late.say(1_000).await?;
        late.finish().await?;
        open.say(1_000).await?;
        let close = async {
            long.write(MEBIBYTE).await.during("write")?;
            long.finish().await?;
            let closed = timeout(Duration::from_secs(10), line.ours.close(code)).await;
            closed.during("`close` does not return")
        };
        let read = async {
            settle().await;
            long_peer.hear_out().await
        };
        let ((), heard) = try_join(close, read).await?;
        is_all(&heard, 1 + MEBIBYTE as u64)?;
        is_reason(&line.ours.closed().await, &here)?;
        is_reason(&line.theirs.closed().await, &there)?;
        is_all(&late_peer.hear_out().await?, 1_001)?;
        let cut_short = open_peer.hear_out().await?;
        ensure!(cut_short.bytes <= 1_001, "{} of 1001 bytes arrived", cut_short.bytes);
        for (end, reason) in [
            (cut_short.end, &there),
            (Err(open_peer.refusal().await?), &there),
            (Err(long_peer.refusal().await?), &there),
            (long.end().await?, &here),
            (open.end().await?, &here),
            (Err(open.refusal().await?), &here),
        ] {
            match end {
                Err(error) => is_closed(&error, reason)?,
                Ok(()) => return broken("the close of the connection was taken for the end of file"),
            }
        }
    }
    Ok(())
}

/// C5. A close ends writes of both ends that wait for room, and reads that wait for data.
pub async fn closing_ends_a_blocked_write(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    let (here, there) = line.closes(Code(42));
    let (mut ours, mut theirs) = line.stream().await?;
    let (mut reader, mut reader_peer) = line.stream().await?;
    ours.fill(32 * MEBIBYTE).await?;
    theirs.fill(32 * MEBIBYTE).await?;
    let limit = Duration::from_secs(20);
    let close = async {
        settle().await;
        timeout(limit, line.theirs.close(Code(42))).await.during("`close` does not return")
    };
    let writes = async {
        let (ours, theirs) = futures::join!(ours.write(32 * MEBIBYTE), theirs.write(32 * MEBIBYTE));
        Ok::<_, Broken>((ours, theirs))
    };
    let writes =
        async { timeout(limit, writes).await.during("a write waits although the connection is closed")? };
    let reads = try_join(reader.end(), reader_peer.end());
    let ((), (ours, theirs), (read, read_peer)) = futures::future::try_join3(close, writes, reads).await?;
    for (end, reason) in [(ours, &there), (theirs, &here), (read, &there), (read_peer, &here)] {
        match end {
            // Without flow control a full stream keeps the close from being seen until it is given up.
            Err(error) if line.is_given_up(&error) => {}
            Err(error) => is_closed(&error, reason)?,
            Ok(()) => return broken("a stream went on after the close of its connection"),
        }
    }
    Ok(())
}

/// C5. The connection breaks in the middle of a transfer: both ends learn it, after what had arrived.
pub async fn cutting_in_the_middle_ends_both_ends_after_what_arrived(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    let (mut ours, mut theirs) = line.stream().await?;
    let (mut busy, mut busy_peer) = line.stream().await?;
    let (mut idle, mut idle_peer) = line.stream().await?;
    // One write arrives as one: who has read a part of it has all of it.
    ours.say(1_000).await?;
    theirs.hear(10).await?;
    let limit = Duration::from_secs(20);
    let (busy_heard, busy_told) = futures::join!(
        cut_after_a_mebibyte(&line, &mut busy_peer),
        timeout(limit, busy.write(256 * MEBIBYTE))
    );
    theirs.hear(990).await?;
    let busy_told = busy_told.during("a write waits although the connection is lost")?;
    let ends = [
        busy_heard?,
        busy_told,
        theirs.end().await?,
        ours.end().await?,
        idle.end().await?,
        idle_peer.end().await?,
        Err(idle.refusal().await?),
        Err(idle_peer.refusal().await?),
    ];
    for end in ends {
        match end {
            Err(error) => is_lost(&error)?,
            Ok(()) => return broken("the loss of the connection was taken for the end of file"),
        }
    }
    for end in [&line.ours, &line.theirs] {
        let reason = end.closed().await;
        ensure!(
            matches!(reason, CloseReason::Lost { .. }),
            "the connection broke, and its reason is {reason:?}"
        );
    }
    Ok(())
}

async fn cut_after_a_mebibyte(line: &Line, busy: &mut Voice) -> Result<End, Broken> {
    for _ in 0..16 {
        busy.hear(MEBIBYTE / 16).await?;
    }
    (line.cut)();
    busy.end().await
}

/// An end of file that was read, and data before it that was not, outlive the connection.
pub async fn the_end_of_file_outlives_the_connection(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    let (mut ours, mut theirs) = line.stream().await?;
    let (mut later, mut later_peer) = line.stream().await?;
    later.say(1_000).await?;
    later.finish().await?;
    later_peer.hear(10).await?;
    ours.say(1_000).await?;
    ours.finish().await?;
    is_all(&theirs.hear_out().await?, 1_001)?;
    settle().await;
    (line.cut)();
    line.theirs.closed().await;
    is_all(&theirs.hear_out().await?, 1_001)?;
    let rest = later_peer.hear_out().await?;
    match rest.end.clone() {
        Ok(()) => is_all(&rest, 1_001),
        Err(error) => {
            is_lost(&error)?;
            is_cut_short(&rest, 1_001, &error)
        }
    }
}
