//! Floods against every pruner: the node's table on a virtual clock, with the real rules and the real pruners.
//!
//! The figures: `cargo test -p skep --test flood -- --nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use skep::{
    api::{
        ConfigSection, Keypair, Multiaddr, PeerId, Plugin,
        plugin::layer,
        pruner::{PruneCandidate, Pruner, Snapshot},
        random::Random,
        security::Role,
        selector::ConnectionView,
        tags::CommonTags,
    },
    plugins,
    swarm::{
        Settings,
        prune::{PruneReason, PruneVerdict, Round},
        registry::Registry,
    },
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// Places of the node.
const CAPACITY: usize = 256;
const LOW: usize = 128;
const HIGH: usize = 192;
/// Seconds of the flood, and connections that come in it.
const HOUR: u64 = 3_600;
const NEWCOMERS: u64 = 10 * CAPACITY as u64;

/// What a connection is to the node, for the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Protected,
    Tagged,
    OutboundTagged,
    Outbound,
    InboundUseful,
    Flood,
}

#[derive(Debug)]
struct Conn {
    kind: Kind,
    since: i64,
    busy: usize,
    used: bool,
    candidate: PruneCandidate,
}

/// How those behave that come.
#[derive(Clone, Copy, Debug)]
struct Adversary {
    name: &'static str,
    /// Networks that they come from.
    networks: u64,
    /// The sum of the tags that this node gives them.
    value: i64,
    /// Streams that they have in use.
    busy: usize,
    /// How much older than the node's own connections the flood is, at most.
    patience: u64,
}

const SYBILS: Adversary =
    Adversary { name: "newcomers from 4 networks", networks: 4, value: 0, busy: 0, patience: 0 };
const SPREAD: Adversary = Adversary { name: "newcomers from 200 networks", networks: 200, ..SYBILS };
const BUSY: Adversary = Adversary { name: "newcomers with streams in use", busy: 10, ..SYBILS };
/// The best that any pruner gives points for.
const EARNERS: Adversary = Adversary {
    name: "earners of every score",
    networks: 200,
    value: 1_000_000,
    busy: 10,
    patience: 1_000_000,
};

/// The node's table, as the permits bound it.
struct Node {
    pruner: Arc<dyn Pruner>,
    now: i64,
    table: BTreeMap<u64, Conn>,
    next: u64,
    last_round: Option<i64>,
    keys: Keys,
    lost: HashMap<Kind, usize>,
    rounds: usize,
    /// The fewest and the most connections there were since the table was first full enough.
    fewest: usize,
    most: usize,
    refused: usize,
}

/// Peer ids, one after the other, the same on every run.
#[derive(Default)]
struct Keys(u64);

impl Keys {
    fn next(&mut self) -> PeerId {
        self.0 += 1;
        let mut seed = [3; 32];
        seed[..8].copy_from_slice(&self.0.to_le_bytes());
        Keypair::ed25519_from_bytes(seed).unwrap().public().to_peer_id()
    }
}

impl Node {
    fn new(plugin: &Plugin<layer::Pruner>) -> Self {
        let table = serde_json::json!({ "low": LOW, "high": HIGH });
        let section = ConfigSection::from_table("pruner.test", table.as_object().unwrap().clone());
        let pruner = (plugin.build)(&section, support::layers().build_cx()).unwrap();
        assert_eq!((pruner.marks().low, pruner.marks().high), (LOW, HIGH), "{}", plugin.name);
        Self {
            pruner,
            now: 0,
            table: BTreeMap::new(),
            next: 0,
            last_round: None,
            keys: Keys::default(),
            lost: HashMap::new(),
            rounds: 0,
            fewest: usize::MAX,
            most: 0,
            refused: 0,
        }
    }

    /// A connection; none if there is no place.
    fn connect(&mut self, kind: Kind, remote: &str, since: i64, value: i64, busy: usize) -> bool {
        let role = match kind {
            Kind::Outbound | Kind::OutboundTagged => Role::Dialer,
            _ => Role::Listener,
        };
        let inbound = self.table.values().filter(|c| !c.candidate.outbound()).count();
        // Of the places some are for dials, some for the protected.
        let reserve = Settings::default().outbound_reserve as usize;
        if self.table.len() >= CAPACITY || (kind == Kind::Flood && inbound >= CAPACITY - reserve) {
            self.refused += 1;
            return false;
        }
        self.next += 1;
        let remote: Multiaddr = remote.parse().unwrap();
        let view = ConnectionView::new(self.next, self.keys.next(), role, remote);
        let mut candidate = PruneCandidate::new(view);
        candidate.protected = kind == Kind::Protected;
        let mut tags = BTreeMap::new();
        if value != 0 {
            tags.insert(CommonTags::APPLICATION.to_string(), value);
        }
        if busy > 0 {
            tags.insert(CommonTags::ACTIVE_STREAMS.to_string(), busy.min(10) as i64);
        }
        candidate.value = tags.values().sum();
        candidate.tags = Arc::new(tags);
        let used = busy > 0 || !matches!(kind, Kind::Flood);
        self.table.insert(self.next, Conn { kind, since, busy, used, candidate });
        true
    }

    /// What the node had before the flood: for hours, some of it in use.
    fn useful(&mut self, random: &Random) {
        let hours = |random: &Random| -(7_200 + random.below(80_000) as i64);
        let kinds = [
            (Kind::Protected, 5, 0),
            (Kind::Tagged, 30, 5),
            (Kind::OutboundTagged, 10, 5),
            // As many as `[swarm] outbound_reserve`: those with tags have come later.
            (Kind::Outbound, Settings::default().outbound_reserve as usize, 0),
            (Kind::InboundUseful, 40, 0),
        ];
        for (kind, count, value) in kinds {
            for n in 0..count {
                let remote = format!("/ip4/10.{}.{n}.1/tcp/4001", kind as u8);
                let busy = usize::from(random.below(4) == 0);
                let since = match kind {
                    Kind::Outbound => -200_000 - n as i64,
                    _ => hours(random),
                };
                assert!(self.connect(kind, &remote, since, value, busy));
            }
        }
    }

