//! Gates: the obligations `G1` to `G4` of [`skep_api::gate`].

use super::{build_from, parse, path_of};
use crate::{
    cx::build_cx,
    harness::{self, During, Outcome, broken, ensure, suite},
};
use serde_json::{Map, Value};
use skep_api::{
    ConfigErrors, Keypair, Multiaddr, PeerId, Plugin,
    gate::{Checkpoint, Gate, GateCx, Nobody, Verdict},
    plugin::layer,
    security::Role,
};
use std::{fmt, sync::Arc};

suite! { $
    /// Tests of a gate with a table that denies something:
    /// `gate_suite!(my_gate::PLUGIN, r#"deny = ["10.0.0.0/8"]"#);`
    gate_suite in gate, fixture: Fixture;
    g1_the_same_question_gets_the_same_answer,
    g2_a_denial_says_why_and_names_the_rule,
    g3_a_rule_that_is_not_understood_is_an_error,
    g4_a_name_is_judged_without_a_lookup,
}

type BuildGate = dyn Fn(Map<String, Value>) -> Result<Arc<dyn Gate>, ConfigErrors> + Send + Sync;

/// How to build the gate under test, and the rules for it.
#[derive(Clone)]
pub struct Fixture {
    path: String,
    build: Arc<BuildGate>,
    table: Map<String, Value>,
}

impl Fixture {
    /// Tests this plugin with the rules of `table`, in TOML.
    ///
    /// # Panics
    /// If `table` is no TOML.
    #[must_use]
    pub fn of(plugin: Plugin<layer::Gate>, table: &str) -> Self {
        Self::new(path_of(&plugin), table, move |table| build_from(&plugin, table, &build_cx()))
    }

    /// Tests the gates that a function makes of a table; `path` is that of the table.
    ///
    /// # Panics
    /// If `table` is no TOML.
    pub fn new<F>(path: impl Into<String>, table: &str, build: F) -> Self
    where
        F: Fn(Map<String, Value>) -> Result<Arc<dyn Gate>, ConfigErrors> + Send + Sync + 'static,
    {
        let table = parse(table).unwrap_or_else(|e| panic!("the table is no TOML: {e}"));
        Self { path: path.into(), build: Arc::new(build), table }
    }

    fn gate(&self) -> Result<Arc<dyn Gate>, harness::Broken> {
        (self.build)(self.table.clone()).during("the table is refused")
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fixture({})", self.path)
    }
}

impl harness::Fixture for Fixture {}

/// G1. `check` is pure: asked again, in another order or of another object with these rules, it says the same.
pub async fn g1_the_same_question_gets_the_same_answer(fixture: Fixture) -> Outcome {
    let (gate, twin) = (fixture.gate()?, fixture.gate()?);
    let questions = questions(&fixture.table);
    let first: Vec<Verdict> = questions.iter().map(|question| question.ask(&*gate)).collect();
    for (question, first) in questions.iter().zip(&first).rev() {
        for other in [question.ask(&*gate), question.ask(&*twin)] {
            ensure!(other == *first, "{question:?} got {first:?}, then {other:?}");
        }
    }
    Ok(())
}

/// G2. A denial has a reason and names its rule; the table given denies something.
pub async fn g2_a_denial_says_why_and_names_the_rule(fixture: Fixture) -> Outcome {
    let gate = fixture.gate()?;
    let mut denials = 0_usize;
    for question in questions(&fixture.table) {
        if let Verdict::Deny(denial) = question.ask(&*gate) {
            denials = denials.saturating_add(1);
            ensure!(!denial.rule.trim().is_empty(), "{question:?} is denied without a rule: {denial}");
            ensure!(!denial.reason.trim().is_empty(), "{question:?} is denied without a reason: {denial}");
        }
    }
    ensure!(
        denials > 0 || fixture.table.is_empty(),
        "nothing was denied: give a table that denies something"
    );
    Ok(())
}

/// G3. A word that is no rule, put into any list of rules, is a configuration error at that key.
pub async fn g3_a_rule_that_is_not_understood_is_an_error(fixture: Fixture) -> Outcome {
    for (key, value) in &fixture.table {
        let Value::Array(rules) = value else { continue };
        let mut rules = rules.clone();
        rules.push("!! no rule !!".into());
        let mut table = fixture.table.clone();
        table.insert(key.clone(), Value::Array(rules));
        let path = format!("{}.{key}", fixture.path);
        match (fixture.build)(table) {
            Ok(_) => return broken(format!("{path} took the rule `!! no rule !!`")),
            Err(errors) => {
                let named = errors.iter().any(|e| e.key.starts_with(&path));
                ensure!(named, "the error does not name {path}: {errors}");
            }
        }
    }
    Ok(())
}

