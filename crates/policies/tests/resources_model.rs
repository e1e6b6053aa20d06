//! The manager against a model: whatever is opened, moved, reserved and dropped, in whatever order, each scope
//! holds what the guards that are alive say, no limit is exceeded, and a denial changes nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod model;

use model::{Model, PEERS, PROTOCOLS, REMOTES, Refused, What};
use proptest::prelude::*;
use skep_api::{
    Multiaddr,
    resources::{
        ConnectionRequest, ConnectionScope, LimitExceeded, MemoryGuard, Priority, ResourceManager,
        StreamScope,
    },
    security::Role,
};
use skep_policies::resources::scoped::{Machine, Scoped};
use std::collections::BTreeMap;

const TABLE: &str = include_str!("model/limits.toml");

/// The manager, the guards that are alive by the numbers the model has for them, and the model.
struct Pair {
    manager: Scoped,
    model: Model,
    connections: BTreeMap<usize, Box<dyn ConnectionScope>>,
    streams: BTreeMap<usize, Box<dyn StreamScope>>,
    memory: BTreeMap<usize, Box<dyn MemoryGuard>>,
    denials: usize,
}

/// What to do, and three numbers that choose to what.
type Step = (u8, u8, u8, u8);

impl Pair {
    fn new() -> Self {
        let allowed = [format!("192.0.2.0/30/p2p/{}", PEERS[0]), format!("/p2p/{}", PEERS[1])];
        let table = format!("allowlist = {allowed:?}\n{TABLE}");
        let machine = Machine { memory: Some(1 << 30), open_files: Some(100) };
        let manager = Scoped::new(&toml::from_str(&table).unwrap(), &machine).unwrap();
        let model = Model::new(&manager.limits());
        let (connections, streams, memory) = Default::default();
        Self { manager, model, connections, streams, memory, denials: 0 }
    }

    fn step(&mut self, (what, a, b, c): Step) {
        let (a, b, c) = (usize::from(a), usize::from(b), usize::from(c));
        let role = if c.is_multiple_of(2) { Role::Dialer } else { Role::Listener };
        let priority = [Priority::Low, Priority::Medium, Priority::High, Priority::Always][c % 4];
        let bytes = (b as u64).saturating_mul(7);
        match what {
            0..=3 => self.open_connection(a, b, role, c),
            4..=6 => self.set_peer(a, b),
            7..=11 => self.open_stream(a, role),
            12..=15 => self.set_protocol(a, b),
            16 => self.reserve(What::Connection, a, bytes, priority),
            17..=18 => self.reserve(What::Stream, a, bytes, priority),
            19..=20 => self.drop_one(What::Connection, a),
            21..=23 => self.drop_one(What::Stream, a),
            _ => self.drop_one(What::Memory, a),
        }
    }

    fn open_connection(&mut self, remote: usize, peer: usize, role: Role, descriptor: usize) {
        let remote = remote % REMOTES.len();
        let addr: Multiaddr = REMOTES[remote].parse().unwrap();
        let mut request = ConnectionRequest::new(role, &addr);
        request.descriptor = descriptor % 4 < 3;
        // Only who is dialled is expected.
        let peer = peer % PEERS.len();
        request.expected = (role == Role::Dialer).then(|| &PEERS[peer]);
        let expected = request.expected.map(|_| peer);
        let granted = self.model.open_connection(remote, expected, role, request.descriptor);
        match (self.manager.open_connection(&request), granted) {
            (Ok(guard), Ok(id)) => drop(self.connections.insert(id, guard)),
            (given, expected) => self.compare(given.map(drop), expected.map(drop)),
        }
    }

    fn set_peer(&mut self, connection: usize, peer: usize) {
        let Some(id) = pick(&self.connections, connection) else { return };
        let peer = peer % PEERS.len();
        if self.model.has_peer(id) {
            assert!(self.connections.get_mut(&id).unwrap().set_peer(&PEERS[peer]).is_err());
            return;
        }
        let granted = self.model.set_peer(id, peer);
        let given = self.connections.get_mut(&id).unwrap().set_peer(&PEERS[peer]);
        self.compare(given, granted);
    }

    fn open_stream(&mut self, connection: usize, role: Role) {
        let Some(connection) = pick(&self.connections, connection) else { return };
        let granted = self.model.open_stream(connection, role);
        match (self.connections[&connection].open_stream(role), granted) {
            (Ok(guard), Ok(id)) => drop(self.streams.insert(id, guard)),
            (given, expected) => self.compare(given.map(drop), expected.map(drop)),
        }
    }

