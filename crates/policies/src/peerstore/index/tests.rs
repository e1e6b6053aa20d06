use super::*;
use proptest::prelude::*;
use skep_api::Keypair;

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> Limits {
    Limits {
        peers: 4,
        addrs: 10,
        addrs_per_peer: 4,
        records: 3,
        protocols_per_peer: 2,
        metadata_per_peer: 8,
        temporary: Duration::from_secs(120),
        recently_connected: Duration::from_secs(900),
    }
}

fn index() -> Index {
    Index::new(limits(), None)
}

/// Peers that are cheap to make.
fn peer(n: u32) -> PeerId {
    let mut bytes = vec![0, 36, 8, 1, 18, 32];
    bytes.extend([0; 28]);
    bytes.extend(n.to_be_bytes());
    PeerId::from_bytes(&bytes).unwrap()
}

fn addr(n: u16) -> Multiaddr {
    format!("/ip4/192.0.2.1/tcp/{n}").parse().unwrap()
}

fn texts(index: &mut Index, peer: &PeerId, now: Instant) -> Vec<String> {
    index.addrs(peer, now).iter().map(|known| known.addr.to_string()).collect()
}

/// Every table agrees with what is known, and is at or below its cap.
fn check(index: &mut Index, now: Instant) {
    let stats = index.stats(now);
    assert!(stats.peers <= stats.max_peers && stats.addrs <= stats.max_addrs, "{stats:?}");
    assert!(stats.records <= stats.max_records, "{stats:?}");
    assert_eq!(index.order.len(), index.peers.len());
    assert_eq!(index.addrs, index.peers.values().map(|e| e.addrs.len()).sum::<usize>());
    let ends: BTreeSet<_> =
        index.peers.iter().filter_map(|(peer, e)| Some((e.addrs.next_end()?, *peer))).collect();
    assert_eq!(index.ends, ends);
    for (peer, entry) in &index.peers {
        assert!(!entry.is_empty() && index.order.get(&entry.rank()) == Some(peer));
        assert_eq!(index.recorded.contains_key(&entry.rank()), entry.record.is_some());
        assert!(entry.addrs.len() <= 4 && entry.protocols.len() <= 2);
        assert!(entry.addrs.iter().all(|held| held.expires.is_none_or(|end| end > now)));
    }
}

#[test]
fn a_peer_at_the_end_of_an_address_is_taken_off_and_others_are_left_out() {
    let (mut index, now) = (index(), Instant::now());
    let (us, other) = (peer(1), peer(2));
    let named = |text: &str, peer: &PeerId| format!("{text}/p2p/{peer}").parse::<Multiaddr>().unwrap();
    let relayed = format!("/ip4/192.0.2.9/tcp/1/p2p/{other}/p2p-circuit");
    let given = [
        named("/ip4/192.0.2.1/tcp/1", &us),
        named("/ip4/192.0.2.2/tcp/1", &other),
        named(&relayed, &us),
        named("", &us),
        format!("/dns4/{}/tcp/1", "a".repeat(2_000)).parse().unwrap(),
    ];
    index.add_addrs(&us, &given, Ttl::Temporary, now);
    assert_eq!(texts(&mut index, &us, now), ["/ip4/192.0.2.1/tcp/1", &relayed]);
    index.remove_addrs(&us, &[given[0].clone(), relayed.parse().unwrap()], now);
    assert_eq!(index.peers(now), []);
}

#[test]
fn the_longer_of_two_times_counts_and_a_reclass_may_shorten() {
    let (mut index, now, us) = (index(), Instant::now(), peer(1));
    let kept = |index: &mut Index, at| index.addrs(&us, at).first().map(|known| (known.ttl, known.left));
    index.add_addrs(&us, &[addr(1)], Ttl::RecentlyConnected, now);
    index.add_addrs(&us, &[addr(1)], Ttl::Temporary, now + SECOND * 100);
    assert_eq!(kept(&mut index, now), Some((Ttl::RecentlyConnected, Some(SECOND * 900))));
    let later = now + SECOND * 850;
    index.add_addrs(&us, &[addr(1)], Ttl::Temporary, later);
    assert_eq!(kept(&mut index, later), Some((Ttl::Temporary, Some(SECOND * 120))));
    index.add_addrs(&us, &[addr(1)], Ttl::Connected, later);
    index.add_addrs(&us, &[addr(1)], Ttl::For(Duration::MAX), later);
    assert_eq!(kept(&mut index, later), Some((Ttl::Connected, None)));
    index.reclass(&us, Ttl::Temporary, Ttl::Permanent, later);
    index.reclass(&us, Ttl::Connected, Ttl::For(SECOND), later);
    assert_eq!(kept(&mut index, later), Some((Ttl::For(SECOND), Some(SECOND))));
    index.reclass(&us, Ttl::For(SECOND * 9), Ttl::Permanent, later);
    index.add_addrs(&us, &[addr(1)], Ttl::Connected, later);
    assert_eq!(kept(&mut index, later), Some((Ttl::Permanent, None)));
    index.reclass(&us, Ttl::Permanent, Ttl::For(Duration::ZERO), later);
    assert_eq!(index.peers(later), []);
}