/// G4. An address with a name in it gets its answer at once; a lookup of it would block.
pub async fn g4_a_name_is_judged_without_a_lookup(fixture: Fixture) -> Outcome {
    let gate = fixture.gate()?;
    let peer = PeerId::random();
    // The time limit of the property is what fails: `check` is not async, so a lookup in it blocks.
    for name in ["/dns4/skep.invalid/tcp/4001", "/dnsaddr/skep.invalid"] {
        let question = Question { peer, addr: addr(name), point: Point::Dial };
        let verdict = question.ask(&*gate);
        ensure!(question.ask(&*gate) == verdict, "{name} got another answer the second time");
    }
    Ok(())
}

/// A checkpoint that owns what it shows.
#[derive(Clone, Debug)]
struct Question {
    peer: PeerId,
    addr: Multiaddr,
    point: Point,
}

#[derive(Clone, Copy, Debug)]
enum Point {
    DialUnknown,
    Dial,
    Link,
    Peer(Role),
    Ready(Role),
}

impl Question {
    fn ask(&self, gate: &dyn Gate) -> Verdict {
        let (peer, remote) = (&self.peer, &self.addr);
        let local = addr("/ip4/127.0.0.1/tcp/4001");
        let point = match self.point {
            Point::DialUnknown => Checkpoint::AddrDial { peer: None, addr: remote },
            Point::Dial => Checkpoint::AddrDial { peer: Some(peer), addr: remote },
            Point::Link => Checkpoint::Link { local: &local, remote },
            Point::Peer(role) => Checkpoint::Peer { role, peer, remote },
            Point::Ready(role) => Checkpoint::Ready { role, peer, remote },
        };
        gate.check(&point, &GateCx::new(&Nobody))
    }
}

/// Every checkpoint for addresses of all kinds, and for the peers and networks that the rules name.
fn questions(table: &Map<String, Value>) -> Vec<Question> {
    const ADDRS: [&str; 9] = [
        "/ip4/127.0.0.1/tcp/4001",
        "/ip4/10.0.0.1/tcp/4001",
        "/ip4/192.168.1.7/udp/4001/quic-v1",
        "/ip4/169.254.0.9/tcp/1",
        "/ip4/8.8.8.8/tcp/443",
        "/ip6/::1/tcp/4001",
        "/ip6/fe80::1/tcp/4001",
        "/ip6/2001:db8::1/tcp/4001",
        "/memory/7",
    ];
    const POINTS: [Point; 7] = [
        Point::DialUnknown,
        Point::Dial,
        Point::Link,
        Point::Peer(Role::Dialer),
        Point::Peer(Role::Listener),
        Point::Ready(Role::Dialer),
        Point::Ready(Role::Listener),
    ];
    let mut words = Vec::new();
    table.values().for_each(|value| collect_words(value, &mut words));
    let mut addrs: Vec<Multiaddr> = ADDRS.into_iter().map(addr).collect();
    addrs.extend(words.iter().filter_map(|word| address_in(word)));
    let mut peers = vec![Keypair::generate_ed25519().public().to_peer_id()];
    peers.extend(words.iter().filter_map(|word| word.parse::<PeerId>().ok()));
    let mut questions = Vec::new();
    for addr in &addrs {
        for peer in &peers {
            let (addr, peer) = (addr.clone(), *peer);
            questions.extend(POINTS.map(|point| Question { peer, addr: addr.clone(), point }));
        }
    }
    questions
}

fn collect_words<'a>(value: &'a Value, words: &mut Vec<&'a str>) {
    match value {
        Value::String(word) => words.push(word),
        Value::Array(values) => values.iter().for_each(|value| collect_words(value, words)),
        Value::Object(values) => values.values().for_each(|value| collect_words(value, words)),
        _ => {}
    }
}

/// An address that a rule such as `10.0.0.0/8`, `::1` or a multiaddr speaks of.
fn address_in(rule: &str) -> Option<Multiaddr> {
    let host = rule.split('/').next().unwrap_or_default();
    match host.parse::<std::net::IpAddr>() {
        Ok(ip) => Some(Multiaddr::from(ip)),
        Err(_) => rule.parse().ok(),
    }
}

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}
