//! When there is a round: one task, for as long as there are more connections than the high mark.

use super::verdict::PruneReason;
use crate::{dial::later, swarm::Inner};
use skep_api::pruner::Marks;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// How long after a round that closed nothing there is no other: what it found may change with time, not with each
/// connection that comes.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The state of a node's pruning.
#[derive(Debug, Default)]
pub(crate) struct Pruning {
    running: AtomicBool,
    /// A connection has come.
    wake: Notify,
    last: Mutex<Last>,
    /// Held by the round that is under way.
    pub(super) round: tokio::sync::Mutex<()>,
}

/// When rounds have ended.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    /// One that closed something.
    closed: Option<Instant>,
    /// One that closed nothing.
    fruitless: Option<Instant>,
}

impl Pruning {
    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A round has ended.
    pub(super) fn ended(&self, closed: usize) {
        let now = Some(Instant::now());
        let mut last = self.last();
        if closed > 0 { last.closed = now } else { last.fruitless = now }
    }

    /// When the next round may be.
    fn next(&self, reason: PruneReason, marks: Marks) -> Option<Instant> {
        let last = *self.last();
        let silence = if reason == PruneReason::HardCap { Duration::ZERO } else { marks.silence };
        let after = last.closed.map(|at| later(at, silence));
        after.max(last.fruitless.map(|at| later(at, LOOK_AGAIN)))
    }
}

impl Inner {
    /// A connection has come: has the task look, and starts it if it does not run and is needed.
    pub(crate) fn prune_if_needed(self: &Arc<Self>) {
        if self.prune_due().is_none() {
            return;
        }
        if self.pruning.running.swap(true, Ordering::AcqRel) {
            self.pruning.wake.notify_one();
            return;
        }
        let node = Arc::clone(self);
        self.tasks.spawn("prune", async move {
            let stop = node.tasks.cancelled().clone();
            {
                let _running = Running(&node);
                if stop.run_until_cancelled(node.prune_while_due()).await.is_none() {
                    return;
                }
            }
            // Connections that came meanwhile found a task at work.
            node.prune_if_needed();
        });
    }

    /// Why there should be a round, with the marks of the pruner; `None` if there are few enough connections.
    pub(super) fn prune_due(&self) -> Option<(PruneReason, Marks)> {
        let live = self.live();
        let marks = self.marks(live.stack.pruner.as_ref()?)?;
        let max = live.settings.max_connections as usize;
        // First what costs nothing.
        let above = |count: usize| count > marks.high || count >= max;
        if !above(self.total()) {
            return None;
        }
        let count = self.all().iter().filter(|conn| conn.is_live()).count();
        let reason = if count >= max { PruneReason::HardCap } else { PruneReason::HighMark };
        above(count).then_some((reason, marks))
    }

    async fn prune_while_due(self: &Arc<Self>) {
        while let Some((reason, marks)) = self.prune_due() {
            match self.pruning.next(reason, marks) {
                Some(next) if next > Instant::now() => {
                    tokio::select! {
                        () = sleep_until(next) => {}
                        () = self.pruning.wake.notified() => {}
                    }
                }
                _ => drop(self.round(reason).await),
            }
        }
    }
}

/// Allows the next task when this one is over, also by a panic.
struct Running<'a>(&'a Inner);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.pruning.running.store(false, Ordering::Release);
    }
}
