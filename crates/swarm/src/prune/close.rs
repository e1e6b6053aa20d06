//! A round: those that are to go are closed, and it is told why.

use super::{
    look::Judged,
    verdict::{JudgedPeer, PruneReason, PruneVerdict, spared},
};
use crate::{connection::SwarmConn, events::Event, swarm::Inner};
use skep_api::{
    CloseReason, Code, Side,
    pruner::{ScorePart, Victim},
};
use std::{
    fmt::Write,
    sync::{Arc, PoisonError},
};

impl Inner {
    /// Has a round. How many connections it closed; they are gone. Whoever drops the future does not hold up their end.
    pub(super) async fn round(self: &Arc<Self>, reason: PruneReason) -> usize {
        let _round = self.pruning.round.lock().await;
        let Some(judged) = self.judge(reason) else { return 0 };
        self.meters.prune_round(spared(&judged.peers, judged.snapshot.excess).map(|(_, rule)| rule));
        let going = judged.peers.iter().filter(|peer| peer.verdict == PruneVerdict::Goes);
        let closing: Vec<_> = going.flat_map(|peer| self.let_go(peer, &judged, reason)).collect();
        self.pruning.ended(closing.len());
        futures::future::join_all(closing.iter().map(SwarmConn::closed)).await;
        closing.len()
    }

    /// Begins to close the connections of a peer, unless it has changed since it was judged.
    fn let_go(self: &Arc<Self>, peer: &JudgedPeer, judged: &Judged, reason: PruneReason) -> Vec<SwarmConn> {
        let mut going = Vec::new();
        let table = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of_peer = table.get(&peer.peer).cloned().unwrap_or_default();
        of_peer.retain(SwarmConn::is_live);
        let known = |conn: &SwarmConn| peer.connections.iter().any(|victim| victim.id == conn.id());
        let may_cut = matches!(reason, PruneReason::HardCap | PruneReason::Emergency);
        let changed = of_peer.iter().any(|conn| !known(conn) || (!may_cut && conn.0.streams.busy()));
        if changed || self.tags.is_protected(&peer.peer, None) {
            return going;
        }
        for victim in &peer.connections {
            let Some(conn) = of_peer.iter().find(|conn| conn.id() == victim.id) else { continue };
            let because = because(victim, judged, reason);
            if conn.0.close_for_pruning(&because, may_cut) {
                // Under the lock of the table, so that it comes before the end of the connection.
                self.tell(conn, victim, reason);
                self.finish(conn, because);
                going.push(conn.clone());
            }
        }
        going
    }

    fn tell(&self, conn: &SwarmConn, victim: &Victim, reason: PruneReason) {
        let (id, peer) = (conn.id(), conn.peer());
        let score = text(&victim.score);
        tracing::info!(connection = id, %peer, remote = %conn.info().remote, %reason, score, "Pruned a connection.");
        self.meters.pruned(reason);
        self.emit(&Event::Pruned { id, peer, score: victim.score.clone(), reason });
    }

    fn finish(&self, conn: &SwarmConn, because: CloseReason) {
        let conn = conn.clone();
        self.tasks.spawn("pruned", async move { conn.close_for(because).await });
    }
}

/// What is said of a connection that goes.
fn because(victim: &Victim, judged: &Judged, reason: PruneReason) -> CloseReason {
    let (count, marks) = (judged.snapshot.connections.len(), judged.marks);
    let score = text(&victim.score);
    let text = format!(
        "pruned ({reason}): one of {count} connections, low mark {}, high mark {}; {score}",
        marks.low, marks.high
    );
    CloseReason::Closed { by: Side::Local, code: Code::GARBAGE_COLLECTED, text }
}

fn text(score: &[ScorePart]) -> String {
    score.iter().fold(String::new(), |mut text, (name, value)| {
        let comma = if text.is_empty() { "" } else { ", " };
        // A string takes all that is written to it.
        let _ = write!(text, "{comma}{name} {value}");
        text
    })
}
