//! The first moments of a stream.

use super::{
    fixture::Fixture,
    voice::{Line, Voice, is_all},
};
use crate::harness::{Broken, During, Outcome, broken, ensure};
use futures::future::try_join;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// C1. The end that opened a stream reads first: the other one learns of the stream, and speaks. Where an opening says
/// nothing by itself, it takes a byte.
pub async fn the_accepting_end_may_speak_first(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    let (there, back) = line.texts();
    let open = async {
        let mut ours = Voice::new(line.ours.open().await?, there.clone(), back.clone());
        if !line.carries.openings {
            ours.say(1).await?;
        }
        ours.hear(1_000).await?;
        ours.say(1_000).await?;
        ours.finish().await?;
        ours.hear_out().await
    };
    let accept = async {
        let mut theirs = Voice::new(line.theirs.accept().await?, back.clone(), there.clone());
        theirs.say(1_000).await?;
        theirs.hear(1_000).await?;
        theirs.finish().await?;
        theirs.hear_out().await
    };
    let both = timeout(Duration::from_secs(10), try_join(open, accept)).await;
    let (ours, theirs) = both.during("the ends wait for each other to speak first")??;
    is_all(&ours, 1_000)?;
    is_all(&theirs, 1_000 + u64::from(!line.carries.openings))
}

/// A stream is finished without a word: the other end sees the end of file, and answers.
pub async fn the_opener_may_finish_at_once(fixture: Fixture) -> Outcome {
    let line = Line::new(&fixture).await?;
    let (there, back) = line.texts();
    let open = async {
        let mut ours = Voice::new(line.ours.open().await?, there.clone(), back.clone());
        ours.finish().await?;
        ours.hear_out().await
    };
    let accept = async {
        let mut theirs = Voice::new(line.theirs.accept().await?, back.clone(), there.clone());
        let heard = theirs.hear_out().await?;
        theirs.say(1_000).await?;
        theirs.finish().await?;
        Ok::<_, Broken>(heard)
    };
    let both = timeout(Duration::from_secs(10), try_join(open, accept)).await;
    let (ours, theirs) = both.during("a stream without data does not arrive")??;
    is_all(&theirs, 0)?;
    is_all(&ours, 1_000)?;
    line.goes_on().await
}

/// Streams opened and dropped at once are never taken for finished ones, and leave nothing behind.
pub async fn streams_dropped_at_once_leave_nothing(fixture: Fixture) -> Outcome {
    const STREAMS: u32 = 30;
    let line = Line::new(&fixture).await?;
    for _ in 0..STREAMS {
        drop(line.ours.open().await?);
    }
    let (there, back) = line.texts();
    let mut ours = Voice::new(line.ours.open().await?, there.clone(), back.clone());
    ours.say(1_000).await?;
    // Those before it may show at the other end, as reset.
    let mut theirs = loop {
        let mut theirs = Voice::new(line.theirs.accept().await?, back.clone(), there.clone());
        let first = theirs.hear(1).await;
        if first.is_ok() {
            break theirs;
        }
        let end = theirs.end().await?;
        ensure!(end.is_err(), "a stream that was opened and dropped shows as finished");
    };
    try_join(ours.finish(), theirs.finish()).await?;
    is_all(&theirs.hear_out().await?, 1_000)?;
    is_all(&ours.hear_out().await?, 0)?;
    drop((ours, theirs));
    for end in [&line.ours, &line.theirs] {
        let mut looks = 0_u32;
        while end.num_streams() > 0 {
            sleep(Duration::from_millis(10)).await;
            looks = looks.saturating_add(1);
            if looks > 500 {
                return broken(format!("{} streams are open that nobody holds", end.num_streams()));
            }
        }
    }
    line.goes_on().await
}
