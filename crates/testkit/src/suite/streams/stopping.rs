//! Readers that want no more.

use super::{
    fixture::Fixture,
    voice::{Line, is_all, is_error, settle},
};
use crate::harness::{During, Outcome, broken};
use futures::future::try_join;
use skep_api::{Code, Side, stream::StreamError};
use std::time::Duration;
use tokio::time::timeout;

const MEBIBYTE: usize = 1 << 20;
const CODE: Code = Code::RATE_LIMITED;

/// After `stop_reading` the writer is told the code where that can be said. Otherwise its data is thrown away, and it
/// goes on to its end, be its window full or not.
pub async fn stop_reading_lets_the_writer_go(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    for (fills, reads) in [(false, false), (true, false), (true, true)] {
        let (mut ours, mut theirs) = line.stream().await?;
        if fills {
            ours.fill(32 * MEBIBYTE).await?;
        }
        if reads {
            // Stops in the middle of what has arrived.
            theirs.hear(100).await?;
        }
        let stop = async {
            settle().await;
            theirs.stream.stop_reading(CODE);
            // The first code stands.
            theirs.stream.stop_reading(Code(1));
            for _ in 0..2 {
                is_error(&theirs.end().await?, &StreamError::Reset { by: Side::Local, code: CODE })?;
            }
            Ok(())
        };
        let write = async {
            let written = timeout(Duration::from_secs(20), ours.write(4 * MEBIBYTE)).await;
            match written.during("the writer waits for a reader that does not want the data")? {
                Ok(()) if line.carries.stops => {
                    is_error(&Err(ours.refusal().await?), &StreamError::Stopped { code: CODE })
                }
                Ok(()) => ours.finish().await,
                Err(error) if line.carries.stops => {
                    is_error(&Err(error), &StreamError::Stopped { code: CODE })
                }
                Err(error) => broken(format!("the writer was told {error:?}, which the muxer cannot say")),
            }
        };
        try_join(stop, write).await?;
        theirs.finish().await?;
        is_all(&ours.hear_out().await?, 0)?;
    }
    line.goes_on().await
}

/// `stop_reading` ends one direction: a mebibyte goes the other way, with its end.
pub async fn stop_reading_leaves_the_way_back_open(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    let (mut ours, mut theirs) = line.stream().await?;
    ours.say(10_000).await?;
    theirs.stream.stop_reading(CODE);
    let write = async {
        theirs.write(MEBIBYTE).await.during("write after `stop_reading`")?;
        theirs.finish().await
    };
    let (heard, ()) = try_join(ours.hear_out(), write).await?;
    is_all(&heard, MEBIBYTE as u64)?;
    line.goes_on().await
}

/// A reader that drops a stream with data unread resets it, be the writer at work, waiting for room or done.
pub async fn dropping_with_unread_data_is_a_reset(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    let dropped = line.reset(Code::DROPPED);
    for (len, finishes) in [(10_000, false), (10_000, true), (32 * MEBIBYTE, false)] {
        let (mut ours, mut theirs) = line.stream().await?;
        ours.fill(len).await?;
        if finishes {
            ours.finish().await?;
        }
        theirs.hear(10).await?;
        drop(theirs);
        is_error(&ours.end().await?, &dropped)?;
        let told = ours.refusal().await?;
        let expected = if finishes { &StreamError::Finished } else { &dropped };
        is_error(&Err(told), expected)?;
    }
    line.goes_on().await
}
