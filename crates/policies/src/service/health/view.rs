//! What the monitor tells: of the node, of a peer, of a connection.

use super::{
    State,
    score::HealthState,
    table::{Table, Watched},
};
use serde::Serialize;
use skep_api::PeerId;
use std::collections::BTreeSet;

/// The worst connections that a report names.
const WORST: usize = 16;

/// The health of all connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HealthSummary {
    /// Peers with a connection.
    pub peers: usize,
    /// Connections that are watched.
    pub connections: usize,
    /// Of these, those of which nothing is known.
    pub unknown: usize,
    /// Those with a score of `min_health` or more.
    pub healthy: usize,
    /// Those below `min_health`.
    pub unhealthy: usize,
    /// Those below `critical_health`.
    pub critical: usize,
    /// The mean score of those of which something is known, from 0 to 1.
    pub score: Option<f64>,
    /// Replacements under way.
    pub replacing: usize,
}

/// The health of the connections to one peer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PeerHealth {
    /// The peer.
    #[serde(serialize_with = "text")]
    pub peer: PeerId,
    /// The score of its best connection, from 0 to 1.
    pub score: f64,
    /// Its connections, by id.
    pub connections: Vec<ConnectionSummary>,
}

/// The health of one connection, as of its last judgement.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ConnectionSummary {
    /// The connection.
    pub connection: u64,
    /// The peer.
    #[serde(serialize_with = "text")]
    pub peer: PeerId,
    /// The judgement.
    pub state: HealthState,
    /// From 0 to 1.
    pub score: f64,
    /// The moving average of round trips, in milliseconds.
    pub latency_ms: Option<f64>,
    /// The moving average of pings and streams that succeeded, from 0 to 1.
    pub success: f64,
    /// The share of the last judgements without trouble, from 0 to 1.
    pub stability: f64,
    /// Unhealthy judgements in a row.
    pub bad_in_a_row: u32,
    /// Whether it is pinged; otherwise the round trip is the muxer's. It is not if the peer does not serve pings, or if
    /// the connection is limited.
    pub pinged: bool,
}

fn text<S: serde::Serializer>(peer: &PeerId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(peer)
}

impl State {
    pub(super) fn summary(&self) -> HealthSummary {
        let [unknown, healthy, unhealthy, critical] = self.table.states();
        let watched = || self.table.connections.values();
        let known = watched().filter(|watched| watched.health.state() != HealthState::Unknown);
        let (count, sum) =
            known.fold((0.0, 0.0), |(count, sum), watched| (count + 1.0, sum + watched.health.score()));
        HealthSummary {
            peers: watched().map(|watched| watched.peer).collect::<BTreeSet<_>>().len(),
            connections: self.table.connections.len(),
            unknown,
            healthy,
            unhealthy,
            critical,
            score: (count > 0.0).then(|| sum / count),
            replacing: self.budget.running(),
        }
    }
}

impl Table {
    pub(super) fn of_peer(&self, peer: &PeerId) -> Option<PeerHealth> {
        let of = self.connections.iter().filter(|(_, watched)| watched.peer == *peer);
        let connections: Vec<_> = of.map(|(id, watched)| watched.summary(*id)).collect();
        let score = connections.iter().map(|connection| connection.score).max_by(f64::total_cmp)?;
        Some(PeerHealth { peer: *peer, score, connections })
    }

    /// Those with the lowest scores of which something is known, the worst first, sixteen at most.
    pub(super) fn worst(&self) -> Vec<ConnectionSummary> {
        let known = self.connections.iter().filter(|(_, w)| w.health.state() != HealthState::Unknown);
        let mut known: Vec<_> = known.collect();
        known.sort_by(|a, b| a.1.health.score().total_cmp(&b.1.health.score()).then(a.0.cmp(b.0)));
        known.into_iter().take(WORST).map(|(id, watched)| watched.summary(*id)).collect()
    }
}

impl Watched {
    fn summary(&self, connection: u64) -> ConnectionSummary {
        ConnectionSummary {
            connection,
            peer: self.peer,
            state: self.health.state(),
            score: self.health.score(),
            latency_ms: self.health.latency().map(|latency| latency.as_secs_f64() * 1000.0),
            success: self.health.success(),
            stability: self.health.stability(),
            bad_in_a_row: self.health.bad_in_a_row(),
            pinged: !self.refused && !self.limited,
        }
    }
}
