//! A connection under test, and the two ends of its streams with what they say.

use super::{
    bytes::Text,
    fixture::{Carries, Connected, Fixture, Stream, StreamEnd},
};
use crate::harness::{Broken, During, Outcome, broken, ensure};
use futures::future::try_join;
use skep_api::{CloseReason, Code, Side, stream::StreamError};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

/// After this long without progress a writer is taken to wait for its reader. No property depends on it: a script
/// that takes too few bytes for all that fit tests another order of events.
const STANDSTILL: Duration = Duration::from_millis(50);

/// How often a write is tried that should be refused sooner or later.
const TRIES: u32 = 500;

/// How reading ended: the end of file, or an error.
pub(super) type End = Result<(), StreamError>;

/// A connection. Ours is the end that opens streams.
pub(super) struct Line {
    pub(super) ours: Arc<dyn StreamEnd>,
    pub(super) theirs: Arc<dyn StreamEnd>,
    pub(super) cut: Arc<dyn Fn() + Send + Sync>,
    pub(super) carries: Carries,
    most_unread: Option<usize>,
    seeds: AtomicU64,
}

impl Line {
    pub(super) async fn new(fixture: &Fixture) -> Result<Self, Broken> {
        let (ours, Connected { listener: theirs, cut, .. }) = fixture.connect().await?;
        let (carries, most_unread) = (fixture.carries, fixture.most_unread);
        Ok(Self { ours, theirs, cut, carries, most_unread, seeds: AtomicU64::new(1) })
    }

    /// A text in each direction.
    pub(super) fn texts(&self) -> (Text, Text) {
        let seed = self.seeds.fetch_add(2, Ordering::Relaxed) << 40;
        (Text::new(seed), Text::new(seed.wrapping_add(1 << 40)))
    }

    /// One stream, on which one byte went to the peer.
    pub(super) async fn stream(&self) -> Result<(Voice, Voice), Broken> {
        let (there, back) = self.texts();
        let open = async {
            let mut ours = self.voice(self.ours.open().await?, &there, &back);
            ours.say(1).await.map(|()| ours)
        };
        let accept = async {
            let mut theirs = self.voice(self.theirs.accept().await?, &back, &there);
            theirs.hear(1).await.map(|()| theirs)
        };
        try_join(open, accept).await
    }

    fn voice(&self, stream: Stream, says: &Text, hears: &Text) -> Voice {
        let mut voice = Voice::new(stream, says.clone(), hears.clone());
        voice.most_unread = self.most_unread.unwrap_or(usize::MAX);
        voice
    }

    /// Whether a stream may have ended so because too much of it was unread. Never where there is flow control.
    pub(super) fn is_given_up(&self, error: &StreamError) -> bool {
        let reset = match error {
            StreamError::Reset { by: Side::Local, code } => *code == Code::RESOURCE_LIMIT,
            other => *other == self.reset(Code::RESOURCE_LIMIT),
        };
        reset && self.most_unread.is_some()
    }

    /// The connection goes on after what happened to another stream.
    pub(super) async fn goes_on(&self) -> Outcome {
        let (mut ours, mut theirs) = self.stream().await?;
        theirs.say(1_000).await?;
        ours.hear(1_000).await?;
        try_join(ours.finish(), theirs.finish()).await?;
        is_all(&ours.hear_out().await?, 1_000)?;
        is_all(&theirs.hear_out().await?, 1)
    }

    /// The peer's reset, as this muxer can tell it.
    pub(super) fn reset(&self, code: Code) -> StreamError {
        StreamError::Reset { by: Side::Remote, code: self.carries.reset(code) }
    }

    /// What the end that closed says, and what the other one does.
    pub(super) fn closes(&self, code: Code) -> (CloseReason, CloseReason) {
        (CloseReason::local(code), CloseReason::remote(self.carries.close(code)))
    }

    /// What a writer is told whose reader was dropped after it had finished its own side.
    pub(super) fn is_reader_gone(&self, error: &StreamError) -> Outcome {
        let stopped = matches!(error, StreamError::Stopped { code: Code::DROPPED });
        let told = *error == self.reset(Code::DROPPED) || (self.carries.stops && stopped);
        ensure!(told, "a writer whose reader was dropped is told: {error:?}");
        Ok(())
    }
}

/// One end of a stream.
pub(super) struct Voice {
    pub(super) stream: Stream,
    pub(super) says: Text,
    pub(super) hears: Text,
    /// Most bytes that [`Voice::fill`] writes.
    most_unread: usize,
}

/// What was heard since the start of a stream, and how it ended.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) bytes: u64,
    pub(super) end: End,
}

impl Voice {
    pub(super) fn new(stream: Stream, says: Text, hears: Text) -> Self {
        Self { stream, says, hears, most_unread: usize::MAX }
    }

    /// Writes the next bytes, and sends them.
    pub(super) async fn say(&mut self, len: usize) -> Result<(), Broken> {
        self.write(len).await.during("write")?;
        self.stream.flush().await.during("flush")
    }

    /// Writes the next bytes.
    pub(super) async fn write(&mut self, len: usize) -> Result<(), StreamError> {
        let mut left = len;
        while left > 0 {
            let chunk = self.says.peek(left.min(64 * 1024));
            let n = self.stream.write(&chunk).await.map_err(|e| stream_error(&e))?;
            self.says.pass(n);
            left = left.saturating_sub(n.max(1));
        }
        Ok(())
    }

