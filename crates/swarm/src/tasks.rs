//! Every task of a node, by name, so that shutdown can join or abort all of them.

use crate::dial::later;
use futures::FutureExt;
use skep_api::{TaskScope, context::Spawn};
use std::{
    collections::BTreeMap,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Handle, task::AbortHandle, time::Instant};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// The tasks of one node.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    inner: Arc<Inner>,
}

/// How long tasks that are aborted may take to end. One that blocks its thread does not.
const ABORTING: Duration = Duration::from_secs(1);

/// The tasks that run.
#[derive(Debug, Default)]
struct Running {
    /// By number, and aborted in this order. The handle is missing for the moment between entering and starting.
    tasks: BTreeMap<u64, (&'static str, Option<AbortHandle>)>,
    /// There will be no more.
    over: bool,
}

#[derive(Debug, Default)]
struct Inner {
    tracker: TaskTracker,
    running: Mutex<Running>,
    next_id: AtomicU64,
    panics: AtomicU64,
    cancelled: CancellationToken,
}

impl Tasks {
    /// The handle that plugins spawn through.
    #[must_use]
    pub fn scope(&self) -> TaskScope {
        TaskScope::new(Arc::new(Shared(Arc::clone(&self.inner))), self.inner.cancelled.clone())
    }

    pub(crate) fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.spawn(None, name, Box::pin(task));
    }

    /// Spawns a task on a runtime, or on that of the caller.
    pub(crate) fn spawn_on(
        &self,
        runtime: Option<&Handle>,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.inner.spawn(runtime, name, Box::pin(task));
    }

    /// Fires when shutdown begins.
    pub(crate) fn cancelled(&self) -> &CancellationToken {
        &self.inner.cancelled
    }

    /// Tasks that run now.
    pub(crate) fn running(&self) -> usize {
        self.inner.tracker.len()
    }

    /// Tasks that have panicked so far.
    pub(crate) fn panics(&self) -> u64 {
        self.inner.panics.load(Ordering::Relaxed)
    }

    /// Counts a panic that was caught elsewhere.
    pub(crate) fn note_panic(&self) {
        self.inner.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for all tasks until `deadline`, then aborts the rest and says how many of which name that were. What is
    /// spawned later is dropped at once.
    pub(crate) async fn join(&self, deadline: Instant) -> BTreeMap<&'static str, usize> {
        self.inner.tracker.close();
        let mut forced = BTreeMap::new();
        loop {
            let in_time = tokio::time::timeout_at(deadline, self.inner.tracker.wait()).await.is_ok();
            if in_time && self.inner.end() {
                return forced;
            }
            if !in_time {
                break;
            }
        }
        for (name, _) in self.inner.lock().tasks.values() {
            *forced.entry(*name).or_insert(0) += 1;
        }
        // An aborted task ends at its next await: this is short. What such a task starts last is aborted next.
        let patience = later(Instant::now(), ABORTING);
        while !self.inner.end() && Instant::now() < patience {
            for handle in self.inner.lock().tasks.values().filter_map(|(_, handle)| handle.as_ref()) {
                handle.abort();
            }
            let _ = tokio::time::timeout(Duration::from_millis(10), self.inner.tracker.wait()).await;
        }
        self.inner.lock().over = true;
        forced
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the list, if no task is on it.
    fn end(&self) -> bool {
        let mut running = self.lock();
        running.over |= self.tracker.is_empty();
        running.over
    }
}

/// Takes a task off the list when it ends, also by a panic or an abort.
struct Listed {
    inner: Arc<Inner>,
    id: u64,
    /// It counts as long as this lives.
    _token: TaskTrackerToken,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.inner.lock().tasks.remove(&self.id);
    }
}

#[derive(Debug)]
struct Shared(Arc<Inner>);

impl Spawn for Shared {
    fn spawn(&self, name: &'static str, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.spawn(None, name, task);
    }
}

impl Inner {
    fn spawn(
        self: &Arc<Self>,
        runtime: Option<&Handle>,
        name: &'static str,
        task: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let token = {
            let mut running = self.lock();
            if running.over {
                drop(running);
                return;
            }
            running.tasks.insert(id, (name, None));
            self.tracker.token()
        };
        let listed = Listed { inner: Arc::clone(self), id, _token: token };
        // Not locked while spawning: a runtime that ends drops the task at once, which takes it off the list.
        let run = async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                listed.inner.panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(task = name, "A task panicked; what it served has ended, the node goes on.");
            }
        };
        let handle = match runtime {
            Some(runtime) => runtime.spawn(run),
            None => tokio::spawn(run),
        };
        if let Some((_, slot)) = self.lock().tasks.get_mut(&id) {
            *slot = Some(handle.abort_handle());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_in_time_is_aborted_and_named() {
        let tasks = Tasks::default();
        tasks.spawn("quick", async {});
        tasks.spawn("stuck", std::future::pending());
        tasks.spawn("stuck", std::future::pending());
        let forced = tasks.join(Instant::now() + Duration::from_secs(1)).await;
        assert_eq!(forced, BTreeMap::from([("stuck", 2)]));
        assert_eq!(tasks.running(), 0);
    }

    #[tokio::test]
    async fn a_panic_is_counted_and_ends_nothing_else() {
        let tasks = Tasks::default();
        let (tx, rx) = tokio::sync::oneshot::channel();
        tasks.spawn("bad", async { panic!("on purpose") });
        tasks.spawn("good", async move {
            let _ = tx.send(7);
        });
        assert_eq!(rx.await, Ok(7));
        assert!(tasks.join(Instant::now() + Duration::from_secs(5)).await.is_empty());
        assert_eq!(tasks.panics(), 1);
    }
}