#[test]
fn an_address_ends_at_its_time_and_nothing_is_left_of_it() {
    let (mut index, now, us) = (index(), Instant::now(), peer(1));
    index.add_addrs(&us, &[addr(1)], Ttl::Temporary, now);
    index.add_addrs(&us, &[addr(2)], Ttl::For(SECOND), now);
    assert_eq!(index.addrs(&us, now + SECOND - Duration::from_millis(1)).len(), 2);
    assert_eq!(texts(&mut index, &us, now + SECOND), ["/ip4/192.0.2.1/tcp/1"]);
    assert_eq!(index.stats(now + SECOND * 120).peers, 0);
    check(&mut index, now + SECOND * 120);
    index.add_addrs(&us, &[addr(2)], Ttl::For(Duration::ZERO), now);
    assert_eq!(index.peers(now), []);
}

#[test]
fn peers_that_nobody_needs_go_first_the_longest_untouched_before_others() {
    let (mut index, now) = (index(), Instant::now());
    index.add_addrs(&peer(1), &[addr(1)], Ttl::Connected, now);
    index.add_addrs(&peer(2), &[addr(1)], Ttl::Permanent, now);
    index.add_addrs(&peer(3), &[addr(1)], Ttl::Temporary, now);
    index.add_addrs(&peer(4), &[addr(1)], Ttl::Temporary, now);
    index.record_latency(&peer(3), SECOND, now);
    index.add_addrs(&peer(5), &[addr(1)], Ttl::Temporary, now);
    assert_eq!(index.peers(now), [peer(1), peer(2), peer(3), peer(5)]);
    index.add_addrs(&peer(6), &[addr(1)], Ttl::Connected, now);
    index.add_addrs(&peer(7), &[addr(1)], Ttl::Connected, now);
    assert_eq!(index.peers(now), [peer(1), peer(2), peer(6), peer(7)]);
    // All are needed: one that is not does not get in, and one that is pushes out the longest untouched.
    index.add_addrs(&peer(8), &[addr(1)], Ttl::Temporary, now);
    index.add_addrs(&peer(9), &[addr(1)], Ttl::Connected, now);
    assert_eq!(index.peers(now), [peer(2), peer(6), peer(7), peer(9)]);
    check(&mut index, now);
}

#[test]
fn beyond_the_cap_of_one_peer_the_address_that_ends_first_goes() {
    let (mut index, now, us) = (index(), Instant::now(), peer(1));
    index.add_addrs(&us, &[addr(1), addr(2)], Ttl::Permanent, now);
    index.add_addrs(&us, &[addr(3), addr(4)], Ttl::RecentlyConnected, now);
    let mut news = index.subscribe(&us);
    index.add_addrs(&us, &[addr(5)], Ttl::Temporary, now);
    assert!(news.try_recv().is_err(), "what is not kept is not told");
    index.add_addrs(&us, &[addr(6)], Ttl::For(SECOND * 9_000), now);
    assert_eq!(news.try_recv().unwrap(), addr(6));
    let ports: Vec<_> = texts(&mut index, &us, now).iter().map(|t| t[t.len() - 1..].to_string()).collect();
    assert_eq!(ports, ["1", "2", "4", "6"]);
}