    /// Writes until nothing more is taken, as the peer does not read. The last write may still wait when this gives up.
    pub(super) async fn fill(&mut self, most: usize) -> Result<(), Broken> {
        for _ in 0..most.min(self.most_unread).div_ceil(16 * 1024) {
            match timeout(STANDSTILL, self.write(16 * 1024)).await {
                Ok(written) => written.during("write")?,
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Writes until that fails, and gives the error.
    pub(super) async fn refusal(&mut self) -> Result<StreamError, Broken> {
        for _ in 0..TRIES {
            let write = async {
                self.write(1).await?;
                self.stream.flush().await.map_err(|e| stream_error(&e))
            };
            match timeout(Duration::from_secs(10), write).await {
                Ok(Ok(())) => sleep(Duration::from_millis(10)).await,
                Ok(Err(error)) => return Ok(error),
                Err(_) => return broken("a write waits for ever that should fail"),
            }
        }
        broken("writes are taken that should fail")
    }

    pub(super) async fn finish(&mut self) -> Result<(), Broken> {
        self.stream.shutdown().await.during("finish")
    }

    /// Hears just so many bytes.
    pub(super) async fn hear(&mut self, len: usize) -> Result<(), Broken> {
        let mut heard = vec![0; len];
        self.stream.read_exact(&mut heard).await.during("read")?;
        ensure!(self.hears.matches(&heard), "{len} bytes arrived changed");
        Ok(())
    }

    /// Hears everything up to the end, in pieces of any size.
    pub(super) async fn hear_out(&mut self) -> Result<Heard, Broken> {
        let mut chunk = vec![0; 48 * 1024];
        let end = loop {
            let read = timeout(Duration::from_secs(10), self.stream.read(&mut chunk)).await;
            match read.during("a read that should end goes on")? {
                Ok(0) => break Ok(()),
                Ok(n) => {
                    let right = self.hears.matches(chunk.get(..n).unwrap_or_default());
                    ensure!(right, "bytes before {} arrived changed", self.hears.at);
                }
                Err(e) => break Err(stream_error(&e)),
            }
        };
        Ok(Heard { bytes: self.hears.at, end })
    }

    /// What another read says.
    pub(super) async fn end(&mut self) -> Result<End, Broken> {
        let heard = self.hear_out().await?;
        Ok(heard.end)
    }
}

/// The stream error within an I/O error. An error without one shows as a violation, which no script expects.
pub(super) fn stream_error(error: &io::Error) -> StreamError {
    let foreign = || {
        let what = format!("an I/O error without a StreamError in it: {error:?}");
        StreamError::ConnectionLost(CloseReason::Violation { what })
    };
    StreamError::of(error).cloned().unwrap_or_else(foreign)
}

/// Just so many bytes, and the end of file.
pub(super) fn is_all(heard: &Heard, bytes: u64) -> Outcome {
    ensure!(
        heard.end == Ok(()),
        "after {} of {bytes} bytes came {:?}, not the end of file",
        heard.bytes,
        heard.end
    );
    ensure!(heard.bytes == bytes, "the end of file came after {} of {bytes} bytes", heard.bytes);
    Ok(())
}

/// No more than so many bytes, and this error.
pub(super) fn is_cut_short(heard: &Heard, most: u64, error: &StreamError) -> Outcome {
    ensure!(heard.bytes <= most, "{} of {most} bytes arrived", heard.bytes);
    is_error(&heard.end, error)
}

/// This end of reading.
pub(super) fn is_error(end: &End, error: &StreamError) -> Outcome {
    ensure!(end.as_ref().err() == Some(error), "reading ended with {end:?}, not with {error:?}");
    Ok(())
}

/// An error of a stream whose connection was closed with this reason.
pub(super) fn is_closed(error: &StreamError, reason: &CloseReason) -> Outcome {
    let StreamError::ConnectionLost(found) = error else {
        return broken(format!("the connection was closed, and the stream says {error:?}"));
    };
    is_reason(found, reason)
}

/// The reason of a close. A muxer without a word for it may show no more than the loss.
pub(super) fn is_reason(found: &CloseReason, expected: &CloseReason) -> Outcome {
    let same = match (found, expected) {
        (CloseReason::Closed { by, code, .. }, CloseReason::Closed { by: right, code: told, .. }) => {
            (by, code) == (right, told)
        }
        (CloseReason::Lost { .. }, CloseReason::Closed { by: Side::Remote, code: Code::UNKNOWN, .. }) => true,
        _ => false,
    };
    ensure!(same, "the reason is {found:?}, expected {expected:?}");
    Ok(())
}

/// An error of a stream whose connection broke.
pub(super) fn is_lost(error: &StreamError) -> Outcome {
    let lost = matches!(error, StreamError::ConnectionLost(CloseReason::Lost { .. }));
    ensure!(lost, "the connection broke, and the stream says {error:?}");
    Ok(())
}

/// Lets everything settle that needs no reader.
pub(super) async fn settle() {
    sleep(STANDSTILL).await;
}
