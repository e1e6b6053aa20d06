//! The tasks of a model node, counted.

use skep_api::{TaskScope, context::Spawn};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio_util::sync::CancellationToken;

/// Spawns on the current runtime, and counts what has not ended. Cancelling its token ends all of it.
#[derive(Debug, Default)]
pub(super) struct Counted {
    live: Arc<AtomicUsize>,
    pub(super) cancelled: CancellationToken,
}

impl Counted {
    pub(super) fn live(&self) -> usize {
        self.live.load(Relaxed)
    }

    pub(super) fn scope(self: &Arc<Self>) -> TaskScope {
        TaskScope::new(Arc::clone(self) as Arc<dyn Spawn>, self.cancelled.clone())
    }
}

impl Spawn for Counted {
    fn spawn(&self, _name: &'static str, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.live.fetch_add(1, Relaxed);
        let (one, cancelled) = (One(Arc::clone(&self.live)), self.cancelled.clone());
        drop(tokio::spawn(async move {
            let _one = one;
            tokio::select! {
                () = cancelled.cancelled() => {}
                () = task => {}
            }
        }));
    }
}

/// One task, until it is dropped.
struct One(Arc<AtomicUsize>);

impl Drop for One {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
