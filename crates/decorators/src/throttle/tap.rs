//! The limits of a connection, and the turns of its streams.

use super::bucket::Bucket;
use crate::{
    around::{Conn, Flow, PerFlow, Stream, Tap, Verdict},
    timer::Timer,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};
use tokio::time::Instant;

/// Less than this is not worth a turn, however many streams of the connection wait.
const MIN_SHARE: usize = 512;

/// What limits one connection.
#[derive(Clone, Debug)]
pub(super) struct Limits(Arc<PerFlow<Lane>>);

/// One direction of a connection.
#[derive(Debug)]
struct Lane {
    /// The connection's own, and that of all.
    buckets: [Option<Arc<Bucket>>; 2],
    /// The streams of the connection that wait for their turn.
    waiting: AtomicUsize,
}

/// One stream of a connection.
#[derive(Debug)]
pub(super) struct Throttling {
    limits: Limits,
    turns: PerFlow<Turn>,
}

/// Where a stream is in its turn.
#[derive(Debug, Default)]
struct Turn {
    passed: usize,
    /// When the next one begins, while it waits for that.
    next: Option<Instant>,
    timer: Timer,
}

impl Limits {
    pub(super) fn new(buckets: PerFlow<[Option<Arc<Bucket>>; 2]>) -> Self {
        let lane = |buckets| Lane { buckets, waiting: AtomicUsize::new(0) };
        Self(Arc::new(PerFlow { received: lane(buckets.received), sent: lane(buckets.sent) }))
    }
}

impl Lane {
    /// How much one stream may move in a turn, if anything limits it. The streams of a connection that wait at once
    /// divide its turn, so that a connection gets no more of what all share by having more streams.
    fn share(&self) -> Option<usize> {
        let turn = self.buckets.iter().flatten().map(|bucket| bucket.turn()).min()?;
        let streams = self.waiting.load(Relaxed).saturating_add(1);
        Some(turn.checked_div(streams).unwrap_or(turn).max(MIN_SHARE.min(turn)))
    }

    /// Adds what has passed; when all of it is paid, if it is not yet.
    fn charge(&self, bytes: usize) -> Option<Instant> {
        // Each is charged, also if another one has more to wait for.
        self.buckets.iter().flatten().filter_map(|bucket| bucket.charge(bytes)).max()
    }
}

impl Conn for Limits {
    type Tap = Throttling;

    fn tap(&self, _: Option<Stream>) -> Throttling {
        Throttling { limits: self.clone(), turns: PerFlow::default() }
    }
}

impl Tap for Throttling {
    fn poll_verdict(&mut self, cx: &mut Context<'_>, flow: Flow, wanted: usize) -> Poll<Verdict> {
        let (lane, turn) = (self.limits.0.of(flow), self.turns.of_mut(flow));
        if let Some(next) = turn.next {
            ready!(turn.timer.poll_until(cx, next));
            turn.next = None;
            lane.waiting.fetch_sub(1, Relaxed);
        }
        let left = lane.share().map_or(wanted, |share| share.saturating_sub(turn.passed).max(1));
        Poll::Ready(Verdict::Pass(wanted.min(left)))
    }

    fn passed(&mut self, flow: Flow, bytes: &[u8]) {
        let (lane, turn) = (self.limits.0.of(flow), self.turns.of_mut(flow));
        let Some(share) = lane.share() else { return };
        let paid = lane.charge(bytes.len());
        turn.passed = turn.passed.saturating_add(bytes.len());
        if turn.passed < share {
            return;
        }
        turn.passed = 0;
        if paid.is_some() && turn.next.is_none() {
            lane.waiting.fetch_add(1, Relaxed);
        }
        turn.next = paid.or(turn.next);
    }
}

impl Drop for Throttling {
    fn drop(&mut self) {
        for flow in Flow::ALL {
            if self.turns.of(flow).next.is_some() {
                self.limits.0.of(flow).waiting.fetch_sub(1, Relaxed);
            }
        }
    }
}
