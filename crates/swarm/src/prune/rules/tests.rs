//! The rules, told again as properties, over pruners that answer anything at all.

use super::*;
use crate::prune::verdict::spared;
use proptest::prelude::*;
use skep_api::{Keypair, Multiaddr, security::Role, selector::ConnectionView};
use std::sync::{Arc, LazyLock};

static PEERS: LazyLock<Vec<PeerId>> = LazyLock::new(|| {
    let peer = |byte| Keypair::ed25519_from_bytes([byte; 32]).unwrap().public().to_peer_id();
    (1..=24).map(peer).collect()
});

/// The longest grace.
const GRACE: u64 = 60;

#[derive(Clone, Debug)]
struct Scene {
    snapshot: Snapshot,
    marks: Marks,
    reason: PruneReason,
    reserve: usize,
    used: HashSet<u64>,
    ranking: Option<Vec<Victim>>,
}

impl Scene {
    fn judge(&self) -> Vec<JudgedPeer> {
        let Self { snapshot, marks, reason, used, .. } = self;
        let (marks, reason, outbound_reserve) = (*marks, *reason, self.reserve);
        Round { snapshot, marks, reason, outbound_reserve, used }.judge(self.ranking.clone())
    }

    /// One connection for each peer, at rest: the next that may go always fits.
    fn of_single_connections(mut self) -> Self {
        let mut seen = HashSet::new();
        self.snapshot.connections.retain(|c| seen.insert(c.peer()));
        for c in &mut self.snapshot.connections {
            (c.connection.busy, c.connection.streams) = (0, 0);
        }
        self.snapshot.excess = self.snapshot.connections.len().saturating_sub(self.marks.low);
        self
    }

    fn of(&self, peer: PeerId) -> Vec<&PruneCandidate> {
        self.snapshot.connections.iter().filter(|c| c.peer() == peer).collect()
    }

    /// The longest-lived of those that were dialled.
    fn reserved(&self) -> Vec<PeerId> {
        let dialled = self.snapshot.connections.iter().filter(|c| c.outbound());
        let mut oldest: HashMap<PeerId, Duration> = HashMap::new();
        for c in dialled {
            let age = oldest.entry(c.peer()).or_default();
            *age = c.age().max(*age);
        }
        let mut oldest: Vec<_> = oldest.into_iter().map(|(peer, age)| (Reverse(age), peer)).collect();
        oldest.sort_unstable();
        oldest.into_iter().take(self.reserve).map(|(_, peer)| peer).collect()
    }

    fn is_newcomer(&self, peer: PeerId) -> bool {
        let of = self.of(peer);
        let new = |c: &&PruneCandidate| c.connection.role == Role::Listener && !c.protected && c.value <= 0;
        let useless = of.iter().all(|c| !self.used.contains(&c.connection.id));
        of.iter().all(new) && (useless || of.iter().all(|c| c.age() < NEWCOMER))
    }
}

/// A peer's connections: role, age, streams in use, whether it was of use.
type Conns = Vec<(bool, u64, usize, bool)>;

fn peer() -> impl Strategy<Value = (Conns, i64, bool, u8)> {
    let conn = (any::<bool>(), 0..8_000_u64, prop_oneof![3 => Just(0), 1 => 1..4_usize], any::<bool>());
    (prop::collection::vec(conn, 1..4), -2..4_i64, prop::bool::weighted(0.15), 0..5_u8)
}

