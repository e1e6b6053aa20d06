//! Pruning: when there are too many connections, the pruner names some and they are closed beside the road.

use crate::swarm::Inner;
use skep_api::{
    Code,
    pruner::{PruneCandidate, Snapshot},
};
use std::sync::{Arc, atomic::Ordering};

impl Inner {
    /// Starts a prune if the high mark is passed and none is under way.
    pub(crate) fn prune_if_needed(self: &Arc<Self>) {
        let live = self.live();
        let Some(pruner) = &live.stack.pruner else { return };
        if self.total() <= pruner.object.marks().high || self.pruning.swap(true, Ordering::AcqRel) {
            return;
        }
        let node = Arc::clone(self);
        self.tasks.spawn("prune", async move {
            let victims = {
                let _under_way = UnderWay(&node);
                node.prune().await
            };
            // Connections that came meanwhile found a prune under way.
            if victims > 0 {
                node.prune_if_needed();
            }
        });
    }

    /// One round; the number of connections that it closed.
    async fn prune(&self) -> usize {
        let live = self.live();
        let Some(pruner) = &live.stack.pruner else { return 0 };
        let connections = self.all();
        let candidates: Vec<_> = connections
            .iter()
            .map(|conn| {
                let mut candidate = PruneCandidate::new(conn.view());
                candidate.value = self.tags.value(&conn.peer());
                candidate.protected = self.tags.is_protected(&conn.peer(), None);
                candidate
            })
            .collect();
        let marks = pruner.object.marks();
        let excess = candidates.len().saturating_sub(marks.low);
        let snapshot = Snapshot::new(candidates, excess, live.settings.max_connections as usize);
        let victims = pruner.object.rank(&snapshot);
        let spared = |id: u64| {
            let of = snapshot.connections.iter().find(|c| c.connection.id == id);
            of.is_none_or(|c| c.protected || c.age() < marks.grace)
        };
        let victims = victims.iter().filter(|victim| !spared(victim.id)).take(excess);
        let closing = victims.filter_map(|victim| {
            let conn = connections.iter().find(|conn| conn.id() == victim.id)?;
            tracing::info!(peer = %conn.peer(), score = ?victim.score, "Pruned a connection.");
            Some(conn.close(Code::GARBAGE_COLLECTED))
        });
        futures::future::join_all(closing).await.len()
    }
}

/// Allows the next prune when this one is over, also by a panic of the pruner.
struct UnderWay<'a>(&'a Inner);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.pruning.store(false, Ordering::Release);
    }
}
