//! Pruners: the obligations `P1` to `P4` of [`skep_api::pruner`], over random snapshots.

use super::build;
use crate::{
    cx::build_cx,
    harness::{self, Outcome, ensure, suite},
};
use skep_api::{
    Keypair, Multiaddr, PeerId, Plugin,
    plugin::layer,
    pruner::{PruneCandidate, Pruner, Snapshot},
    security::Role,
    selector::ConnectionView,
};
use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

suite! { $
    /// Tests of a pruner with a table of small marks: `pruner_suite!(my_pruner::PLUGIN, "low = 2\nhigh = 4");`
    pruner_suite in pruner, fixture: Fixture;
    p0_something_may_go,
    p1_only_connections_of_the_snapshot_and_each_once,
    p2_equal_snapshots_get_equal_answers,
    p3_scores_say_why,
    p4_marks_are_in_order_and_stay,
}

/// Snapshots for each property.
const ROUNDS: u64 = 300;

/// How to build the pruner under test.
#[derive(Clone)]
pub struct Fixture {
    build: Arc<dyn Fn() -> Arc<dyn Pruner> + Send + Sync>,
}

impl Fixture {
    /// Tests this plugin with this table, in TOML.
    #[must_use]
    pub fn of(plugin: Plugin<layer::Pruner>, table: &str) -> Self {
        let table = table.to_string();
        Self::new(move || build(&plugin, &table, &build_cx()))
    }

    /// Tests the pruners that a function makes.
    pub fn new(build: impl Fn() -> Arc<dyn Pruner> + Send + Sync + 'static) -> Self {
        Self { build: Arc::new(build) }
    }

    fn snapshots(&self) -> impl Iterator<Item = Snapshot> {
        let high = (self.build)().marks().high.min(1_000);
        let most = (high as u64).saturating_add(8);
        (0..ROUNDS).map(move |seed| Random(seed).snapshot(seed % most))
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

impl harness::Fixture for Fixture {}

/// Above the high mark at least one of many old, unprotected, idle connections may go: a pruner that never prunes keeps
/// every obligation that follows.
pub async fn p0_something_may_go(fixture: Fixture) -> Outcome {
    let pruner = (fixture.build)();
    let count = pruner.marks().high.min(100_000).saturating_add(2) as u64;
    let mut snapshot = Random(7).snapshot(count);
    for candidate in &mut snapshot.connections {
        candidate.protected = false;
        candidate.connection.age = Duration::from_secs(86_400);
        candidate.connection.streams = 0;
        candidate.connection.busy = 0;
    }
    ensure!(!pruner.rank(&snapshot).is_empty(), "nothing may go at {count} connections");
    Ok(())
}

/// P1. Only ids of the snapshot are returned, each at most once.
pub async fn p1_only_connections_of_the_snapshot_and_each_once(fixture: Fixture) -> Outcome {
    let pruner = (fixture.build)();
    for snapshot in fixture.snapshots() {
        let mut left: BTreeSet<u64> = snapshot.connections.iter().map(|c| c.connection.id).collect();
        for victim in pruner.rank(&snapshot) {
            ensure!(left.remove(&victim.id), "connection {} is unknown or comes twice", victim.id);
        }
    }
    Ok(())
}

/// P2. Equal snapshots give equal answers, of one pruner and of two with one configuration, in whatever order the
/// connections stand.
pub async fn p2_equal_snapshots_get_equal_answers(fixture: Fixture) -> Outcome {
    let (pruner, twin) = ((fixture.build)(), (fixture.build)());
    for snapshot in fixture.snapshots() {
        let first = pruner.rank(&snapshot);
        let mut reversed = snapshot.clone();
        reversed.connections.reverse();
        for other in [pruner.rank(&snapshot), twin.rank(&snapshot), pruner.rank(&reversed)] {
            ensure!(other == first, "{first:?}, then {other:?} for the same snapshot");
        }
    }
    Ok(())
}

/// P3. Each victim comes with the parts of its score, each with a name and a value.
pub async fn p3_scores_say_why(fixture: Fixture) -> Outcome {
    let pruner = (fixture.build)();
    for snapshot in fixture.snapshots() {
        for victim in pruner.rank(&snapshot) {
            let told = victim.score.iter().all(|(name, value)| !name.is_empty() && !value.is_empty());
            ensure!(told && !victim.score.is_empty(), "connection {} has no score", victim.id);
        }
    }
    Ok(())
}

/// P4. Marks are in order and never change.
pub async fn p4_marks_are_in_order_and_stay(fixture: Fixture) -> Outcome {
    let pruner = (fixture.build)();
    let marks = pruner.marks();
    ensure!(marks.low <= marks.high, "low is {} and high is {}", marks.low, marks.high);
    for snapshot in fixture.snapshots().take(10) {
        pruner.rank(&snapshot);
        ensure!(pruner.marks() == marks, "{marks:?}, then {:?}", pruner.marks());
    }
    Ok(())
}

/// A generator that gives the same snapshots on every run (a linear congruence after Knuth).
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).checked_rem(below).unwrap_or(0)
    }

    fn snapshot(&mut self, count: u64) -> Snapshot {
        // Four peers, so that several connections are of one peer and several are worth the same.
        let peers: Vec<PeerId> = (1..=4).filter_map(peer).collect();
        let connections = (0..count).filter_map(|id| self.candidate(id.wrapping_mul(3), &peers)).collect();
        Snapshot::new(connections, usize::try_from(count / 2).unwrap_or_default(), 1 << 20)
    }

    fn candidate(&mut self, id: u64, peers: &[PeerId]) -> Option<PruneCandidate> {
        let peer = peers.get(usize::try_from(self.next(4)).ok()?)?;
        let role = if self.next(2) == 0 { Role::Dialer } else { Role::Listener };
        let host = [10, 0, 0, u8::try_from(self.next(250)).ok()?];
        let remote = Multiaddr::from(std::net::IpAddr::from(host));
        let mut connection = ConnectionView::new(id, *peer, role, remote);
        connection.streams = usize::try_from(self.next(3)).ok()?;
        connection.busy = connection.streams / 2;
        connection.age = Duration::from_secs(self.next(7_200));
        let mut candidate = PruneCandidate::new(connection);
        candidate.value = i64::try_from(self.next(5)).ok()?;
        candidate.protected = self.next(4) == 0;
        Some(candidate)
    }
}

/// The peer of the key that is all this byte.
fn peer(byte: u8) -> Option<PeerId> {
    Some(Keypair::ed25519_from_bytes([byte; 32]).ok()?.public().to_peer_id())
}
