//! The rules of a round: what becomes of each peer, whatever the pruner says. Pure.

use super::verdict::{JudgedPeer, PruneReason, PruneRule, PruneVerdict};
use skep_api::{
    PeerId,
    address::Subnet,
    pruner::{Marks, PruneCandidate, Snapshot, Victim},
    tags::CommonTags,
};
use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    time::Duration,
};

/// How long a peer is a newcomer at least, even if it is of use.
pub const NEWCOMER: Duration = Duration::from_secs(3_600);
/// Entries of a ranking that are looked at, for each connection that there is.
const MAX_ENTRIES: usize = 4;
/// Parts of a score that are kept, and bytes of each.
const MAX_PARTS: usize = 16;
const MAX_PART: usize = 128;

/// A round, as the node judges it once the pruner has ranked the connections.
///
/// A peer stands where the most valuable of its connections does, and goes as a whole. The rules are those of
/// [`Pruner`](skep_api::pruner::Pruner), and these say how they are meant:
///
/// * A newcomer is an unprotected peer without value, by its tags and not by its streams, all of whose connections came
///   from it, and which was of no use yet: no stream was ever open on them but such as ping's. It is one for the first
///   [`NEWCOMER`] (an hour) in any case.
/// * Newcomers go before all others, those from the fullest network (/24 or /48) first, until no network has more
///   of them than another; within a network in the order of the pruner. Those without an IP count as one network. So
///   a flood pushes out itself.
/// * Whoever stays for now, for its age or for its streams in use, has others go in its place only where these come
///   before it, or both are newcomers: else a flood of young connections, or of streams, would push out whoever is worth
///   more and at rest. What the pruner has left out holds up nobody.
/// * Nothing goes below the low mark: a peer with more connections than may go stays, and so do those behind it.
/// * At the hard cap, peers with streams in use go last, and only until there is room for a connection. In an emergency
///   neither age nor streams are an obstacle.
/// * Of a ranking that names a connection twice the first place counts; unknown ones are passed over; of one that is
///   longer than four times the connections there are, the rest.
#[derive(Clone, Copy, Debug)]
pub struct Round<'a> {
    /// The connections, and how many are to go.
    pub snapshot: &'a Snapshot,
    /// The pruner's marks.
    pub marks: Marks,
    /// Why there is a round.
    pub reason: PruneReason,
    /// How many of the longest-lived peers that this node dialled stay.
    pub outbound_reserve: usize,
    /// The connections that were of use: with a stream, at any time, of a protocol that keeps a connection alive.
    pub used: &'a HashSet<u64>,
}

/// A peer with its connections.
struct Peer {
    peer: PeerId,
    connections: Vec<Victim>,
    /// Its place in the ranking; none if a connection was left out.
    place: Option<usize>,
    newcomer: bool,
    busy: bool,
    /// The age of its oldest connection that this node dialled.
    dialled: Option<Duration>,
    network: Option<Subnet>,
    /// Newcomers that its network has left if all go that come before it.
    crowd: usize,
    verdict: PruneVerdict,
}

