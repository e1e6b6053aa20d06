//! What the process holds, at one moment and at the most.

use crate::HEAP;
use skep::Swarm;
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

const HANG: Duration = Duration::from_secs(120);

/// What a process has at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) descriptors: usize,
    pub(crate) tasks: usize,
    pub(crate) of_the_node: usize,
    pub(crate) permits: usize,
    pub(crate) pending: usize,
    pub(crate) guards: usize,
}

/// The most that was on the heap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peak(Arc<AtomicUsize>);

impl Peak {
    /// Looks again and again, until it is dropped.
    pub(crate) async fn watch(self) {
        loop {
            self.0.fetch_max(heap(), Ordering::SeqCst);
            sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) fn over(&self, before: usize) -> usize {
        self.0.load(Ordering::SeqCst).saturating_sub(before)
    }
}

pub(crate) fn heap() -> usize {
    let stats = HEAP.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

/// The most memory that the process has had from the system, in KiB; `None` where it does not say.
pub(crate) fn peak_of_the_process() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

pub(crate) fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Waits until the node is at rest: what there is then, and the heap.
pub(crate) async fn rest(node: &Swarm, guards: impl Fn() -> usize, like: Option<Held>) -> (Held, usize) {
    let look = || {
        let metrics = node.metrics();
        Held {
            descriptors: descriptors(),
            tasks: Handle::current().metrics().num_alive_tasks(),
            of_the_node: metrics.tasks,
            permits: metrics.permits,
            pending: metrics.pending_inbound,
            guards: guards(),
        }
    };
    let resting = async {
        loop {
            let before = look();
            sleep(Duration::from_millis(50)).await;
            let now = look();
            if now == before && like.is_none_or(|like| like == now) {
                return now;
            }
        }
    };
    match timeout(HANG, resting).await {
        Ok(held) => (held, heap()),
        Err(_) => panic!("{:?} is left, of {like:?} before", look()),
    }
}