    fn set_protocol(&mut self, stream: usize, protocol: usize) {
        let Some(id) = pick(&self.streams, stream) else { return };
        let protocol = PROTOCOLS[protocol % PROTOCOLS.len()];
        if self.model.has_protocol(id) {
            assert!(self.streams.get_mut(&id).unwrap().set_protocol(protocol).is_err());
            return;
        }
        let granted = self.model.set_protocol(id, protocol);
        let given = self.streams.get_mut(&id).unwrap().set_protocol(protocol);
        self.compare(given, granted);
    }

    fn reserve(&mut self, what: What, owner: usize, bytes: u64, priority: Priority) {
        let owner = match what {
            What::Connection => pick(&self.connections, owner),
            _ => pick(&self.streams, owner),
        };
        let Some(owner) = owner else { return };
        let granted = self.model.reserve(what, owner, bytes, priority);
        let given = match what {
            What::Connection => self.connections[&owner].reserve(bytes, priority),
            _ => self.streams[&owner].reserve(bytes, priority),
        };
        match (given, granted) {
            (Ok(guard), Ok(id)) => {
                assert_eq!(guard.bytes(), bytes);
                self.memory.insert(id, guard);
            }
            (given, expected) => self.compare(given.map(drop), expected.map(drop)),
        }
    }

    fn drop_one(&mut self, what: What, at: usize) {
        let id = match what {
            What::Connection => pick(&self.connections, at).inspect(|id| drop(self.connections.remove(id))),
            What::Stream => pick(&self.streams, at).inspect(|id| drop(self.streams.remove(id))),
            What::Memory => pick(&self.memory, at).inspect(|id| drop(self.memory.remove(id))),
        };
        if let Some(id) = id {
            self.model.drop(what, id);
        }
    }

    /// Both grant, or both deny for the same reason.
    fn compare(&mut self, given: Result<(), LimitExceeded>, expected: Result<(), Vec<Refused>>) {
        match (given, expected) {
            (Ok(()), Ok(())) => {}
            (Err(denial), Err(reasons)) => {
                self.denials += 1;
                let named = reasons.iter().any(|reason| {
                    let scope = denial.scope.ends_with(&format!(", {}", reason.scope));
                    scope
                        && denial.scope.starts_with(reason.resource.name())
                        && (denial.current, denial.limit) == (reason.current, reason.limit)
                });
                assert!(named, "{denial:?} is none of {reasons:?}");
            }
            (given, expected) => panic!("the manager says {given:?}, the model {expected:?}"),
        }
    }

    /// Every scope holds what the guards say.
    fn check(&self) {
        let rows = self.manager.usage(usize::MAX);
        let in_use = rows.iter().filter(|row| row.current > 0);
        let in_use: BTreeMap<_, _> =
            in_use.map(|row| ((row.scope.clone(), row.resource), row.current)).collect();
        assert_eq!(in_use, self.model.in_use());
        for row in &rows {
            assert!(row.limit.is_none_or(|limit| row.current <= limit), "{row:?}");
        }
    }
}

/// The number of a guard that is alive.
fn pick<T>(guards: &BTreeMap<usize, T>, at: usize) -> Option<usize> {
    guards.keys().nth(at.checked_rem(guards.len())?).copied()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_scope_holds_what_the_guards_say(
        steps in proptest::collection::vec((0..26u8, any::<u8>(), any::<u8>(), any::<u8>()), 1..120),
        order in proptest::collection::vec(any::<u8>(), 200),
    ) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step);
            pair.check();
        }
        for at in order {
            let what = [What::Connection, What::Stream, What::Memory][usize::from(at) % 3];
            pair.drop_one(what, at.into());
            pair.check();
        }
        pair.connections.clear();
        pair.streams.clear();
        pair.memory.clear();
        let rows = pair.manager.usage(usize::MAX);
        prop_assert!(rows.iter().all(|row| row.current == 0), "{rows:?}");
    }
}

/// The limits are so low that much is denied: a model in which everything fits shows little.
#[test]
fn the_limits_are_in_the_way() {
    let mut pair = Pair::new();
    let mut seed = 1u32;
    let mut byte = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    for _ in 0..2_000 {
        pair.step((byte() % 26, byte(), byte(), byte()));
        pair.check();
    }
    assert!(pair.denials > 200, "{} denials", pair.denials);
    let denied: Vec<_> = pair.manager.usage(usize::MAX).into_iter().filter(|row| row.denied > 0).collect();
    let kinds: std::collections::BTreeSet<_> = denied.iter().map(|row| row.scope.as_str()).collect();
    assert!(kinds.len() >= 10, "{kinds:?}");
}