fn snapshot() -> impl Strategy<Value = (Snapshot, HashSet<u64>)> {
    prop::collection::vec(peer(), 0..20).prop_map(|peers| {
        let (mut connections, mut of_use) = (Vec::new(), HashSet::new());
        for ((conns, value, protected, network), peer) in peers.into_iter().zip(PEERS.iter()) {
            for (dialled, age, busy, used) in conns {
                let id = connections.len() as u64 * 7;
                let remote: Multiaddr = match network {
                    0 => "/memory/7".parse().unwrap(),
                    n => format!("/ip4/192.0.{n}.{}/tcp/1", id % 250).parse().unwrap(),
                };
                let role = if dialled { Role::Dialer } else { Role::Listener };
                let mut view = ConnectionView::new(id, *peer, role, remote);
                (view.age, view.busy, view.streams) = (Duration::from_secs(age), busy, busy);
                let mut candidate = PruneCandidate::new(view);
                (candidate.value, candidate.protected) = (value, protected);
                connections.push(candidate);
                if used || busy > 0 {
                    of_use.insert(id);
                }
            }
        }
        (Snapshot::new(connections, 0, 0), of_use)
    })
}

/// A ranking of any kind: all connections in some order, some of them, with repetitions, and what does not exist.
fn ranking(count: usize) -> impl Strategy<Value = Option<Vec<Victim>>> {
    let all: Vec<u64> = (0..count as u64).map(|n| n * 7).collect();
    let victims = |ids: Vec<u64>| {
        let victim = |id| Victim::new(id, vec![("n", "x".repeat(usize::try_from(id % 300).unwrap()))]);
        Some(ids.into_iter().map(victim).collect())
    };
    prop_oneof![
        4 => Just(all).prop_shuffle().prop_map(victims),
        2 => prop::collection::vec(0..(count as u64 + 2) * 7, 0..400).prop_map(victims),
        1 => prop::collection::vec(any::<u64>(), 0..50).prop_map(victims),
        1 => Just(None),
    ]
}

