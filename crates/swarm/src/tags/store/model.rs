//! The store against a model that does everything step by step, second by second.

use super::{tests::peer, *};
use crate::tags::{Bump, CommonTags, Decay, DecayingTag};
use proptest::prelude::*;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

const LIMITS: Limits = Limits { peers: 3, names: 3, decaying: 8 };
const SECOND: Duration = Duration::from_secs(1);
const NAMES: [&str; 5] = ["a", "b", "fixed", CommonTags::BOOTSTRAP, "keep-alive-x"];
const OWNERS: [&str; 4] = ["", "x", "y", "z"];

/// How the model decays a value; the seconds since it was bumped are given, too.
type Step = fn(i64, u64) -> i64;
const DECAYS: [(&str, u64, Step); 4] = [
    ("fixed", 7, |value, _| value - 3),
    ("half", 10, |value, _| value / 2),
    ("idle", 4, |value, since| if since >= 15 { 0 } else { value }),
    ("keep-alive-own", 9, |value, _| if value > 6 { value - 2 } else { value.min(5) }),
];

fn registered(store: &TagStore) -> Vec<DecayingTag> {
    let decays = [
        Decay::Fixed(3),
        Decay::Linear(0.5),
        Decay::ExpireWhenInactive(SECOND * 15),
        Decay::Custom(Arc::new(|value| if value > 6 { value - 2 } else { value.min(5) })),
    ];
    let register = |((name, interval, _), decay): (&(&str, u64, Step), Decay)| {
        store.register_decaying(name, Duration::from_secs(*interval), decay, Bump::SumUnbounded).unwrap()
    };
    DECAYS.iter().zip(decays).map(register).collect()
}

#[derive(Clone, Debug)]
enum Op {
    Tag(u32, usize, i64),
    Untag(u32, usize),
    Upsert(u32, usize, i64),
    Bounded(u32, usize, i64, i64, i64),
    Bump(u32, usize, i64),
    Unbump(u32, usize),
    Clear(u32),
    Protect(u32, usize),
    Unprotect(u32, usize),
    UnprotectAll(u32),
    Connect(u32, u64),
    Disconnect(u32, u64),
    Grace(Option<u64>),
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let (who, name, owner, id) = (0..6_u32, 0..NAMES.len(), 0..OWNERS.len(), 0..3_u64);
    let value = || prop_oneof![8 => -20..20_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    prop_oneof![
        (who.clone(), name.clone(), value()).prop_map(|(p, t, v)| Op::Tag(p, t, v)),
        (who.clone(), name.clone()).prop_map(|(p, t)| Op::Untag(p, t)),
        (who.clone(), name.clone(), value()).prop_map(|(p, t, v)| Op::Upsert(p, t, v)),
        (who.clone(), name, value(), value(), value()).prop_map(|(p, t, v, a, b)| Op::Bounded(p, t, v, a, b)),
        (who.clone(), 0..DECAYS.len(), -5..40_i64).prop_map(|(p, t, v)| Op::Bump(p, t, v)),
        (who.clone(), 0..DECAYS.len()).prop_map(|(p, t)| Op::Unbump(p, t)),
        who.clone().prop_map(Op::Clear),
        (who.clone(), owner.clone()).prop_map(|(p, o)| Op::Protect(p, o)),
        (who.clone(), owner).prop_map(|(p, o)| Op::Unprotect(p, o)),
        who.clone().prop_map(Op::UnprotectAll),
        (who.clone(), id.clone()).prop_map(|(p, id)| Op::Connect(p, id)),
        (who, id).prop_map(|(p, id)| Op::Disconnect(p, id)),
        prop_oneof![Just(None), (1..90_u64).prop_map(Some)].prop_map(Op::Grace),
        (0..40_u64).prop_map(Op::Wait),
    ]
}

/// A value that decays: what it is, when it decays next, when it was bumped.
type Falling = (i64, u64, u64);

#[derive(Debug, Default)]
struct Known {
    tags: BTreeMap<&'static str, i64>,
    falling: BTreeMap<usize, Falling>,
    protected_by: BTreeSet<&'static str>,
    connections: BTreeSet<u64>,
    since: u64,
    quiet: u64,
}

impl Known {
    fn held(&self) -> bool {
        !(self.tags.is_empty() && self.falling.is_empty() && self.protected_by.is_empty())
    }

    fn names(&self) -> Vec<&'static str> {
        self.tags.keys().copied().chain(self.falling.keys().map(|t| DECAYS[*t].0)).collect()
    }

    fn goes_for_others(&self) -> bool {
        let kept = self.names().iter().any(|name| CommonTags::outlives_connection(name));
        self.held() && !kept && self.protected_by.is_empty() && self.connections.is_empty()
    }
}

#[derive(Debug)]
struct Model {
    now: u64,
    grace: Option<u64>,
    peers: BTreeMap<u32, Known>,
}

