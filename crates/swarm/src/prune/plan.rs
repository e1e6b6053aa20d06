//! What a round would do, without doing it.

use super::verdict::{JudgedPeer, PruneReason, PruneVerdict};
use crate::swarm::{Inner, Swarm};
use skep_api::pruner::Marks;
use std::sync::Arc;

/// What a round would do at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrunePlan {
    /// The pruner.
    pub pruner: String,
    /// When it prunes, and what it spares.
    pub marks: Marks,
    /// The most connections that there may be: `[swarm] max_connections`.
    pub max_connections: usize,
    /// Connections that there are, without those that are being closed.
    pub connections: usize,
    /// Why there is a round now, apart from the pruner's silence; `None` if there are not enough connections for one.
    pub due: Option<PruneReason>,
    /// How many connections are above the low mark.
    pub excess: usize,
    /// How many would go.
    pub going: usize,
    /// The peers in the order in which they are considered, as many as were asked for.
    pub peers: Vec<JudgedPeer>,
    /// How many peers more there are.
    pub more: usize,
}

impl Swarm {
    /// What a round down to the low mark would do now, whether or not there are enough connections for one: the peers in
    /// the order in which they are considered, at most `max` of them, each with its score and with what becomes of it, or
    /// the rule that spares it. Nothing is closed. `None` if the node has no pruner.
    #[must_use]
    pub fn prune_plan(&self, max: usize) -> Option<PrunePlan> {
        self.0.plan(max)
    }

    /// Has a round at once, down to the low mark, whether or not there are more connections than the high one. The
    /// pruner's silence does not hold it up, and begins anew; all other rules hold. Waits for a round that is
    /// under way. Returns how many connections were closed, when they are gone; what is to be closed is closed
    /// even if the future is dropped.
    pub async fn prune_now(&self) -> usize {
        self.0.round(PruneReason::Asked).await
    }

    /// Closes connections down to the low mark, for memory is short: also those that are younger than the pruner's grace,
    /// or have streams in use. Protected peers stay, as do those of `[swarm] outbound_reserve` and what the
    /// pruner leaves out. Otherwise as [`Swarm::prune_now`].
    pub async fn emergency_trim(&self) -> usize {
        self.0.round(PruneReason::Emergency).await
    }
}

impl Inner {
    fn plan(self: &Arc<Self>, max: usize) -> Option<PrunePlan> {
        let due = self.prune_due().map(|(reason, _)| reason);
        let judged = self.judge(due.unwrap_or(PruneReason::Asked))?;
        let going = judged.peers.iter().filter(|peer| peer.verdict == PruneVerdict::Goes);
        let going = going.map(|peer| peer.connections.len()).sum();
        let (more, mut peers) = (judged.peers.len().saturating_sub(max), judged.peers);
        peers.truncate(max);
        Some(PrunePlan {
            pruner: judged.pruner,
            marks: judged.marks,
            max_connections: judged.snapshot.max_connections,
            connections: judged.snapshot.connections.len(),
            due,
            excess: judged.snapshot.excess,
            going,
            peers,
            more,
        })
    }
}