    fn count(&self, kind: Kind) -> usize {
        self.table.values().filter(|conn| conn.kind == kind).count()
    }

    /// The rounds of a node: above the high mark with silence between them, at the cap at once.
    fn prune(&mut self) {
        let marks = self.pruner.marks();
        let count = self.table.len();
        let reason = if count >= CAPACITY { PruneReason::HardCap } else { PruneReason::HighMark };
        let silent = self.last_round.is_some_and(|at| self.now - at < marks.silence.as_secs() as i64);
        if count <= marks.high || (silent && reason != PruneReason::HardCap) {
            return;
        }
        let candidates = self.table.values().map(|conn| {
            let mut candidate = conn.candidate.clone();
            candidate.connection.age = Duration::from_secs((self.now - conn.since).max(0) as u64);
            (candidate.connection.streams, candidate.connection.busy) = (conn.busy, conn.busy);
            candidate
        });
        let snapshot = Snapshot::new(candidates.collect(), count - marks.low, CAPACITY);
        let used: HashSet<u64> = self.table.iter().filter(|(_, c)| c.used).map(|(id, _)| *id).collect();
        let outbound_reserve = Settings::default().outbound_reserve as usize;
        let round = Round { snapshot: &snapshot, marks, reason, outbound_reserve, used: &used };
        let judged = round.judge(Some(self.pruner.rank(&snapshot)));
        let mut closed = 0;
        for peer in judged.iter().filter(|peer| peer.verdict == PruneVerdict::Goes) {
            for victim in &peer.connections {
                let gone = self.table.remove(&victim.id).unwrap();
                assert!(gone.busy == 0 || count >= CAPACITY, "a stream in use was cut below the cap");
                *self.lost.entry(gone.kind).or_default() += 1;
                closed += 1;
            }
        }
        self.rounds += 1;
        if closed > 0 {
            self.last_round = Some(self.now);
        }
    }

    fn check(&mut self) {
        let count = self.table.len();
        self.fewest = self.fewest.min(count);
        self.most = self.most.max(count);
        assert!(count <= CAPACITY, "{count} connections");
        // Once above the low mark, the table does not fall below it again.
        assert!(self.rounds == 0 || count >= LOW, "{count} connections are fewer than {LOW}");
    }

    /// An hour in which ten times as many come as there are places.
    fn flood(&mut self, by: Adversary, random: &Random) {
        let mut come = 0;
        for second in 0..HOUR {
            self.now = second as i64;
            while come < NEWCOMERS * (second + 1) / HOUR {
                let network = random.below(by.networks as usize);
                let remote =
                    format!("/ip4/11.{}.{}.{}/tcp/1", network / 200, network % 200, random.below(250));
                let since = self.now - random.below(by.patience as usize) as i64;
                self.connect(Kind::Flood, &remote, since, by.value, by.busy);
                come += 1;
                self.prune();
                self.check();
            }
            self.prune();
            self.check();
        }
    }
}

/// Every pruner that is linked.
fn pruners() -> Vec<Plugin<layer::Pruner>> {
    let registry = Registry::from_inventory(&plugins::expected()).unwrap();
    let names = registry.names("pruner");
    assert!(names.contains(&"watermark") && names.contains(&"outbound_floor"), "{names:?}");
    names.into_iter().map(|name| *registry.find::<layer::Pruner>(name).unwrap()).collect()
}

const USEFUL: [Kind; 5] =
    [Kind::Protected, Kind::Tagged, Kind::OutboundTagged, Kind::Outbound, Kind::InboundUseful];

fn run(plugin: &Plugin<layer::Pruner>, by: Adversary) -> (Node, HashMap<Kind, usize>) {
    let random = Random::seeded(7);
    let mut node = Node::new(plugin);
    node.useful(&random);
    let before = USEFUL.into_iter().map(|kind| (kind, node.count(kind))).collect();
    node.flood(by, &random);
    let kept: Vec<String> = USEFUL.into_iter().map(|kind| format!("{kind:?} {}", node.count(kind))).collect();
    println!(
        "{:>14}, {:<29}: {} rounds, {} to {} connections, {} of the flood pruned, {} found no place; kept: {}",
        plugin.name,
        by.name,
        node.rounds,
        node.fewest,
        node.most,
        node.lost.get(&Kind::Flood).copied().unwrap_or(0),
        node.refused,
        kept.join(", ")
    );
    (node, before)
}

#[test]
fn a_flood_of_newcomers_pushes_out_itself() {
    for plugin in pruners() {
        for by in [SYBILS, SPREAD, BUSY] {
            let (node, before) = run(&plugin, by);
            let useful: usize = before.values().sum();
            let kept: usize = USEFUL.into_iter().map(|kind| node.count(kind)).sum();
            assert_eq!(node.count(Kind::Protected), before[&Kind::Protected]);
            assert!(kept * 100 >= useful * 95, "{}: {kept} of {useful} are left", plugin.name);
            assert!(node.lost.contains_key(&Kind::Flood) || node.refused > 0, "there was a flood");
        }
    }
}

#[test]
fn whoever_earns_every_score_does_not_cut_the_node_off() {
    for plugin in pruners() {
        let (node, before) = run(&plugin, EARNERS);
        for kind in [Kind::Protected, Kind::Outbound] {
            assert_eq!(node.count(kind), before[&kind], "{kind:?} under {}", plugin.name);
        }
    }
}
