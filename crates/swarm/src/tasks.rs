//! Every task of a node, by name, so that shutdown can join or abort all of them.

use futures::FutureExt;
use skep_api::{TaskScope, context::Spawn};
use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{task::AbortHandle, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The tasks of one node.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    inner: Arc<Inner>,
}

/// The tasks that run, by number. The handle is missing for the moment between entering and starting.
type Running = HashMap<u64, (&'static str, Option<AbortHandle>)>;

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
        self.inner.spawn(name, Box::pin(task));
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

    /// Waits for all tasks until `deadline`, then aborts the rest and says how many of which name that were.
    pub(crate) async fn join(&self, deadline: Instant) -> BTreeMap<&'static str, usize> {
        self.inner.tracker.close();
        let mut forced = BTreeMap::new();
        if tokio::time::timeout_at(deadline, self.inner.tracker.wait()).await.is_err() {
            for (name, _) in self.inner.lock().values() {
                *forced.entry(*name).or_insert(0) += 1;
            }
            // An aborted task ends at its next await: this is short. What such a task starts last is aborted next.
            while !self.inner.tracker.is_empty() {
                for handle in self.inner.lock().values().filter_map(|(_, handle)| handle.as_ref()) {
                    handle.abort();
                }
                let _ = tokio::time::timeout(Duration::from_millis(10), self.inner.tracker.wait()).await;
            }
        }
        forced
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a task off the list when it ends, also by a panic or an abort.
struct Listed {
    inner: Arc<Inner>,
    id: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.inner.lock().remove(&self.id);
    }
}

#[derive(Debug)]
struct Shared(Arc<Inner>);

impl Spawn for Shared {
    fn spawn(&self, name: &'static str, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.spawn(name, task);
    }
}

impl Inner {
    fn spawn(self: &Arc<Self>, name: &'static str, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let listed = Listed { inner: Arc::clone(self), id };
        // Not locked while spawning: a runtime that ends drops the task at once, which takes it off the list.
        self.lock().insert(id, (name, None));
        let handle = self.tracker.spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                listed.inner.panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(task = name, "A task panicked; what it served has ended, the node goes on.");
            }
        });
        if let Some((_, slot)) = self.lock().get_mut(&id) {
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
