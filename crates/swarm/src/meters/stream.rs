//! Streams: how each of them began and ended.

use super::{Meters, direction};
use skep_api::{Side, metrics::Values, security::Role, stream::StreamError};
use std::{fmt, io, sync::Arc};

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// This side has finished, and nobody has reset it.
    Finished,
    /// It was dropped before this side had finished.
    Dropped,
    /// No protocol was agreed on.
    NotAgreed,
    ResetLocal,
    ResetRemote,
    /// Its connection has ended.
    Lost,
}

impl Outcome {
    const ALL: [Self; 6] =
        [Self::Finished, Self::Dropped, Self::NotAgreed, Self::ResetLocal, Self::ResetRemote, Self::Lost];

    fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Dropped => "dropped",
            Self::NotAgreed => "not_agreed",
            Self::ResetLocal => "reset_local",
            Self::ResetRemote => "reset_remote",
            Self::Lost => "lost",
        }
    }
}

pub(super) fn outcomes() -> Values {
    Values::of(Outcome::ALL.map(Outcome::name))
}

/// Goes with a stream and counts its end.
pub(crate) struct StreamMeter {
    meters: Arc<Meters>,
    direction: &'static str,
    agreed: bool,
    finished: bool,
    /// What came first of a reset and the end of the connection.
    broken: Option<Outcome>,
}

impl StreamMeter {
    pub(super) fn new(meters: &Arc<Meters>, role: Role) -> Self {
        let direction = direction(role);
        meters.streams_opened.with(&[direction]).inc();
        Self { meters: Arc::clone(meters), direction, agreed: false, finished: false, broken: None }
    }

    /// A protocol was agreed on. It is one that this node serves, or that its own code has proposed.
    pub(crate) fn agreed(&mut self, protocol: &str) {
        self.agreed = true;
        if self.meters.streams_agreed.is_attached() {
            self.meters.protocols.allow(protocol);
            self.meters.streams_agreed.with(&[self.direction, protocol]).inc();
        }
    }

    /// What was taken for agreed on, as it was the last proposal, was not.
    pub(crate) fn refused(&mut self) {
        self.agreed = false;
    }

    /// This side has said that it sends no more.
    pub(crate) fn finished(&mut self) {
        self.finished = true;
    }

    /// This side has reset the stream.
    pub(crate) fn reset(&mut self) {
        self.broken.get_or_insert(Outcome::ResetLocal);
    }

    /// A read or a write has failed.
    pub(crate) fn failed(&mut self, error: &io::Error) {
        let outcome = match StreamError::of(error) {
            Some(StreamError::Reset { by: Side::Local, .. }) => Outcome::ResetLocal,
            Some(StreamError::Reset { .. }) => Outcome::ResetRemote,
            // Neither ends the stream.
            Some(StreamError::Stopped { .. } | StreamError::Finished) => return,
            _ => Outcome::Lost,
        };
        self.broken.get_or_insert(outcome);
    }
}

impl Drop for StreamMeter {
    fn drop(&mut self) {
        let outcome = match (self.broken, self.agreed, self.finished) {
            (_, false, _) => Outcome::NotAgreed,
            (Some(broken), ..) => broken,
            (None, _, true) => Outcome::Finished,
            (None, _, false) => Outcome::Dropped,
        };
        self.meters.streams_closed.with(&[self.direction, outcome.name()]).inc();
    }
}

impl fmt::Debug for StreamMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamMeter").field("direction", &self.direction).finish_non_exhaustive()
    }
}
