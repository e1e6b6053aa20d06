//! Pruners: the obligations `P1` to `P4` of [`skep_api::pruner`], over random snapshots.

use super::{build, parse};
use crate::{
    cx::build_cx,
    harness::{self, Outcome, ensure, suite},
};
use serde_json::Value;
use skep_api::{
    Keypair, Multiaddr, PeerId, Plugin,
    plugin::layer,
    pruner::{PruneCandidate, Pruner},
    security::Role,
    selector::ConnectionView,
};
use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

suite! { $
    /// Tests of a pruner with a table of small marks: `pruner_suite!(my_pruner::PLUGIN, "low = 2\nhigh = 4");`
    pruner_suite in pruner, fixture: Fixture;
    p0_something_goes_above_the_high_mark,
    p1_only_connections_of_the_snapshot_and_each_once,
    p2_nothing_goes_at_or_below_the_low_mark,
    p3_protected_connections_stay,
    p4_equal_snapshots_get_equal_answers,
}

/// Snapshots for each property.
const ROUNDS: u64 = 300;

/// How to build the pruner under test, and its low mark.
#[derive(Clone)]
pub struct Fixture {
    build: Arc<dyn Fn() -> Arc<dyn Pruner> + Send + Sync>,
    low: usize,
}

impl Fixture {
    /// Tests this plugin with this table, in TOML. Its key `low` is taken as the low mark.
    ///
    /// # Panics
    /// If `table` is no TOML.
    #[must_use]
    pub fn of(plugin: Plugin<layer::Pruner>, table: &str) -> Self {
        let keys = parse(table).unwrap_or_else(|e| panic!("the table is no TOML: {e}"));
        let low = keys.get("low").and_then(Value::as_u64).unwrap_or(0);
        let table = table.to_string();
        Self::new(usize::try_from(low).unwrap_or(usize::MAX), move || build(&plugin, &table, &build_cx()))
    }

    /// Tests the pruners that a function makes.
    pub fn new(low: usize, build: impl Fn() -> Arc<dyn Pruner> + Send + Sync + 'static) -> Self {
        Self { build: Arc::new(build), low }
    }

    fn snapshots(&self) -> impl Iterator<Item = Vec<PruneCandidate>> {
        let high = (self.build)().high_mark().min(1_000);
        let most = (high as u64).max(self.low as u64).saturating_add(8);
        (0..ROUNDS).map(move |seed| Random(seed).snapshot(seed % most))
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").field("low", &self.low).finish_non_exhaustive()
    }
}

impl harness::Fixture for Fixture {}

/// Above the high mark at least one of many old, unprotected connections goes: a pruner that never prunes keeps
/// every obligation that follows.
pub async fn p0_something_goes_above_the_high_mark(fixture: Fixture) -> Outcome {
    let pruner = (fixture.build)();
    let count = pruner.high_mark().min(100_000).saturating_add(2) as u64;
    let mut snapshot = Random(7).snapshot(count);
    for candidate in &mut snapshot {
        candidate.protected = false;
        candidate.age = Duration::from_secs(86_400);
        candidate.connection.streams = 0;
        candidate.connection.busy = 0;
    }
    ensure!(!pruner.select(&snapshot).is_empty(), "nothing goes at {count} connections");
    Ok(())
}

/// P1. Only ids of the snapshot are returned, each at most once.
pub async fn p1_only_connections_of_the_snapshot_and_each_once(fixture: Fixture) -> Outcome {
    let pruner = (fixture.build)();
    for snapshot in fixture.snapshots() {
        let mut left: BTreeSet<u64> = snapshot.iter().map(|c| c.connection.id).collect();
        for victim in pruner.select(&snapshot) {
            ensure!(left.remove(&victim.id), "connection {} is unknown or comes twice", victim.id);
        }
    }
    Ok(())
}

/// P2. Nothing is returned while the number of connections is at or below the low mark.
pub async fn p2_nothing_goes_at_or_below_the_low_mark(fixture: Fixture) -> Outcome {
    let pruner = (fixture.build)();
    for count in 0..=fixture.low.min(1_000) as u64 {
        for seed in 0..20 {
            let victims = pruner.select(&Random(seed).snapshot(count));
            ensure!(
                victims.is_empty(),
                "{} of {count} go, and the low mark is {}",
                victims.len(),
                fixture.low
            );
        }
    }
    Ok(())
}

/// P3. Protected connections are never returned.
pub async fn p3_protected_connections_stay(fixture: Fixture) -> Outcome {
    let pruner = (fixture.build)();
    for snapshot in fixture.snapshots() {
        let protected: BTreeSet<u64> =
            snapshot.iter().filter(|c| c.protected).map(|c| c.connection.id).collect();
        for victim in pruner.select(&snapshot) {
            ensure!(!protected.contains(&victim.id), "connection {} is protected", victim.id);
        }
    }
    Ok(())
}

/// P4. Equal snapshots give equal answers, of one pruner and of two with one configuration.
pub async fn p4_equal_snapshots_get_equal_answers(fixture: Fixture) -> Outcome {
    let (pruner, twin) = ((fixture.build)(), (fixture.build)());
    for snapshot in fixture.snapshots() {
        let first = pruner.select(&snapshot);
        for other in [pruner.select(&snapshot), twin.select(&snapshot)] {
            ensure!(other == first, "{first:?}, then {other:?} for the same snapshot");
        }
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

    fn snapshot(&mut self, count: u64) -> Vec<PruneCandidate> {
        // Four peers, so that several connections are of one peer and several are worth the same.
        let peers: Vec<PeerId> = (1..=4).filter_map(peer).collect();
        (0..count).filter_map(|id| self.candidate(id.wrapping_mul(3), &peers)).collect()
    }

    fn candidate(&mut self, id: u64, peers: &[PeerId]) -> Option<PruneCandidate> {
        let peer = peers.get(usize::try_from(self.next(4)).ok()?)?;
        let role = if self.next(2) == 0 { Role::Dialer } else { Role::Listener };
        let host = [10, 0, 0, u8::try_from(self.next(250)).ok()?];
        let remote = Multiaddr::from(std::net::IpAddr::from(host));
        let mut connection = ConnectionView::new(id, *peer, role, remote);
        connection.streams = usize::try_from(self.next(3)).ok()?;
        connection.busy = connection.streams / 2;
        Some(PruneCandidate {
            connection,
            age: Duration::from_secs(self.next(7_200)),
            value: i64::try_from(self.next(5)).ok()?,
            protected: self.next(4) == 0,
        })
    }
}

/// The peer of the key that is all this byte.
fn peer(byte: u8) -> Option<PeerId> {
    Some(Keypair::ed25519_from_bytes([byte; 32]).ok()?.public().to_peer_id())
}