impl Round<'_> {
    /// What becomes of each peer, in the order in which they are considered. Without a ranking, as when the pruner
    /// panicked, the node has an order of its own: the least value first, inbound before outbound, the newest first.
    #[must_use]
    pub fn judge(&self, ranking: Option<Vec<Victim>>) -> Vec<JudgedPeer> {
        let ranking = ranking.unwrap_or_else(|| own_order(self.snapshot));
        let mut peers = self.gather(&ranking);
        self.reserve(&mut peers);
        crowd(&mut peers);
        peers.sort_by_key(Peer::turn);
        self.deal(&mut peers);
        peers.into_iter().map(Into::into).collect()
    }

    fn gather(&self, ranking: &[Victim]) -> Vec<Peer> {
        let mut places = HashMap::new();
        let most = self.snapshot.connections.len().saturating_mul(MAX_ENTRIES);
        for (place, victim) in ranking.iter().take(most).enumerate() {
            places.entry(victim.id).or_insert((place, victim));
        }
        let mut by_peer: HashMap<PeerId, Vec<&PruneCandidate>> = HashMap::new();
        for candidate in &self.snapshot.connections {
            by_peer.entry(candidate.peer()).or_default().push(candidate);
        }
        by_peer.into_iter().map(|(peer, of)| self.peer(peer, of, &places)).collect()
    }

    fn peer(
        &self,
        peer: PeerId,
        mut of: Vec<&PruneCandidate>,
        places: &HashMap<u64, (usize, &Victim)>,
    ) -> Peer {
        of.sort_by_key(|c| c.connection.id);
        let connections = of.iter().map(|c| {
            let score = places.get(&c.connection.id).map(|(_, victim)| shortened(victim));
            Victim::new(c.connection.id, score.unwrap_or_default())
        });
        let place = of.iter().try_fold(0, |last, c| {
            let (place, _) = places.get(&c.connection.id)?;
            Some(last.max(*place))
        });
        let protected = of.iter().any(|c| c.protected);
        let young = of.iter().any(|c| c.age() < self.marks.grace);
        let verdict = match place {
            _ if protected => PruneVerdict::Spared(PruneRule::Protected),
            None => PruneVerdict::Spared(PruneRule::LeftOut),
            Some(_) if young && self.reason != PruneReason::Emergency => {
                PruneVerdict::Spared(PruneRule::Grace)
            }
            Some(_) => PruneVerdict::Stays,
        };
        Peer {
            peer,
            connections: connections.collect(),
            place,
            newcomer: !protected && self.is_newcomer(&of),
            busy: of.iter().any(|c| c.connection.busy > 0),
            dialled: of.iter().filter(|c| c.outbound()).map(|c| c.age()).max(),
            network: of.first().and_then(|c| c.subnet()),
            crowd: 0,
            verdict,
        }
    }

    fn is_newcomer(&self, of: &[&PruneCandidate]) -> bool {
        let worthless = of.iter().all(|c| !c.outbound() && given_value(c) <= 0);
        let of_use = of.iter().any(|c| self.used.contains(&c.connection.id));
        worthless && (!of_use || of.iter().all(|c| c.age() < NEWCOMER))
    }

    /// Keeps the longest-lived of those that this node dialled.
    fn reserve(&self, peers: &mut [Peer]) {
        let mut dialled: Vec<_> = peers.iter_mut().filter(|peer| peer.dialled.is_some()).collect();
        dialled.sort_by_key(|peer| (Reverse(peer.dialled), peer.peer));
        for peer in dialled.into_iter().take(self.outbound_reserve) {
            if peer.verdict != PruneVerdict::Spared(PruneRule::Protected) {
                peer.verdict = PruneVerdict::Spared(PruneRule::OutboundReserve);
            }
        }
    }

    /// Lets peers go in their order: those at rest, then those in use. In an emergency there is no difference.
    fn deal(&self, peers: &mut [Peer]) {
        let mut room = Room::new(self, peers);
        let emergency = self.reason == PruneReason::Emergency;
        for busy in [false, true] {
            room.begin(peers);
            for peer in peers.iter_mut() {
                let turn = peer.verdict == PruneVerdict::Stays && (emergency || peer.busy == busy);
                if turn && busy && !room.may_cut() {
                    peer.verdict = PruneVerdict::Spared(PruneRule::InUse);
                } else if turn {
                    peer.verdict = room.ask(peer);
                }
                room.pass(peer);
            }
        }
    }
}

/// How many connections may still go.
struct Room<'a> {
    round: &'a Round<'a>,
    going: usize,
    /// Connections of newcomers that stay for now.
    newcomers: usize,
    /// Connections of others that stay for now, and come before the next.
    others: usize,
    /// One had no room: nor have those behind it.
    over: bool,
}

impl<'a> Room<'a> {
    fn new(round: &'a Round<'a>, peers: &[Peer]) -> Self {
        let newcomers = peers.iter().filter(|peer| peer.newcomer && peer.place.is_some());
        let newcomers = newcomers.map(|peer| peer.connections.len()).sum();
        Self { round, going: 0, newcomers, others: 0, over: false }
    }

