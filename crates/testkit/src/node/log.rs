//! What was asked of a model node, and what became of it. Times are since the node was made.

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
