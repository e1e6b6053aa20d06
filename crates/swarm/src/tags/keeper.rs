//! What a node does for its tag store: a task while something will be over, and the way to the peer store and back.

use super::{
    saved::{METADATA, Saved},
    store::{Shared, TagStore},
    table::{Keeper, Table},
    unsaved::Unsaved,
};
use crate::{stack::Named, tasks::Tasks};
use skep_api::{PeerId, peerstore::PeerStore};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};

/// Peers that are encoded at one go, under the lock.
const BATCH: usize = 256;

/// The node that a store belongs to.
pub(super) struct Node {
    tasks: Tasks,
    runtime: Option<Handle>,
    /// Where tags are kept, if they are.
    store: Option<Named<dyn PeerStore>>,
    /// Who writes. One at a time, so that nothing older comes last.
    writing: Mutex<()>,
}

impl TagStore {
    /// From now on tasks of this node look after the store. With a peer store, what that has is read, and what changes is
    /// written there. Once only.
    pub(crate) fn attach(&self, tasks: Tasks, store: Option<Named<dyn PeerStore>>) {
        let unsaved = store.as_ref().map(|store| self.read(store));
        let node = Node { tasks, runtime: Handle::try_current().ok(), store, writing: Mutex::new(()) };
        if self.0.node.set(node).is_ok() {
            self.0.with(|table, _| {
                table.unsaved = unsaved;
                table.keeper = Keeper::Resting;
            });
        }
    }

    /// Takes over what the peer store has. Damaged bytes are left as they are, until the peer's tags change.
    fn read(&self, store: &Named<dyn PeerStore>) -> Unsaved {
        let mut unsaved = Unsaved::default();
        let (mut damaged, mut full) = (0_usize, 0_usize);
        for peer in store.object.peers() {
            let Some(bytes) = store.object.metadata(&peer, METADATA) else { continue };
            unsaved.stored(&peer, true);
            match Saved::decode(&bytes) {
                None => damaged = damaged.saturating_add(1),
                Some(saved) => {
                    let fits = self.0.with(|table, now| table.restore(&peer, &saved, now));
                    full = full.saturating_add((!fits).into());
                }
            }
        }
        if damaged > 0 || full > 0 {
            tracing::warn!(store = %store.name, damaged, full, "Tags of some peers are not taken over.");
        }
        unsaved
    }

    /// Writes what has changed to the peer store, if tags are kept there.
    pub(crate) fn save(&self) {
        self.0.save();
    }
}

impl Shared {
    fn save(self: &Arc<Self>) {
        let Some(node) = self.node.get() else { return };
        let Some(store) = &node.store else { return };
        let _one = node.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // What changes meanwhile is for the next time.
        let mut left = self.with(|table, _| table.unsaved.as_ref().map_or(0, Unsaved::len));
        let mut failed = None;
        while left > 0 {
            let batch = self.with(|table, _| table.take_unsaved(left.min(BATCH)));
            left = if batch.is_empty() { 0 } else { left.saturating_sub(batch.len()) };
            for (peer, bytes) in batch {
                if let Err(error) = store.object.set_metadata(&peer, METADATA, bytes.as_deref()) {
                    failed = Some((peer, error));
                }
            }
        }
        if let Some((peer, error)) = failed {
            let error = skep_api::error::chain(&error);
            tracing::warn!(store = %store.name, %peer, %error, "Tags of a peer cannot be kept over a restart.");
        }
    }

    /// Starts the task that looks after the table.
    pub(super) fn start(self: &Arc<Self>) {
        let Some(node) = self.node.get() else { return };
        let watch = Watch { shared: Arc::clone(self), runs: true };
        // Without a runtime, whoever uses the store next tries again.
        if let Some(runtime) = node.runtime.clone().or_else(|| Handle::try_current().ok()) {
            node.tasks.spawn_on(Some(&runtime), "tags", watch.run());
        }
    }

    /// Does what is due. When there is something next; if there is nothing, the task is over.
    fn tend(self: &Arc<Self>) -> Option<Instant> {
        let due = self.lock().unsaved.as_ref().and_then(Unsaved::due);
        if due.is_some_and(|due| due <= Instant::now()) {
            self.save();
        }
        let mut table = self.lock();
        table.sweep(Instant::now());
        let due = table.due();
        table.keeper = due.map_or(Keeper::Resting, Keeper::Until);
        due
    }
}

/// The task that looks after a table. Another may start when it is dropped.
struct Watch {
    shared: Arc<Shared>,
    runs: bool,
}

impl Watch {
    async fn run(mut self) {
        let Some(ended) = self.shared.node.get().map(|node| node.tasks.cancelled()) else { return };
        loop {
            let Some(due) = self.shared.tend() else {
                self.runs = false;
                return;
            };
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.shared.earlier.notified() => {}
                () = ended.cancelled() => return,
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let over = self.shared.node.get().is_some_and(|node| node.tasks.cancelled().is_cancelled());
        if self.runs {
            self.shared.lock().keeper = if over { Keeper::Absent } else { Keeper::Resting };
        }
    }
}

impl Table {
    /// Puts back what was kept. Whether there was room.
    fn restore(&mut self, peer: &PeerId, saved: &Saved, now: Instant) -> bool {
        let protected = saved.protected_by.iter().all(|owner| self.protect(peer, owner, now).is_ok());
        protected && saved.tags.iter().all(|(tag, value)| self.set(peer, tag, *value, now).is_ok())
    }

    /// The next peers of which something has changed, with what is to be kept.
    fn take_unsaved(&mut self, most: usize) -> Vec<(PeerId, Option<Vec<u8>>)> {
        let Some(unsaved) = &mut self.unsaved else { return Vec::new() };
        let mut taken = Vec::new();
        while let Some(peer) = (taken.len() < most).then(|| unsaved.take()).flatten() {
            let bytes = self.peers.get(&peer).and_then(Saved::of).and_then(|saved| saved.encode());
            unsaved.stored(&peer, bytes.is_some());
            taken.push((peer, bytes));
        }
        taken
    }
}
