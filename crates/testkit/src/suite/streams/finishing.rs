//! The end of file, and what stands in for it.

use super::{
    fixture::Fixture,
    voice::{Line, is_all, is_cut_short, is_error, settle, stream_error},
};
use crate::harness::{Broken, During, Outcome, ensure};
use futures::future::try_join;
use skep_api::{Code, stream::StreamError};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

const MEBIBYTE: usize = 1 << 20;

/// R3. A stream dropped with its sending side open is reset: never a clean end, whether the data was read before or not.
pub async fn writing_then_dropping_is_a_reset(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    let dropped = line.reset(Code::DROPPED);
    for (len, read_first) in [(1, true), (100_000, true), (1, false), (100_000, false), (0, false)] {
        let (mut ours, mut theirs) = line.stream().await?;
        ours.say(len).await?;
        if read_first {
            theirs.hear(len).await?;
        }
        drop(ours);
        is_cut_short(&theirs.hear_out().await?, 1 + len as u64, &dropped)?;
        is_error(&theirs.end().await?, &dropped)?;
        is_error(&Err(theirs.refusal().await?), &dropped)?;
    }
    line.goes_on().await
}

/// R2, R4. What was finished arrives whole, although the stream is dropped at once: be it less than the window or more,
/// and its reader late.
pub async fn finishing_then_dropping_loses_nothing(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    for len in [1_000, 100_000, 2 * MEBIBYTE] {
        let (mut ours, mut theirs) = line.stream().await?;
        let write = async {
            ours.write(len).await.during("write")?;
            ours.finish().await?;
            drop(ours);
            Ok::<_, Broken>(())
        };
        let read = async {
            settle().await;
            theirs.hear_out().await
        };
        let ((), heard) = try_join(write, read).await?;
        is_all(&heard, 1 + len as u64)?;
    }
    line.goes_on().await
}

/// R2. After the end of one direction, ten mebibytes come back through the other.
pub async fn half_closed_takes_ten_mebibytes_back(fixture: Fixture) -> Outcome {
    const BACK: usize = 10 * MEBIBYTE;
    let line = Line::new(&fixture).await?;
    let (mut ours, mut theirs) = line.stream().await?;
    ours.say(1_000).await?;
    ours.finish().await?;
    is_all(&theirs.hear_out().await?, 1_001)?;
    let write = async {
        theirs.write(BACK).await.during("write after the peer's end")?;
        theirs.finish().await
    };
    let (heard, ()) = try_join(ours.hear_out(), write).await?;
    is_all(&heard, BACK as u64)?;
    line.goes_on().await
}

/// Both ends finish at the same time, with data on the way in both directions.
pub async fn both_may_finish_at_once(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    for len in [0, 10, 100_000] {
        let (mut ours, mut theirs) = line.stream().await?;
        try_join(ours.say(len), theirs.say(len)).await?;
        try_join(ours.finish(), theirs.finish()).await?;
        is_all(&theirs.hear_out().await?, 1 + len as u64)?;
        is_all(&ours.hear_out().await?, len as u64)?;
    }
    line.goes_on().await
}

/// The end of file is read again and again, also after the peer has let go of the stream.
pub async fn the_end_of_file_stays(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    let (mut ours, mut theirs) = line.stream().await?;
    ours.say(100).await?;
    ours.finish().await?;
    is_all(&theirs.hear_out().await?, 101)?;
    for _ in 0..3 {
        is_all(&theirs.hear_out().await?, 101)?;
    }
    drop(ours);
    settle().await;
    is_all(&theirs.hear_out().await?, 101)?;
    if let Err(e) = theirs.stream.shutdown().await {
        line.is_reader_gone(&stream_error(&e))?;
    }
    is_all(&theirs.hear_out().await?, 101)?;
    drop(theirs);
    line.goes_on().await
}

/// A write after the end is refused as such, finishing twice is no error, and reading goes on.
pub async fn a_finished_stream_takes_no_more_writes(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    let (mut ours, mut theirs) = line.stream().await?;
    ours.finish().await?;
    for _ in 0..2 {
        let refusal = ours.refusal().await?;
        ensure!(refusal == StreamError::Finished, "a write after the end gave {refusal:?}");
        ours.finish().await?;
    }
    theirs.say(1_000).await?;
    ours.hear(1_000).await?;
    is_all(&theirs.hear_out().await?, 1)?;
    theirs.finish().await?;
    is_all(&ours.hear_out().await?, 1_000)?;
    line.goes_on().await
}

/// One end finishes and goes while the other still writes, be it held up by a full window: the writer does not wait for
/// ever, and what had been finished can still be read.
pub async fn a_writer_is_told_that_its_reader_has_finished_and_gone(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    for fills in [false, true] {
        let (mut ours, mut theirs) = line.stream().await?;
        ours.say(10_000).await?;
        ours.finish().await?;
        if fills {
            theirs.fill(32 * MEBIBYTE).await?;
        }
        let (mut reads, mut writes) = tokio::io::split(theirs.stream);
        let writing = tokio::spawn(async move {
            loop {
                if let Err(e) = writes.write_all(&[0; 1_000]).await {
                    return stream_error(&e);
                }
                settle().await;
            }
        });
        settle().await;
        drop(ours);
        let told = timeout(Duration::from_secs(10), writing).await;
        let told = told.during("a writer waits for a reader that is gone")?.during("write")?;
        line.is_reader_gone(&told)?;
        let mut heard = Vec::new();
        reads.read_to_end(&mut heard).await.during("read what had been finished before")?;
        ensure!(heard.len() == 10_000, "{} of 10000 bytes were left to read", heard.len());
        ensure!(theirs.hears.matches(&heard), "bytes arrived changed");
    }
    line.goes_on().await
}