impl Model {
    /// One second passes, or none.
    fn tick(&mut self) {
        for known in self.peers.values_mut() {
            for (t, (value, next, bumped)) in &mut known.falling {
                if *next <= self.now {
                    *value = DECAYS[*t].2(*value, self.now - *bumped);
                    *next += DECAYS[*t].1;
                }
            }
            known.falling.retain(|_, (value, ..)| *value > 0);
            let over = self.grace.is_some_and(|grace| self.now - known.quiet >= grace);
            if known.connections.is_empty() && over {
                known.tags.retain(|name, _| CommonTags::outlives_connection(name));
                known.falling.retain(|t, _| CommonTags::outlives_connection(DECAYS[*t].0));
            }
        }
        self.peers.retain(|_, known| known.held() || !known.connections.is_empty());
    }

    fn known(&mut self, p: u32) -> &mut Known {
        let fresh = Known { since: self.now, quiet: self.now, ..Known::default() };
        self.peers.entry(p).or_insert(fresh)
    }

    fn hold(&mut self, p: u32) -> Result<&mut Known, TagError> {
        let held = |known: &Known| known.held();
        if !self.peers.get(&p).is_some_and(held)
            && self.peers.values().filter(|k| held(k)).count() >= LIMITS.peers
        {
            let going = self.peers.iter().filter(|(_, known)| known.goes_for_others());
            let first = going.min_by_key(|(p, known)| (known.quiet, **p)).map(|(p, _)| *p);
            self.peers.remove(&first.ok_or(TagError::Full(LIMITS.peers))?);
        }
        Ok(self.known(p))
    }

    fn set(&mut self, p: u32, t: usize, change: impl FnOnce(i64) -> i64) -> Result<i64, TagError> {
        let now = self.now;
        let known = self.hold(p)?;
        if known.names().len() >= LIMITS.names && !known.tags.contains_key(NAMES[t]) {
            return Err(TagError::PeerFull(LIMITS.names));
        }
        known.quiet = now;
        let value = known.tags.entry(NAMES[t]).or_insert(0);
        *value = change(*value);
        Ok(*value)
    }

    fn bump(&mut self, p: u32, t: usize, delta: i64) -> Result<i64, TagError> {
        let now = self.now;
        let old = self.peers.get(&p).and_then(|known| known.falling.get(&t)).copied();
        let (value, next) = old.map_or((0, now + DECAYS[t].1), |(value, next, _)| (value, next));
        let value = value + delta;
        if value <= 0 {
            self.peers.get_mut(&p).map(|known| known.falling.remove(&t));
            return Ok(0);
        }
        let known = self.hold(p)?;
        if known.names().len() >= LIMITS.names && old.is_none() {
            return Err(TagError::PeerFull(LIMITS.names));
        }
        known.quiet = now;
        known.falling.insert(t, (value, next, now));
        Ok(value)
    }

    fn info(&self, p: u32) -> Option<TagInfo> {
        let known = self.peers.get(&p)?;
        let mut info = TagInfo::default();
        info.tags = known.tags.iter().map(|(name, value)| ((*name).to_string(), *value)).collect();
        for (t, (value, ..)) in &known.falling {
            let sum = info.tags.entry(DECAYS[*t].0.to_string()).or_insert(0);
            *sum = sum.saturating_add(*value);
        }
        info.protected_by = known.protected_by.iter().map(ToString::to_string).collect();
        info.connections.clone_from(&known.connections);
        info.temp = known.connections.is_empty();
        info.age = Duration::from_secs(self.now - known.since);
        Some(info)
    }
}

fn take(model: &mut Model, p: &u32, take: impl FnOnce(&mut Known) -> usize) -> usize {
    model.peers.get_mut(p).map_or(0, take)
}

/// Does one thing to both and compares the answers.
async fn run(op: &Op, store: &TagStore, decaying: &[DecayingTag], model: &mut Model) {
    match op {
        Op::Tag(p, t, v) => {
            assert_eq!(store.tag(&peer(*p), NAMES[*t], *v), model.set(*p, *t, |_| *v).map(drop));
        }
        Op::Untag(p, t) => {
            let same = |s: &usize| DECAYS[*s].0 == NAMES[*t];
            let had = take(model, p, |known| {
                let before = known.names().len();
                known.tags.remove(NAMES[*t]);
                known.falling.retain(|s, _| !same(s));
                before - known.names().len()
            });
            assert_eq!(store.untag(&peer(*p), NAMES[*t]), had > 0);
        }
        Op::Upsert(p, t, v) => {
            let result = store.upsert(&peer(*p), NAMES[*t], |old| old.saturating_add(*v));
            assert_eq!(result, model.set(*p, *t, |old| old.saturating_add(*v)));
        }
        Op::Bounded(p, t, v, a, b) => {
            let result = store.upsert_bounded(&peer(*p), NAMES[*t], *v, *a, *b);
            match a <= b {
                true => assert_eq!(result, model.set(*p, *t, |old| old.saturating_add(*v).clamp(*a, *b))),
                false => assert!(matches!(result, Err(TagError::Bounds { .. }))),
            }
        }
        Op::Bump(p, t, v) => assert_eq!(decaying[*t].bump(&peer(*p), *v), model.bump(*p, *t, *v)),
        Op::Unbump(p, t) => {
            let had = take(model, p, |known| usize::from(known.falling.remove(t).is_some()));
            assert_eq!(decaying[*t].remove(&peer(*p)), had > 0);
        }
        Op::Clear(p) => {
            let had = take(model, p, |known| {
                let had = known.names().len();
                known.tags.clear();
                known.falling.clear();
                had
            });
            assert_eq!(store.clear_peer(&peer(*p)), had);
        }
        Op::Wait(seconds) => {
            tokio::time::advance(SECOND * u32::try_from(*seconds).unwrap()).await;
            for _ in 0..*seconds {
                model.now += 1;
                model.tick();
            }
        }
        _ => run_others(op, store, model),
    }
    model.tick();
}

