//! What becomes of a peer in a round, and why.

use skep_api::{PeerId, pruner::Victim};
use std::fmt;

/// Why there is a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PruneReason {
    /// There are more connections than the pruner's high mark.
    HighMark,
    /// There are as many connections as `[swarm] max_connections` allows.
    HardCap,
    /// Memory is short: by `[swarm] emergency_memory`, or by [`Swarm::emergency_trim`](crate::Swarm::emergency_trim).
    Emergency,
    /// Somebody asked for it: [`Swarm::prune_now`](crate::Swarm::prune_now).
    Asked,
}

impl PruneReason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::HighMark, Self::HardCap, Self::Emergency, Self::Asked];

    /// The stable word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HighMark => "high_mark",
            Self::HardCap => "hard_cap",
            Self::Emergency => "emergency",
            Self::Asked => "asked",
        }
    }
}

impl fmt::Display for PruneReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What keeps a peer from being pruned. Where several do, the first of them is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PruneRule {
    /// Somebody protects it.
    Protected,
    /// It is among the longest-lived of those that this node dialled.
    OutboundReserve,
    /// The pruner has left out one of its connections.
    LeftOut,
    /// A connection of it is younger than the pruner's grace.
    Grace,
    /// A connection of it has a stream in use, and there is room for others.
    InUse,
    /// Others that stay for now, for their age or their streams in use, would have to go before it.
    InTurn,
}

impl PruneRule {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Protected, Self::OutboundReserve, Self::LeftOut, Self::Grace, Self::InUse, Self::InTurn];

    /// The stable word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Protected => "protected",
            Self::OutboundReserve => "outbound_reserve",
            Self::LeftOut => "left_out",
            Self::Grace => "grace",
            Self::InUse => "in_use",
            Self::InTurn => "in_turn",
        }
    }
}

impl fmt::Display for PruneRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What becomes of a peer in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PruneVerdict {
    /// All of its connections are closed.
    Goes,
    /// A rule keeps it.
    Spared(PruneRule),
    /// Enough others go.
    Stays,
}

/// A peer in the order of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JudgedPeer {
    /// The peer.
    pub peer: PeerId,
    /// Its connections, with the scores that the pruner gave them; without parts for those that it left out.
    pub connections: Vec<Victim>,
    /// Whether it is a newcomer, as [`Round`](super::Round) has it.
    pub newcomer: bool,
    /// What becomes of it.
    pub verdict: PruneVerdict,
}

/// The peers that a rule has kept, each with the rule, where without it they would have gone: those before the last that
/// goes, or all of them if fewer go than should. What the pruner itself left out is none of them.
pub(super) fn spared(judged: &[JudgedPeer], excess: usize) -> impl Iterator<Item = (PeerId, PruneRule)> {
    let going = |judged: &&JudgedPeer| judged.verdict == PruneVerdict::Goes;
    let gone: usize = judged.iter().filter(going).map(|judged| judged.connections.len()).sum();
    let last = judged.iter().rposition(|judged| judged.verdict == PruneVerdict::Goes);
    let until = if gone < excess { judged.len() } else { last.map_or(0, |last| last.saturating_add(1)) };
    judged.iter().take(until).filter_map(|judged| match judged.verdict {
        PruneVerdict::Spared(rule) if rule != PruneRule::LeftOut => Some((judged.peer, rule)),
        _ => None,
    })
}
