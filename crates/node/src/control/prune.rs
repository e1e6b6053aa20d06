//! `prune`: what a round of pruning does, or would do.

use super::protocol::Refusal;
use serde::{Deserialize, Serialize};
use skep_swarm::{
    Swarm,
    prune::{JudgedPeer, PrunePlan, PruneVerdict},
};

/// The answer to `prune`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Pruned {
    /// Whether nothing was closed.
    pub dry_run: bool,
    /// The pruner.
    pub pruner: String,
    /// Its low mark: connections that are left after a round.
    pub low: usize,
    /// Its high mark: connections above which there is a round.
    pub high: usize,
    /// Connections that there were.
    pub connections: usize,
    /// The most that there may be.
    pub max_connections: usize,
    /// Why a round is due; `None` if there are few enough connections.
    pub due: Option<String>,
    /// Connections that were closed, or would be.
    pub closed: usize,
    /// The peers in the order in which they were considered.
    pub peers: Vec<Peer>,
    /// How many peers more there are.
    pub more: usize,
}

/// A peer in the order of a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Peer {
    /// The peer.
    pub peer_id: String,
    /// `goes`, `stays`, or `spared`.
    pub verdict: String,
    /// The rule that spares it.
    pub rule: Option<String>,
    /// Whether it is a newcomer.
    pub newcomer: bool,
    /// Its connections, with their scores.
    pub connections: Vec<Connection>,
}

/// A connection with its score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Connection {
    /// The connection.
    pub id: u64,
    /// The parts of its score, the most important first.
    pub score: Vec<(String, String)>,
}

/// Shows what a round would do, and does it unless it is asked not to.
pub(super) async fn prune(node: &Swarm, dry_run: bool, max: usize) -> Result<Pruned, Refusal> {
    let Some(plan) = node.prune_plan(max) else {
        return Err(Refusal::new("the node has no pruner", "set `pruner` in [stack], such as \"watermark\""));
    };
    let mut pruned = Pruned::from(plan);
    pruned.dry_run = dry_run;
    if !dry_run {
        pruned.closed = node.prune_now().await;
    }
    Ok(pruned)
}

impl From<PrunePlan> for Pruned {
    fn from(plan: PrunePlan) -> Self {
        Self {
            dry_run: true,
            pruner: plan.pruner,
            low: plan.marks.low,
            high: plan.marks.high,
            connections: plan.connections,
            max_connections: plan.max_connections,
            due: plan.due.map(|reason| reason.name().into()),
            closed: plan.going,
            peers: plan.peers.into_iter().map(Peer::from).collect(),
            more: plan.more,
        }
    }
}

impl From<JudgedPeer> for Peer {
    fn from(judged: JudgedPeer) -> Self {
        let (verdict, rule) = match judged.verdict {
            PruneVerdict::Goes => ("goes", None),
            PruneVerdict::Spared(rule) => ("spared", Some(rule.name().into())),
            _ => ("stays", None),
        };
        let connections = judged.connections.into_iter().map(|victim| Connection {
            id: victim.id,
            score: victim.score.into_iter().map(|(name, value)| (name.into(), value)).collect(),
        });
        Self {
            peer_id: judged.peer.to_string(),
            verdict: verdict.into(),
            rule,
            newcomer: judged.newcomer,
            connections: connections.collect(),
        }
    }
}