/// The same for what is about protections and connections.
fn run_others(op: &Op, store: &TagStore, model: &mut Model) {
    match op {
        Op::Protect(p, o) => {
            let result = model.hold(*p).and_then(|known| {
                if known.protected_by.len() >= LIMITS.names && !known.protected_by.contains(OWNERS[*o]) {
                    return Err(TagError::PeerFull(LIMITS.names));
                }
                known.protected_by.insert(OWNERS[*o]);
                Ok(())
            });
            assert_eq!(store.protect(&peer(*p), OWNERS[*o]), result);
        }
        Op::Unprotect(p, o) => {
            let left = take(model, p, |known| {
                known.protected_by.remove(OWNERS[*o]);
                known.protected_by.len()
            });
            assert_eq!(store.unprotect(&peer(*p), OWNERS[*o]), left > 0);
        }
        Op::UnprotectAll(p) => {
            let had = take(model, p, |known| std::mem::take(&mut known.protected_by).len());
            assert_eq!(store.unprotect_all(&peer(*p)), had);
        }
        Op::Connect(p, id) => {
            store.record_connection(&peer(*p), *id);
            model.known(*p).connections.insert(*id);
        }
        Op::Disconnect(p, id) => {
            let now = model.now;
            let had = take(model, p, |known| {
                let had = known.connections.remove(id);
                if had && known.connections.is_empty() {
                    known.quiet = now;
                }
                had.into()
            });
            assert_eq!(store.remove_connection(&peer(*p), *id), had > 0);
        }
        Op::Grace(grace) => {
            store.set_grace(grace.map(Duration::from_secs));
            model.grace = *grace;
        }
        _ => unreachable!("{op:?}"),
    }
}

fn compare(store: &TagStore, decaying: &[DecayingTag], model: &Model) {
    let mut held = Vec::new();
    for p in 0..6 {
        let info = model.info(p);
        assert_eq!(store.info(&peer(p)), info);
        assert_eq!(store.value(&peer(p)), info.as_ref().map_or(0, TagInfo::value));
        let known = model.peers.get(&p);
        for (t, tag) in decaying.iter().enumerate() {
            let value = known.and_then(|known| known.falling.get(&t)).map(|(value, ..)| *value);
            assert_eq!(tag.value(&peer(p)), value);
        }
        for name in NAMES {
            assert_eq!(store.get(&peer(p), name), info.as_ref().and_then(|i| i.tags.get(name).copied()));
        }
        held.extend(known.filter(|known| known.held()).and(info).map(|info| (peer(p), info)));
    }
    assert_eq!(store.len(), held.len());
    let protected = held.iter().filter(|(_, info)| !info.protected_by.is_empty());
    assert_eq!(store.protected_peers(), protected.map(|(peer, _)| *peer).collect::<Vec<_>>());
    let kept = |info: &TagInfo| info.tags.keys().any(|name| CommonTags::outlives_connection(name));
    let kept = held.iter().filter(|(_, info)| kept(info)).map(|(peer, _)| *peer);
    assert_eq!(store.tagged(CommonTags::outlives_connection), kept.collect::<Vec<_>>());
    held.sort_by_key(|(_, info)| (info.protected_by.is_empty(), Reverse(info.value())));
    assert_eq!(store.top(9), held);
    assert_eq!(store.top(2), held.into_iter().take(2).collect::<Vec<_>>());
    let table = store.0.lock();
    table.check();
    assert_eq!(table.peers.len(), model.peers.len());
}

proptest! {
    #[test]
    fn the_store_does_what_the_model_does(ops in proptest::collection::vec(op(), 0..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let store = TagStore::with_limits(Some(SECOND * 60), LIMITS);
            let decaying = registered(&store);
            let mut model = Model { now: 0, grace: Some(60), peers: BTreeMap::new() };
            for op in &ops {
                run(op, &store, &decaying, &mut model).await;
                compare(&store, &decaying, &model);
            }
        });
    }
}