#[test]
fn records_are_replaced_by_newer_ones_alone_and_certify_their_addresses() {
    let (mut index, now) = (index(), Instant::now());
    let key = Keypair::generate_ed25519();
    let us = key.public().to_peer_id();
    let record = |seq, n| SignedRecord::sign(&key, seq, &[addr(n)]).unwrap();
    assert!(index.put_record(&record(5, 1), now));
    assert!(!index.put_record(&record(5, 2), now) && !index.put_record(&record(4, 3), now));
    let known = index.addrs(&us, now);
    assert_eq!((known.len(), known[0].certified, known[0].left), (1, true, Some(SECOND * 3_600)));
    assert!(index.put_record(&record(6, 1), now + SECOND));
    let entry = index.get(&us, now).unwrap();
    assert_eq!((entry.record.as_ref().unwrap().seq(), entry.key.clone()), (6, Some(key.public())));
    let long = vec!["/dns4/a.example/tcp/1".parse().unwrap(); 1_000];
    assert!(!index.put_record(&SignedRecord::sign(&key, 7, &long).unwrap(), now));
}

#[test]
fn beyond_the_cap_of_records_the_longest_untouched_peer_loses_its_own() {
    let (mut index, now) = (index(), Instant::now());
    let records: Vec<_> =
        (0..4).map(|_| SignedRecord::sign(&Keypair::generate_ed25519(), 1, &[addr(1)]).unwrap()).collect();
    for record in &records {
        assert!(index.put_record(record, now));
    }
    assert_eq!(index.stats(now).records, 3);
    assert!(index.get(&records[0].peer(), now).unwrap().record.is_none());
    check(&mut index, now);
}

#[test]
fn latencies_are_averaged() {
    let (mut index, now, us) = (index(), Instant::now(), peer(1));
    index.record_latency(&us, Duration::from_millis(100), now);
    index.record_latency(&us, Duration::from_millis(200), now);
    assert_eq!(index.get(&us, now).unwrap().latency, Some(Duration::from_millis(110)));
    index.record_latency(&us, Duration::MAX, now);
}

#[test]
fn a_million_peers_leave_every_table_at_its_cap() {
    let caps = Limits { peers: 500, addrs: 800, ..limits() };
    let (mut index, start) = (Index::new(caps, None), Instant::now());
    let addrs = [addr(1)];
    for n in 0..1_000_000 {
        let now = start + Duration::from_micros(n.into());
        index.add_addrs(&peer(n), &addrs, Ttl::Temporary, now);
        if n % 10_000 == 0 {
            let stats = index.stats(now);
            assert!(stats.peers <= 500 && stats.addrs <= 800, "{stats:?}");
        }
    }
    assert_eq!((index.peers.len(), index.addrs, index.ends.len(), index.order.len()), (500, 500, 500, 500));
    let room = index.peers.capacity();
    assert!(room < 4_000, "{room}");
}

#[test]
fn what_comes_and_goes_between_two_writes_leaves_nothing_to_write() {
    let (mut index, now) = (Index::new(limits(), Some(Journal::default())), Instant::now());
    for n in 0..10_000 {
        index.add_addrs(&peer(n), &[addr(1)], Ttl::Temporary, now);
    }
    assert_eq!(index.take_pending(now).peers.len(), 4);
}

#[derive(Clone, Debug)]
enum Step {
    Add(u32, u16, Ttl),
    Reclass(u32, Ttl, Ttl),
    Remove(u32, u16),
    Latency(u32),
    Forget(u32),
    Wait(u64),
}

fn ttl() -> impl Strategy<Value = Ttl> {
    prop_oneof![
        Just(Ttl::Temporary),
        Just(Ttl::RecentlyConnected),
        Just(Ttl::Connected),
        Just(Ttl::Permanent),
        (0..300_u64).prop_map(|s| Ttl::For(Duration::from_secs(s))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..8_u32, 0..6_u16, ttl()).prop_map(|(p, a, t)| Step::Add(p, a, t)),
        1 => (0..8_u32, ttl(), ttl()).prop_map(|(p, f, t)| Step::Reclass(p, f, t)),
        1 => (0..8_u32, 0..6_u16).prop_map(|(p, a)| Step::Remove(p, a)),
        1 => (0..8_u32).prop_map(Step::Latency),
        1 => (0..8_u32).prop_map(Step::Forget),
        1 => (0..200_u64).prop_map(Step::Wait),
    ]
}

/// One peer's addresses with their ends, as plainly as can be.
type Model = BTreeMap<u16, (Ttl, Option<Instant>)>;

