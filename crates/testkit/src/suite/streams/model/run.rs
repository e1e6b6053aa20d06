//! Runs a script on a real connection, and asks the model about all that is seen.

use super::{
    script::{Op, Script, Step},
    state::{Model, Seen},
};
use crate::{
    harness::{Broken, During, Outcome, ensure},
    suite::streams::{
        Fixture,
        voice::{Line, Voice, stream_error},
    },
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// On a paused clock, nothing moves any more after this: it passes only when all tasks wait.
const SETTLED: Duration = Duration::from_secs(1);

/// Longer than a step takes that does not wait.
const LATE: Duration = Duration::from_millis(200);

/// Runs a script in a runtime of its own.
pub(super) fn run(fixture: &Fixture, script: &Script) -> Outcome {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().during("start a runtime")?;
    let outcome = runtime.block_on(async {
        let hang = Duration::from_secs(600);
        timeout(hang, play(fixture, script)).await.during("the script hangs")?
    });
    runtime.shutdown_background();
    outcome
}

/// A running script.
struct Play {
    line: Line,
    model: Model,
    voices: [Option<Voice>; 2],
    closes: Mutex<Vec<JoinHandle<()>>>,
}

async fn play(fixture: &Fixture, script: &Script) -> Outcome {
    let line = Line::new(fixture).await?;
    let (ours, theirs) = line.stream().await?;
    let model = Model::new(line.carries);
    let mut play = Play { line, model, voices: [Some(ours), Some(theirs)], closes: Mutex::default() };
    play.settle().await;
    for step in &script.steps {
        play.step(step).await?;
        if step.settles {
            play.settle().await;
        }
    }
    play.settle().await;
    play.read_out().await?;
    play.step(&Step::both(Op::Write(1))).await?;
    play.settle().await;
    play.step(&Step::both(Op::Write(1))).await?;
    play.end().await
}

impl Play {
    async fn settle(&mut self) {
        sleep(SETTLED).await;
        self.model.settle();
    }

    async fn step(&mut self, step: &Step) -> Outcome {
        let [mut ours, mut theirs] = std::mem::take(&mut self.voices);
        // Who has let go of the stream can do no more with it.
        let opener = step.opener.as_ref().filter(|op| ours.is_some() || op.is_of_connection());
        let acceptor = step.acceptor.as_ref().filter(|op| theirs.is_some() || op.is_of_connection());
        let late = step.acts_late;
        let (by_opener, by_acceptor) =
            futures::join!(self.act(0, &mut ours, opener, late), self.act(1, &mut theirs, acceptor, late));
        self.voices = [ours, theirs];
        let mut done = Vec::new();
        for (end, op, seen) in [(0, opener, by_opener), (1, acceptor, by_acceptor)] {
            if let Some(op) = op {
                done.push((end, op, seen?));
            }
        }
        // What was done explains what was seen, and a read can see what was written at the same time.
        done.sort_by_key(|(_, op, _)| op.order());
        for (end, op, seen) in &done {
            self.judge(*end, op, seen)?;
        }
        if done.iter().any(|(_, _, seen)| matches!(seen, Seen::Waits(_))) {
            self.model.settle();
        }
        Ok(())
    }

    /// Does one thing with a stream, as far as that goes.
    async fn act(
        &self,
        end: usize,
        voice: &mut Option<Voice>,
        op: Option<&Op>,
        late: bool,
    ) -> Result<Seen, Broken> {
        let Some(op) = op else { return Ok(Seen::Moved(0)) };
        if late && op.is_act() {
            // The other end has done by then what it can, and waits.
            sleep(LATE).await;
        }
        match op {
            Op::Close(code) => {
                let conn = Arc::clone(if end == 0 { &self.line.ours } else { &self.line.theirs });
                let code = *code;
                let close = tokio::spawn(async move { conn.close(code).await });
                self.closes.lock().unwrap_or_else(PoisonError::into_inner).push(close);
            }
            Op::Cut => (self.line.cut)(),
            Op::Drop => *voice = None,
            _ => {
                if let Some(speaker) = voice {
                    return speak(speaker, op).await;
                }
            }
        }
        Ok(Seen::Moved(0))
    }

    fn judge(&mut self, end: usize, op: &Op, seen: &Seen) -> Outcome {
        match op {
            Op::Write(_) => return self.model.judge_write(end, seen),
            Op::Read(_) => return self.model.judge_read(end, seen),
            Op::Finish => {
                self.model.judge_finish(end, seen)?;
                if matches!(seen, Seen::Moved(_)) {
                    self.model.side_mut(end).finished = true;
                }
            }
            Op::Reset(code) => self.model.reset(end, *code),
            Op::Stop(code) => self.model.stop(end, *code),
            Op::Drop => self.model.drop(end),
            Op::Close(code) => self.model.end(Some((end, *code))),
            Op::Cut => self.model.end(None),
        }
        Ok(())
    }

    /// Reads both directions until they end or nothing comes.
    async fn read_out(&mut self) -> Outcome {
        for end in 0..2 {
            let read = Op::Read(1 << 20);
            let Some(mut voice) = self.voices.get_mut(end).and_then(Option::take) else { continue };
            loop {
                let seen = read_some(&mut voice, 1 << 20).await?;
                self.judge(end, &read, &seen)?;
                if !matches!(seen, Seen::Moved(_)) {
                    break;
                }
            }
            if let Some(place) = self.voices.get_mut(end) {
                *place = Some(voice);
            }
        }
        self.settle().await;
        Ok(())
    }

    /// Nothing of the stream is left, and the connection goes on; or it has ended, as both ends say.
    async fn end(mut self) -> Outcome {
        self.voices = [None, None];
        self.settle().await;
        let closes = std::mem::take(&mut *self.closes.lock().unwrap_or_else(PoisonError::into_inner));
        for close in closes {
            timeout(Duration::from_secs(60), close)
                .await
                .during("`close` does not return")?
                .during("close")?;
        }
        for (end, conn) in [&self.line.ours, &self.line.theirs].into_iter().enumerate() {
            if self.model.has_ended() {
                let reason = timeout(Duration::from_secs(60), conn.closed()).await.during("no end comes")?;
                ensure!(self.model.may_end(end, &reason), "end {end} says {reason:?}: {:#?}", self.model);
            } else {
                ensure!(conn.num_streams() == 0, "{} streams are left at end {end}", conn.num_streams());
            }
        }
        if self.model.has_ended() { Ok(()) } else { self.line.goes_on().await }
    }
}

async fn speak(speaker: &mut Voice, op: &Op) -> Result<Seen, Broken> {
    match op {
        Op::Write(len) => return Ok(write_some(speaker, *len).await),
        Op::Read(len) => return read_some(speaker, *len).await,
        Op::Finish => match timeout(SETTLED, speaker.stream.shutdown()).await {
            Err(_) => return Ok(Seen::Waits(0)),
            Ok(Err(e)) => return Ok(Seen::Ended(0, Err(stream_error(&e)))),
            Ok(Ok(())) => {}
        },
        Op::Reset(code) => speaker.stream.reset(*code),
        Op::Stop(code) => speaker.stream.stop_reading(*code),
        Op::Drop | Op::Close(_) | Op::Cut => {}
    }
    Ok(Seen::Moved(0))
}

async fn write_some(voice: &mut Voice, len: usize) -> Seen {
    let before = voice.says.at;
    let written = timeout(SETTLED, voice.write(len)).await;
    let moved = voice.says.at.saturating_sub(before);
    match written {
        Ok(Ok(())) => Seen::Moved(moved),
        Ok(Err(error)) => Seen::Ended(moved, Err(error)),
        Err(_) => Seen::Waits(moved),
    }
}

async fn read_some(voice: &mut Voice, len: usize) -> Result<Seen, Broken> {
    let mut bytes = vec![0; len];
    match timeout(SETTLED, voice.stream.read(&mut bytes)).await {
        Ok(Ok(0)) => Ok(Seen::Ended(0, Ok(()))),
        Ok(Ok(n)) => {
            let right = voice.hears.matches(bytes.get(..n).unwrap_or_default());
            ensure!(right, "bytes before {} arrived changed", voice.hears.at);
            Ok(Seen::Moved(n as u64))
        }
        Ok(Err(e)) => Ok(Seen::Ended(0, Err(stream_error(&e)))),
        Err(_) => Ok(Seen::Waits(0)),
    }
}
