//! Resets, and whom they reach.

use super::{
    fixture::Fixture,
    voice::{End, Line, Voice, is_all, is_cut_short, is_error, settle},
};
use crate::harness::{Broken, During, Outcome, broken, ensure};
use futures::future::try_join;
use skep_api::{Code, Side, stream::StreamError};
use std::time::Duration;
use tokio::time::timeout;

const MEBIBYTE: usize = 1 << 20;

/// Codes of every size that fits.
const CODES: [Code; 3] = [Code(1), Code::RATE_LIMITED, Code(0x7fff_fffe)];

fn by_us(code: Code) -> StreamError {
    StreamError::Reset { by: Side::Local, code }
}

/// Both directions of a stream have ended with this error, and stay so.
async fn is_over(voice: &mut Voice, error: &StreamError) -> Outcome {
    for _ in 0..2 {
        is_error(&voice.end().await?, error)?;
        is_error(&Err(voice.refusal().await?), error)?;
    }
    Ok(())
}

/// R1. The reader resets while the writer waits for room: the writer wakes and is told the code.
pub async fn a_reset_by_the_reader_ends_a_blocked_write(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    for code in CODES {
        let (mut ours, mut theirs) = line.stream().await?;
        ours.fill(32 * MEBIBYTE).await?;
        let writing = async {
            let written = timeout(Duration::from_secs(10), ours.write(32 * MEBIBYTE)).await;
            match written.during("a blocked write waits although its stream was reset")? {
                Err(error) => is_error(&Err(error), &line.reset(code)),
                Ok(()) => broken("a stream that was reset takes everything"),
            }
        };
        let reset = async {
            settle().await;
            theirs.stream.reset(code);
            is_over(&mut theirs, &by_us(code)).await
        };
        try_join(writing, reset).await?;
        is_over(&mut ours, &line.reset(code)).await?;
    }
    line.goes_on().await
}

/// R1. The writer resets while the reader waits for data: the reader wakes and is told the code. It is no end of file.
pub async fn a_reset_by_the_writer_ends_a_waiting_read(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    for code in CODES {
        let (mut ours, mut theirs) = line.stream().await?;
        ours.say(10_000).await?;
        theirs.hear(10_000).await?;
        let reset = async {
            settle().await;
            ours.stream.reset(code);
            is_over(&mut ours, &by_us(code)).await
        };
        let (heard, ()) = try_join(theirs.hear_out(), reset).await?;
        is_cut_short(&heard, 10_001, &line.reset(code))?;
        is_over(&mut theirs, &line.reset(code)).await?;
        // Dropping what was reset says nothing more.
        drop(ours);
        settle().await;
        is_over(&mut theirs, &line.reset(code)).await?;
    }
    line.goes_on().await
}

/// R1, R2. A reset takes back what was finished but not read, or it does not: the peer hears all and the end of file, or
/// less and the reset. Its own writing ends with the reset in any case.
pub async fn a_reset_after_finishing_is_no_silent_loss(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    for (len, wait) in [(0, false), (10_000, false), (10_000, true), (200_000, false)] {
        let code = Code::RATE_LIMITED;
        let (mut ours, mut theirs) = line.stream().await?;
        ours.say(len).await?;
        ours.finish().await?;
        if wait {
            settle().await;
        }
        ours.stream.reset(code);
        let heard = theirs.hear_out().await?;
        match &heard.end {
            Ok(()) => is_all(&heard, 1 + len as u64)?,
            Err(_) => is_cut_short(&heard, 1 + len as u64, &line.reset(code))?,
        }
        is_error(&Err(theirs.refusal().await?), &line.reset(code))?;
        ensure!(theirs.end().await? == heard.end, "reading ended with {:?} and then otherwise", heard.end);
        is_error(&ours.end().await?, &by_us(code))?;
    }
    line.goes_on().await
}

/// A reset of a stream that has ended already is none: neither end sees it, and what arrived can still be read.
pub async fn a_reset_after_the_end_changes_nothing(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    let (mut ours, mut theirs) = line.stream().await?;
    try_join(ours.say(1_000), theirs.say(1_000)).await?;
    try_join(ours.finish(), theirs.finish()).await?;
    ours.hear(1_000).await?;
    let ended: End = ours.end().await?;
    ensure!(ended == Ok(()), "after the end of both directions came {ended:?}");
    ours.stream.reset(Code(5));
    settle().await;
    is_all(&theirs.hear_out().await?, 1_001)?;
    is_all(&ours.hear_out().await?, 1_000)?;

    let (mut ours, mut theirs) = line.stream().await?;
    theirs.stream.reset(Code(5));
    is_error(&ours.end().await?, &line.reset(Code(5)))?;
    ours.stream.reset(Code(6));
    theirs.stream.reset(Code(7));
    is_over(&mut ours, &line.reset(Code(5))).await?;
    is_over(&mut theirs, &by_us(Code(5))).await?;

    let (mut ours, _theirs) = line.stream().await?;
    (line.cut)();
    let lost = match ours.end().await? {
        Err(error @ StreamError::ConnectionLost(_)) => error,
        other => return broken(format!("the connection broke, and reading ended with {other:?}")),
    };
    ours.stream.reset(Code(6));
    is_over(&mut ours, &lost).await
}

/// A stream's reset leaves the others of its connection as they are, with data on the way.
pub async fn a_reset_of_one_stream_leaves_the_others(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    let (mut ours, mut theirs) = line.stream().await?;
    let (mut doomed, _doomed_too) = line.stream().await?;
    let write = async {
        ours.write(MEBIBYTE).await.during("write")?;
        ours.finish().await
    };
    let disturb = async {
        doomed.say(10_000).await?;
        doomed.stream.reset(Code(9));
        settle().await;
        Ok::<_, Broken>(())
    };
    let ((), (), heard) = futures::future::try_join3(write, disturb, theirs.hear_out()).await?;
    is_all(&heard, 1 + MEBIBYTE as u64)
}