fn scene() -> impl Strategy<Value = Scene> {
    let marks = (0..40_usize, 0..20_usize, 0..=GRACE);
    (snapshot(), marks, prop::sample::select(PruneReason::ALL.to_vec()), 0..4_usize, 0..8_usize)
        .prop_flat_map(|((mut snapshot, used), (low, above, grace), reason, reserve, room)| {
            let count = snapshot.connections.len();
            let (grace, silence) = (Duration::from_secs(grace), Duration::ZERO);
            let marks = Marks { low, high: low + above, grace, silence };
            snapshot.excess = count.saturating_sub(low);
            // The cap is reached where that is the reason, and not where there is another.
            let full = reason == PruneReason::HardCap;
            snapshot.max_connections = if full { count.saturating_sub(room) } else { count + 1 + room };
            ranking(count).prop_map(move |ranking| Scene {
                snapshot: snapshot.clone(),
                marks,
                reason,
                reserve,
                used: used.clone(),
                ranking,
            })
        })
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_ranking_breaks_a_rule(scene in scene()) {
        let judged = scene.judge();
        let count = scene.snapshot.connections.len();
        let ids: HashSet<u64> = judged.iter().flat_map(|j| j.connections.iter().map(|v| v.id)).collect();
        prop_assert_eq!(ids.len(), count, "each connection is judged once");
        prop_assert_eq!(judged.iter().map(|j| j.connections.len()).sum::<usize>(), count);
        let goes = |j: &&JudgedPeer| j.verdict == PruneVerdict::Goes;
        let going: Vec<&JudgedPeer> = judged.iter().filter(goes).collect();
        let going_ids: HashSet<u64> = going.iter().flat_map(|j| &j.connections).map(|v| v.id).collect();
        prop_assert!(count - going_ids.len() >= scene.marks.low.min(count), "not below the low mark");
        let reserved = scene.reserved();
        let named = |id| scene.ranking.as_ref().is_none_or(|r| r.iter().any(|v| v.id == id));
        let mut busy = 0;
        for peer in &going {
            let of = scene.of(peer.peer);
            prop_assert_eq!(of.len(), peer.connections.len(), "a peer goes as a whole");
            prop_assert!(!of.iter().any(|c| c.protected));
            prop_assert!(!reserved.contains(&peer.peer), "the longest-lived that were dialled stay");
            prop_assert!(of.iter().all(|c| named(c.connection.id)), "what is left out stays");
            let young = of.iter().any(|c| c.age() < scene.marks.grace);
            prop_assert!(!young || scene.reason == PruneReason::Emergency);
            if of.iter().any(|c| c.connection.busy > 0) {
                busy += of.len();
            }
        }
        let left = count - going_ids.len();
        match scene.reason {
            PruneReason::Emergency => {}
            // Without the last of those in use there would be no room.
            PruneReason::HardCap => {
                let last = going.iter().rev().find(|j| scene.of(j.peer).iter().any(|c| c.connection.busy > 0));
                let last = last.map_or(0, |j| j.connections.len());
                prop_assert!(busy == 0 || left + last >= scene.snapshot.max_connections);
            }
            _ => prop_assert_eq!(busy, 0, "streams in use are cut at the cap only"),
        }
    }

    #[test]
    fn newcomers_go_before_others(scene in scene()) {
        let judged = scene.judge();
        for peer in &judged {
            prop_assert_eq!(peer.newcomer, scene.is_newcomer(peer.peer));
        }
        let other_goes = judged.iter().any(|j| j.verdict == PruneVerdict::Goes && !j.newcomer);
        let mut waiting = 0;
        for j in judged.iter().filter(|j| j.newcomer && j.verdict != PruneVerdict::Goes) {
            prop_assert!(!other_goes || j.verdict != PruneVerdict::Stays, "{:?}", j);
            if j.verdict != PruneVerdict::Spared(PruneRule::LeftOut) {
                waiting += j.connections.len();
            }
        }
        let gone: usize = judged.iter().filter(|j| j.verdict == PruneVerdict::Goes).map(|j| j.connections.len()).sum();
        prop_assert!(!other_goes || gone + waiting <= scene.snapshot.excess, "none goes in a newcomer's place");
    }

    /// Among others, whoever stays for now still has its turn.
    #[test]
    fn none_goes_in_the_place_of_one_before_it(scene in scene()) {
        let (mut before, for_now) = (0, [PruneRule::Grace, PruneRule::InUse].map(PruneVerdict::Spared));
        for j in scene.judge() {
            if j.verdict == PruneVerdict::Goes || for_now.contains(&j.verdict) {
                before += j.connections.len();
            }
            if j.verdict == PruneVerdict::Goes && !j.newcomer {
                prop_assert!(before <= scene.snapshot.excess, "{:?} is too far back", j);
            }
        }
    }

    /// In an emergency it goes down to the low mark, as far as peers fit, through those that nothing keeps.
    #[test]
    fn an_emergency_stops_at_nothing_that_stays_for_now(scene in scene().prop_map(Scene::of_single_connections)) {
        let scene = Scene { reason: PruneReason::Emergency, ..scene };
        let judged = scene.judge();
        let gone = judged.iter().filter(|j| j.verdict == PruneVerdict::Goes).count();
        let forever = [PruneRule::Protected, PruneRule::OutboundReserve, PruneRule::LeftOut];
        let forever = forever.map(PruneVerdict::Spared);
        let may = judged.iter().filter(|j| !forever.contains(&j.verdict)).count();
        prop_assert_eq!(gone, may.min(scene.snapshot.excess));
    }

    /// Of newcomers that may go, none goes from a network while another has more of them.
    #[test]
    fn full_networks_give_first(scene in scene().prop_map(Scene::of_single_connections)) {
        let judged = scene.judge();
        let network = |j: &JudgedPeer| scene.of(j.peer).iter().min_by_key(|c| c.connection.id).unwrap().subnet();
        let (mut left, mut may, mut went) = (HashMap::new(), HashSet::new(), HashSet::new());
        let left_out = PruneVerdict::Spared(PruneRule::LeftOut);
        for j in judged.iter().filter(|j| j.newcomer && j.verdict != left_out) {
            let network = network(j);
            if j.verdict == PruneVerdict::Goes {
                went.insert(network);
            } else {
                *left.entry(network).or_insert(0) += 1;
                if j.verdict == PruneVerdict::Stays {
                    may.insert(network);
                }
            }
        }
        for from in went {
            let here = left.get(&from).copied().unwrap_or(0);
            for network in &may {
                prop_assert!(left[network] <= here + 1, "{:?} has {}, {:?} {}", network, left[network], from, here);
            }
        }
    }

    #[test]
    fn the_order_of_the_connections_does_not_matter(scene in scene(), seed in any::<u64>()) {
        let mut other = scene.clone();
        let connections = &mut other.snapshot.connections;
        skep_api::random::Random::seeded(seed).shuffle(connections);
        // The own order of the node is total, too.
        prop_assert_eq!(scene.judge(), other.judge());
    }

    #[test]
    fn those_that_are_told_as_spared_stay(scene in scene()) {
        let judged = scene.judge();
        for (peer, rule) in spared(&judged, scene.snapshot.excess) {
            let of = judged.iter().find(|j| j.peer == peer).unwrap();
            prop_assert_eq!(of.verdict, PruneVerdict::Spared(rule));
            prop_assert_ne!(rule, PruneRule::LeftOut);
        }
    }
}

