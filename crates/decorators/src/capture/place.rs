//! What is recorded at one place.

use super::{entry::What, transcript::Transcript};
use crate::around::{Conn, Ends, Event, Flow, Hooks, Operation, Outcome, Place, Stream, Tap};
use skep_api::{CloseReason, error, escape, security::Role};
use std::{
    fmt::{Display, Write},
    sync::Arc,
    time::Duration,
};

/// What is around one plugin.
#[derive(Debug)]
pub(super) struct Recording {
    transcript: Arc<Transcript>,
    place: Arc<str>,
}

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    transcript: Arc<Transcript>,
    place: Arc<str>,
    number: u64,
}

/// One byte stream.
#[derive(Debug)]
pub(super) struct Recorder {
    connection: Recorded,
    stream: Option<u64>,
}

impl Recording {
    pub(super) fn new(transcript: Arc<Transcript>, place: &Place) -> Self {
        Self { transcript, place: place.to_string().into() }
    }
}

impl Hooks for Recording {
    type Conn = Recorded;

    fn after(
        &self,
        operation: Operation,
        subject: &dyn Display,
        outcome: Outcome<'_>,
        took: Option<Duration>,
    ) {
        // What comes of those that end well has lines of its own.
        let how = match outcome {
            Outcome::Done if matches!(operation, Operation::Listen | Operation::Refuse) => "ok".into(),
            Outcome::Done => return,
            Outcome::Failed(code, error) => {
                format!("failed {code}: {}", escape::remote(&error::chain(error)))
            }
            Outcome::Cancelled => "cancelled".into(),
        };
        // An address may come from a peer.
        let subject = escape::remote(&subject.to_string());
        let mut words = format!("{} {subject} {how}", operation.name());
        if let Some(took) = took {
            let _ = write!(words, " after {} ms", took.as_millis());
        }
        self.transcript.record(&self.place, None, None, What::Words(words));
    }

    fn connection(&self, ends: &Ends<'_>) -> Recorded {
        let (transcript, place) = (Arc::clone(&self.transcript), Arc::clone(&self.place));
        let connection = Recorded { number: transcript.number(), transcript, place };
        let mut words = format!("open {}", ends.role);
        if let Some((local, remote)) = ends.addrs {
            let _ = write!(words, " local={local} remote={remote}");
        }
        if let Some(peer) = ends.peer {
            let _ = write!(words, " peer={peer}");
        }
        connection.record(None, What::Words(words));
        connection
    }
}

impl Recorded {
    fn record(&self, stream: Option<u64>, what: What) {
        self.transcript.record(&self.place, Some(self.number), stream, what);
    }
}

impl Conn for Recorded {
    type Tap = Recorder;

    fn tap(&self, stream: Option<Stream>) -> Recorder {
        if let Some(Stream { id, role }) = stream {
            let by = if role == Role::Dialer { "outbound" } else { "inbound" };
            self.record(Some(id), What::Words(format!("open {by}")));
        }
        Recorder { connection: self.clone(), stream: stream.map(|stream| stream.id) }
    }

    fn ended(&self, reason: &CloseReason) {
        self.record(None, What::Words(format!("ended: {}", escape::remote(&reason.to_string()))));
    }
}

impl Tap for Recorder {
    fn passed(&mut self, flow: Flow, bytes: &[u8]) {
        let transcript = &self.connection.transcript;
        if !transcript.goes_on() {
            return;
        }
        let shown = bytes.get(..transcript.shown()).unwrap_or(bytes).into();
        self.connection.record(self.stream, What::Bytes { flow, count: bytes.len(), shown });
    }

    fn happened(&mut self, event: Event<'_>) {
        let words = match event {
            Event::EndOfFile => "end_of_file".into(),
            Event::Finished => "finished".into(),
            Event::Reset(code) => format!("reset {code}"),
            Event::StoppedReading(code) => format!("stopped_reading {code}"),
            Event::Failed(error) => format!("error: {}", escape::remote(&error.to_string())),
        };
        self.connection.record(self.stream, What::Words(words));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.connection.record(self.stream, What::Words("dropped".into()));
    }
}