fn end(ttl: Ttl, now: Instant) -> Option<Instant> {
    limits().time_to_live(ttl).map(|time| now + time)
}

fn lasts((ttl, end): (Ttl, Option<Instant>)) -> (bool, bool, Option<Instant>) {
    (ttl == Ttl::Permanent, end.is_none(), end)
}

fn step_model(model: &mut Model, step: &Step, now: Instant) {
    match *step {
        Step::Add(0, a, ttl) => {
            let new = (ttl, end(ttl, now));
            if new.1.is_none_or(|end| end > now) {
                let held = model.entry(a).or_insert(new);
                *held = if lasts(new) > lasts(*held) { new } else { *held };
            }
        }
        Step::Reclass(0, from, to) => {
            let class = std::mem::discriminant(&from);
            for held in model.values_mut().filter(|held| std::mem::discriminant(&held.0) == class) {
                *held = (to, end(to, now));
            }
        }
        Step::Remove(0, a) => drop(model.remove(&a)),
        Step::Forget(0) => model.clear(),
        _ => {}
    }
    model.retain(|_, (_, end)| end.is_none_or(|end| end > now));
}

fn run(index: &mut Index, step: &Step, now: Instant) {
    match *step {
        Step::Add(p, a, ttl) => index.add_addrs(&peer(p), &[addr(a)], ttl, now),
        Step::Reclass(p, from, to) => index.reclass(&peer(p), from, to, now),
        Step::Remove(p, a) => index.remove_addrs(&peer(p), &[addr(a)], now),
        Step::Latency(p) => index.record_latency(&peer(p), SECOND, now),
        Step::Forget(p) => index.forget(&peer(p), now),
        Step::Wait(_) => {}
    }
}

proptest! {
    #[test]
    fn tables_agree_and_stay_within_their_caps(steps in proptest::collection::vec(step(), 0..80)) {
        let (mut index, mut now) = (index(), Instant::now());
        for step in &steps {
            if let Step::Wait(seconds) = step {
                now += SECOND * u32::try_from(*seconds).unwrap();
            }
            run(&mut index, step, now);
            check(&mut index, now);
        }
    }

    #[test]
    fn without_caps_the_addresses_are_those_of_the_model(steps in proptest::collection::vec(step(), 0..80)) {
        let wide = Limits { peers: 100, addrs: 1_000, addrs_per_peer: 100, ..limits() };
        let (mut index, mut model, mut now) = (Index::new(wide, None), Model::new(), Instant::now());
        for step in &steps {
            if let Step::Wait(seconds) = step {
                now += SECOND * u32::try_from(*seconds).unwrap();
            }
            run(&mut index, step, now);
            step_model(&mut model, step, now);
            let mut known: Vec<_> =
                index.addrs(&peer(0), now).into_iter().map(|k| (k.addr.to_string(), k.ttl, k.left)).collect();
            known.sort_by(|a, b| a.0.cmp(&b.0));
            let expected: Vec<_> = model
                .iter()
                .map(|(a, (ttl, end))| (addr(*a).to_string(), *ttl, end.map(|end| end - now)))
                .collect();
            prop_assert_eq!(known, expected);
        }
    }

    #[test]
    fn the_journal_leads_a_file_to_what_is_known(
        rounds in proptest::collection::vec(
            (proptest::collection::vec(step(), 0..12), any::<bool>()), 0..12,
        ),
    ) {
        let (mut index, mut now) = (Index::new(limits(), Some(Journal::default())), Instant::now());
        let mut file = BTreeSet::new();
        for (steps, fails) in &rounds {
            for step in steps {
                if let Step::Wait(seconds) = step {
                    now += SECOND * u32::try_from(*seconds).unwrap();
                }
                run(&mut index, step, now);
            }
            let pending = index.take_pending(now);
            prop_assert!(pending.peers.len() <= file.len() + limits().peers);
            let before = file.clone();
            if pending.all {
                file.clear();
            }
            for peer in &pending.peers {
                match index.stored(peer) {
                    Some(_) => file.insert(*peer),
                    None => file.remove(peer),
                };
            }
            if *fails {
                file = before;
                index.lost();
            } else {
                prop_assert_eq!(file.iter().copied().collect::<Vec<_>>(), index.peers(now));
            }
        }
    }
}
