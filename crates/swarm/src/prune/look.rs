//! What a round looks at: the connections, the tags of their peers, and the pruner's ranking of them.

use super::{
    rules::Round,
    verdict::{JudgedPeer, PruneReason},
};
use crate::{connection::SwarmConn, permits::outbound_reserve, stack::Named, swarm::Inner};
use skep_api::{
    PeerId,
    pruner::{Marks, PruneCandidate, Pruner, Snapshot},
    tags::CommonTags,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// A round that has been judged.
pub(super) struct Judged {
    pub(super) pruner: String,
    pub(super) marks: Marks,
    pub(super) snapshot: Snapshot,
    pub(super) peers: Vec<JudgedPeer>,
}

/// What is known of a peer.
struct OfPeer {
    value: i64,
    tags: Arc<BTreeMap<String, i64>>,
    protected: bool,
}

impl Inner {
    /// Judges the connections as they are. `None` without a pruner, or if it does not tell its marks.
    pub(super) fn judge(&self, reason: PruneReason) -> Option<Judged> {
        let live = self.live();
        let pruner = live.stack.pruner.as_ref()?;
        let marks = self.marks(pruner)?;
        let mut connections = self.all();
        connections.retain(SwarmConn::is_live);
        let excess = connections.len().saturating_sub(marks.low);
        let max = live.settings.max_connections as usize;
        let snapshot = Snapshot::new(self.candidates(&connections), excess, max);
        let ranking = self.ask_pruner(pruner, |pruner| pruner.rank(&snapshot));
        let used = connections.iter().filter(|conn| conn.0.streams.was_of_use()).map(SwarmConn::id);
        let used: HashSet<u64> = used.collect();
        let outbound_reserve = outbound_reserve(&live.settings);
        let round = Round { snapshot: &snapshot, marks, reason, outbound_reserve, used: &used };
        let peers = round.judge(ranking);
        Some(Judged { pruner: pruner.name.clone(), marks, snapshot, peers })
    }

    /// The marks of the pruner, in order.
    pub(super) fn marks(&self, pruner: &Named<dyn Pruner>) -> Option<Marks> {
        let mut marks = self.ask_pruner(pruner, |pruner| pruner.marks())?;
        marks.low = marks.low.min(marks.high);
        Some(marks)
    }

    /// Asks the pruner. One that panics has said nothing.
    fn ask_pruner<T>(
        &self,
        pruner: &Named<dyn Pruner>,
        question: impl FnOnce(&dyn Pruner) -> T,
    ) -> Option<T> {
        let answer = catch_unwind(AssertUnwindSafe(|| question(&*pruner.object)));
        if answer.is_err() {
            self.tasks.note_panic();
            tracing::error!(pruner = %pruner.name, "The pruner panicked; what it says does not count this time.");
        }
        answer.ok()
    }

    fn candidates(&self, connections: &[SwarmConn]) -> Vec<PruneCandidate> {
        let mut candidates: Vec<_> = connections.iter().map(candidate).collect();
        let mut busy: HashMap<PeerId, usize> = HashMap::new();
        for candidate in &candidates {
            let busy = busy.entry(candidate.peer()).or_default();
            *busy = busy.saturating_add(candidate.connection.busy);
        }
        let peers: HashMap<_, _> =
            busy.into_iter().map(|(peer, busy)| (peer, self.of_peer(&peer, busy))).collect();
        for candidate in &mut candidates {
            let Some(of) = peers.get(&candidate.peer()) else { continue };
            (candidate.value, candidate.protected) = (of.value, of.protected);
            candidate.tags = Arc::clone(&of.tags);
        }
        candidates
    }

    fn of_peer(&self, peer: &PeerId, busy: usize) -> OfPeer {
        let info = self.tags.info(peer).unwrap_or_default();
        let (mut tags, protected) = (info.tags, !info.protected_by.is_empty());
        let weight = CommonTags::weight(CommonTags::ACTIVE_STREAMS).unwrap_or(0);
        let active = i64::try_from(busy).unwrap_or(i64::MAX).min(weight);
        if active > 0 {
            let tag = tags.entry(CommonTags::ACTIVE_STREAMS.into()).or_default();
            *tag = tag.saturating_add(active);
        }
        let value = tags.values().fold(0_i64, |sum, value| sum.saturating_add(*value));
        OfPeer { value, tags: Arc::new(tags), protected }
    }
}

fn candidate(conn: &SwarmConn) -> PruneCandidate {
    let mut candidate = PruneCandidate::new(conn.view());
    let protocols: BTreeSet<_> = conn.streams().into_iter().filter_map(|stream| stream.protocol).collect();
    candidate.protocols = protocols.into_iter().collect();
    candidate.in_flight = conn.0.conn.unsent();
    candidate
}