fn candidate(id: u64, age: u64) -> PruneCandidate {
    let remote = format!("/ip4/192.0.2.{id}/tcp/1").parse().unwrap();
    let mut view = ConnectionView::new(id, PEERS[usize::try_from(id).unwrap()], Role::Listener, remote);
    view.age = Duration::from_secs(age);
    PruneCandidate::new(view)
}

fn verdicts(connections: Vec<PruneCandidate>, reason: PruneReason, used: &[u64]) -> Vec<(u64, PruneVerdict)> {
    let ranking = connections.iter().map(|c| Victim::new(c.connection.id, vec![])).collect();
    let max = if reason == PruneReason::HardCap { connections.len() } else { 100 };
    let excess = connections.len() - 1;
    let scene = Scene {
        snapshot: Snapshot::new(connections, excess, max),
        marks: Marks { low: 1, high: 1, grace: Duration::from_secs(60), silence: Duration::ZERO },
        reason,
        reserve: 0,
        used: used.iter().copied().collect(),
        ranking: Some(ranking),
    };
    scene.judge().into_iter().map(|j| (j.connections[0].id, j.verdict)).collect()
}

#[test]
fn newcomers_in_their_grace_hold_up_those_at_rest() {
    // Two that were of use for long, and three that have just come.
    let connections =
        || vec![candidate(1, 5_000), candidate(2, 5_000), candidate(3, 5), candidate(4, 5), candidate(5, 5)];
    let (grace, first) = (PruneVerdict::Spared(PruneRule::Grace), PruneVerdict::Spared(PruneRule::InTurn));
    let expected = [(3, grace), (4, grace), (5, grace), (1, PruneVerdict::Goes), (2, first)];
    assert_eq!(verdicts(connections(), PruneReason::HighMark, &[1, 2]), expected);
    assert_eq!(verdicts(connections(), PruneReason::HardCap, &[1, 2]), expected);
    let emergency = verdicts(connections(), PruneReason::Emergency, &[1, 2]);
    let going: Vec<u64> =
        emergency.iter().filter(|(_, v)| *v == PruneVerdict::Goes).map(|(id, _)| *id).collect();
    assert_eq!(going, [3, 4, 5, 1]);
}

#[test]
fn streams_that_a_peer_opens_make_it_no_more_than_a_newcomer() {
    let mut flooder = candidate(1, 300);
    flooder.connection.busy = 10;
    flooder.value = 10;
    flooder.tags = Arc::new([(CommonTags::ACTIVE_STREAMS.to_string(), 10)].into());
    let mut tagged = flooder.clone();
    tagged.connection.id = 2;
    tagged.connection.peer = PEERS[2];
    tagged.value = 11;
    let at_cap = verdicts(vec![tagged, flooder], PruneReason::HardCap, &[1, 2]);
    assert_eq!(at_cap, [(1, PruneVerdict::Goes), (2, PruneVerdict::Spared(PruneRule::InUse))]);
}