    /// Goes back to the first in the order.
    fn begin(&mut self, peers: &[Peer]) {
        self.others = 0;
        // Whoever found no room while others stayed for now may find it when those go.
        self.over &= !peers.iter().any(|peer| peer.verdict == PruneVerdict::Spared(PruneRule::InTurn));
    }

    /// Whether streams in use are no obstacle.
    fn may_cut(&self) -> bool {
        let snapshot = self.round.snapshot;
        self.round.reason == PruneReason::HardCap
            && snapshot.connections.len().saturating_sub(self.going) >= snapshot.max_connections
    }

    fn ask(&mut self, peer: &Peer) -> PruneVerdict {
        let count = peer.connections.len();
        let going = self.going.saturating_add(count);
        let first = if peer.newcomer { 0 } else { self.newcomers.saturating_add(self.others) };
        self.over |= going > self.round.snapshot.excess.saturating_sub(first);
        if self.over {
            let in_turn = PruneVerdict::Spared(PruneRule::InTurn);
            return if first > 0 { in_turn } else { PruneVerdict::Stays };
        }
        if peer.newcomer {
            self.newcomers = self.newcomers.saturating_sub(count);
        }
        self.going = going;
        PruneVerdict::Goes
    }

    /// The next come after this one.
    fn pass(&mut self, peer: &Peer) {
        let in_use = peer.busy && peer.verdict == PruneVerdict::Stays;
        let for_now = [PruneRule::Grace, PruneRule::InUse].map(PruneVerdict::Spared).contains(&peer.verdict);
        if !peer.newcomer && (in_use || for_now) {
            self.others = self.others.saturating_add(peer.connections.len());
        }
    }
}

impl Peer {
    /// Newcomers, then others, then those that were left out.
    fn turn(&self) -> (bool, bool, Reverse<usize>, Option<usize>, PeerId) {
        (self.place.is_none(), !self.newcomer, Reverse(self.crowd), self.place, self.peer)
    }
}

impl From<Peer> for JudgedPeer {
    fn from(peer: Peer) -> Self {
        let Peer { peer, connections, newcomer, verdict, .. } = peer;
        Self { peer, connections, newcomer, verdict }
    }
}

/// Numbers the newcomers of each network from the last that should go to the first. Those that stay in any case are the
/// last of their network, so that they count against the others.
fn crowd(peers: &mut [Peer]) {
    let mut newcomers: Vec<_> = peers.iter_mut().filter(|p| p.newcomer && p.place.is_some()).collect();
    newcomers.sort_by_key(|p| (p.verdict != PruneVerdict::Stays || p.busy, p.place, p.peer));
    let mut left: HashMap<Option<Subnet>, usize> = HashMap::new();
    for peer in newcomers.iter_mut().rev() {
        let left = left.entry(peer.network).or_default();
        *left = left.saturating_add(1);
        peer.crowd = *left;
    }
}

/// What the peer is worth without what it does by itself.
fn given_value(candidate: &PruneCandidate) -> i64 {
    let by_streams = candidate.tags.get(CommonTags::ACTIVE_STREAMS).copied().unwrap_or(0);
    candidate.value.saturating_sub(by_streams)
}

fn own_order(snapshot: &Snapshot) -> Vec<Victim> {
    let mut order: Vec<_> = snapshot.connections.iter().collect();
    order.sort_by_key(|c| (c.value, c.outbound(), c.age(), Reverse(c.connection.id)));
    let score = |c: &PruneCandidate| vec![("value", c.value.to_string()), ("ranked by", "the node".into())];
    order.into_iter().map(|c| Victim::new(c.connection.id, score(c))).collect()
}

/// The score of a victim, within bounds.
fn shortened(victim: &Victim) -> Vec<(&'static str, String)> {
    let parts = victim.score.iter().take(MAX_PARTS);
    parts.map(|(name, value)| (*name, value.chars().take(MAX_PART).collect())).collect()
}

#[cfg(test)]
mod tests;
