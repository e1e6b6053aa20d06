//! How streams end.

use super::{
    Fixture,
    pair::{Pair, STUCK, ending, hear, hear_all, say, stream_error, text},
};
use crate::harness::{Broken, During, Outcome, broken, ensure};
use futures::future::try_join;
use skep_api::{Code, Side, stream::StreamError};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

const CODE: Code = Code::RATE_LIMITED;
const MEBIBYTE: usize = 1 << 20;

/// R1. A reset reaches the peer's reader as a reset by the peer, with its code or none, and not as the end of file.
pub async fn r1_a_reset_is_no_end_of_file(fixture: Fixture) -> Outcome {
    let pair = Pair::new(&fixture);
    let (mut ours, mut theirs) = pair.stream().await?;
    ours.reset(CODE);
    is_reset(ending(&mut theirs).await?, CODE)?;
    // At the end that reset, reading is over as well, by its own doing.
    match ending(&mut ours).await? {
        Some(StreamError::Reset { by: Side::Local, code }) if code == CODE => Ok(()),
        other => broken(format!("the end that reset the stream reads {other:?}")),
    }
}

/// R2. `shutdown` delivers what was written and then the end of file, and a mebibyte comes back after it.
pub async fn r2_shutdown_leaves_the_way_back_open(fixture: Fixture) -> Outcome {
    let pair = Pair::new(&fixture);
    let (mut ours, mut theirs) = pair.stream().await?;
    say(&mut ours, b"the question").await?;
    ours.shutdown().await.during("shutdown")?;
    let question = hear_all(&mut theirs).await?;
    ensure!(question == b"the question", "{question:?} arrived before the end of file");
    let answer = text(MEBIBYTE);
    let write = async {
        theirs.write_all(&answer).await.during("write after the peer's end")?;
        theirs.shutdown().await.during("shutdown")
    };
    let (heard, ()) = try_join(hear_all(&mut ours), write).await?;
    ensure!(heard == answer, "{} of {MEBIBYTE} bytes came back, or they were changed", heard.len());
    match ours.write(b"more").await {
        Err(e) if stream_error(&e)? == StreamError::Finished => Ok(()),
        other => broken(format!("writing after `shutdown` gave {other:?}, expected StreamError::Finished")),
    }
}

/// R3. A stream that is dropped with its sending side open is reset; the peer does not take it for the end.
pub async fn r3_dropping_unfinished_is_a_reset(fixture: Fixture) -> Outcome {
    let pair = Pair::new(&fixture);
    let (mut ours, mut theirs) = pair.stream().await?;
    say(&mut ours, b"half a mess").await?;
    hear(&mut theirs, b"half a mess").await?;
    drop(ours);
    is_reset(ending(&mut theirs).await?, Code::DROPPED)
}

/// A reset by the peer with this code, or with none where the muxer carries none.
fn is_reset(end: Option<StreamError>, expected: Code) -> Outcome {
    match end {
        Some(StreamError::Reset { by: Side::Remote, code }) if [expected, Code::UNKNOWN].contains(&code) => {
            Ok(())
        }
        other => {
            broken(format!("the peer's reader got {other:?}, expected a reset by the peer ({expected})"))
        }
    }
}

/// R4. What was written before `shutdown` arrives whole although the stream is dropped at once, be it more than
/// the peer's window or less, and the peer slow to read.
pub async fn r4_dropping_after_shutdown_loses_nothing(fixture: Fixture) -> Outcome {
    for size in [1_000, 100_000, MEBIBYTE] {
        let pair = Pair::new(&fixture);
        let (mut ours, mut theirs) = pair.stream().await?;
        let sent = text(size);
        let write = async {
            ours.write_all(&sent).await.during("write")?;
            ours.shutdown().await.during("shutdown")?;
            drop(ours);
            Ok::<_, Broken>(())
        };
        let read = async {
            let mut heard = Vec::new();
            let mut chunk = vec![0; 8 * 1024];
            loop {
                sleep(Duration::from_millis(1)).await;
                match theirs.read(&mut chunk).await.during("read")? {
                    0 => return Ok(heard),
                    n => heard.extend_from_slice(chunk.get(..n).unwrap_or_default()),
                }
            }
        };
        let ((), heard) = try_join(write, read).await?;
        ensure!(heard == sent, "{} of {size} bytes arrived, or they were changed", heard.len());
    }
    Ok(())
}

/// After `stop_reading` the peer's writer is told or its data is thrown away, and it does not wait for ever.
pub async fn stop_reading_does_not_block_the_writer(fixture: Fixture) -> Outcome {
    let pair = Pair::new(&fixture);
    let (mut ours, mut theirs) = pair.stream().await?;
    theirs.stop_reading(CODE);
    let sent = text(4 * MEBIBYTE);
    match timeout(STUCK, ours.write_all(&sent)).await {
        Err(_) => return broken("the writer waits for a reader that does not want the data"),
        Ok(Ok(())) => {}
        Ok(Err(e)) => match stream_error(&e)? {
            StreamError::Stopped { .. } | StreamError::Reset { by: Side::Remote, .. } => {}
            other => return broken(format!("the writer was told {other:?}")),
        },
    }
    // The way back is another matter.
    say(&mut theirs, b"but listen").await?;
    hear(&mut ours, b"but listen").await
}
