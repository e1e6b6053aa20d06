//! What was asked of a model node, and what became of it. Times are since the node was made.

use super::{FakeNode, Held, State};
use skep_api::{Code, PeerId, service::DialManner};
use std::time::Duration;

/// How a dial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It has not.
    Pending,
    /// With this connection, which may have been there before.
    Connected(u64),
    /// With this code.
    Failed(&'static str),
    /// Its future was dropped.
    Dropped,
}

/// One call of `dial`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Dialled {
    /// When it began.
    pub at: Duration,
    /// The peer.
    pub peer: PeerId,
    /// How.
    pub manner: DialManner,
    /// How it ended.
    pub outcome: Outcome,
    /// When it ended.
    pub ended: Option<Duration>,
}

/// One call of `open`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Opened {
    /// When.
    pub at: Duration,
    /// The connection.
    pub connection: u64,
    /// What was proposed.
    pub protocols: Vec<String>,
}

/// One call of `close` for a connection that was there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Closed {
    /// When.
    pub at: Duration,
    /// The connection.
    pub connection: u64,
    /// Its peer.
    pub peer: PeerId,
    /// The code for the peer.
    pub code: Code,
    /// The words for the log.
    pub why: String,
}

impl FakeNode {
    /// All dials so far, in the order in which they began.
    #[must_use]
    pub fn dials(&self) -> Vec<Dialled> {
        self.lock().dials.clone()
    }

    /// Those to a peer.
    #[must_use]
    pub fn dials_of(&self, peer: &PeerId) -> Vec<Dialled> {
        self.lock().dials.iter().filter(|dial| dial.peer == *peer).copied().collect()
    }

    /// Dials that have not ended.
    #[must_use]
    pub fn dialling(&self) -> usize {
        self.lock().dialling()
    }

    /// The most dials that there were at the same time.
    #[must_use]
    pub fn most_dialling(&self) -> usize {
        self.lock().most_dialling
    }

    /// All calls of `open` so far.
    #[must_use]
    pub fn opens(&self) -> Vec<Opened> {
        self.lock().opens.clone()
    }

    /// Streams that are open now.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        let live = |held: &Held| held.pipes.iter().filter(|pipe| pipe.strong_count() > 0).count();
        self.lock().connections.values().map(live).sum()
    }

    /// All calls of `close` so far.
    #[must_use]
    pub fn closes(&self) -> Vec<Closed> {
        self.lock().closes.clone()
    }

    /// Tasks in the node's scope that have not ended.
    #[must_use]
    pub fn live_tasks(&self) -> usize {
        self.tasks.live()
    }

    /// Subscribers to changes that have not gone.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.lock().subscribers.live()
    }
}

impl State {
    pub(super) fn dialling(&self) -> usize {
        self.dials.iter().filter(|dial| dial.outcome == Outcome::Pending).count()
    }
}
