use super::*;
use proptest::prelude::*;

fn backoff(entries: u32) -> Backoff {
    let secs = Duration::from_secs;
    Backoff::new(Curve { base: secs(5), step: secs(1), max: secs(300) }, entries)
}

fn addr(n: u32) -> Multiaddr {
    let [a, b, c, d] = n.to_be_bytes();
    format!("/ip4/{}.{b}.{c}.{d}/tcp/1", 1 + a % 100).parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_failure_adds_its_square() {
    let (backoff, addr) = (backoff(10), addr(1));
    let mut waits = Vec::new();
    for _ in 0..20 {
        let now = Instant::now();
        backoff.failed(None, &addr, "refused", now);
        let left = backoff.check(None, &addr, now).unwrap().until - now;
        waits.push(left.as_secs());
        tokio::time::advance(left).await;
        assert!(backoff.check(None, &addr, Instant::now()).is_none());
    }
    assert_eq!(waits[..5], [6, 9, 14, 21, 30]);
    assert_eq!(waits[17..], [300, 300, 300]);
}

#[tokio::test(start_paused = true)]
async fn a_success_or_a_long_time_starts_the_count_anew() {
    let (backoff, addr) = (backoff(10), addr(1));
    let fail = || {
        backoff.failed(None, &addr, "refused", Instant::now());
        backoff.check(None, &addr, Instant::now()).unwrap().count
    };
    assert_eq!((fail(), fail()), (1, 2));
    backoff.succeeded(None, &addr);
    assert_eq!(fail(), 1);
    tokio::time::advance(Duration::from_secs(6 + 300)).await;
    assert_eq!(fail(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_liar_does_not_keep_others_from_being_dialled() {
    let backoff = backoff(10);
    let (liar, honest) = (PeerId::random(), PeerId::random());
    backoff.failed(Some(liar), &addr(1), "wrong_peer", Instant::now());
    assert!(backoff.check(Some(liar), &addr(1), Instant::now()).is_some());
    assert!(backoff.check(Some(honest), &addr(1), Instant::now()).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_dead_address_costs_a_bounded_number_of_tries_an_hour() {
    let (backoff, addr) = (backoff(10), addr(1));
    let begun = Instant::now();
    let mut tries = 0;
    while begun.elapsed() < Duration::from_secs(3600) {
        if backoff.check(None, &addr, Instant::now()).is_none() {
            tries += 1;
            backoff.failed(None, &addr, "timed_out", Instant::now());
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    // 17 while the wait grows to five minutes, which takes 31 minutes, and one every five after that.
    assert_eq!(tries, 23);
}

#[tokio::test(start_paused = true)]
async fn a_million_failing_peers_leave_both_tables_at_their_caps() {
    let (backoff, negative) = (backoff(1000), Negative::new(Duration::from_secs(30), 500));
    let key = [7_u8; 32];
    for n in 0..1_000_000_u32 {
        let mut key = key;
        key[..4].copy_from_slice(&n.to_be_bytes());
        let hash = skep_api::multiaddr::multihash::Multihash::<64>::wrap(0, &key).unwrap();
        let (peer, addr) = (PeerId::from_multihash(hash).unwrap(), addr(n));
        backoff.failed(Some(peer), &addr, "refused", Instant::now());
        negative.failed(peer, [&addr], "refused", Instant::now());
    }
    assert_eq!((backoff.len(), negative.len()), (1000, 500));
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!((backoff.list(Instant::now()).len(), negative.list(Instant::now()).len()), (0, 0));
    assert_eq!((backoff.len(), negative.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_left_alone_until_it_has_a_new_address() {
    let negative = Negative::new(Duration::from_secs(30), 10);
    let peer = PeerId::random();
    let now = Instant::now();
    negative.failed(peer, [&addr(1), &addr(2)], "refused", now);
    assert_eq!(negative.check(&peer, &[addr(1)], now).unwrap().last, "refused");
    assert!(negative.check(&peer, &[addr(1), addr(3)], now).is_none());
    assert!(negative.check(&peer, &[addr(1)], now).is_none(), "the new address has cleared it");

    negative.failed(peer, [&addr(1)], "refused", now);
    negative.forget_peer(&peer);
    assert!(negative.check(&peer, &[addr(1)], now).is_none());
    negative.failed(peer, [&addr(1)], "refused", now);
    assert!(negative.check(&peer, &[addr(1)], now + Duration::from_secs(30)).is_none());
    let never = Negative::new(Duration::ZERO, 10);
    never.failed(peer, [&addr(1)], "refused", now);
    assert!(never.check(&peer, &[addr(1)], now).is_none());
}

#[derive(Clone, Debug)]
enum Op {
    Fail(u32),
    Succeed(u32),
    Forget(u32),
    Time(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..6_u32).prop_map(Op::Fail),
        1 => (0..6_u32).prop_map(Op::Succeed),
        1 => (0..6_u32).prop_map(Op::Forget),
        3 => (0..400_u64).prop_map(Op::Time),
    ]
}

proptest! {
    /// Against a plain list of failures: the same wait for each address, whatever the order of events.
    #[test]
    fn it_does_what_its_formula_says(ops in proptest::collection::vec(op(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _guard = runtime.enter();
        let backoff = backoff(100);
        let mut now = Instant::now();
        let mut model: std::collections::HashMap<u32, (u64, Instant)> = std::collections::HashMap::new();
        for op in ops {
            match op {
                Op::Time(secs) => now += Duration::from_secs(secs),
                Op::Fail(n) => {
                    backoff.failed(None, &addr(n), "refused", now);
                    let before = model.get(&n).filter(|(_, until)| now < *until + Duration::from_secs(300));
                    let count = before.map_or(1, |(count, _)| count + 1);
                    let wait = Duration::from_secs((5 + count * count).min(300));
                    model.insert(n, (count, now + wait));
                }
                Op::Succeed(n) => {
                    backoff.succeeded(None, &addr(n));
                    model.remove(&n);
                }
                Op::Forget(n) => {
                    backoff.forget(now, |_, a| *a == addr(n));
                    model.remove(&n);
                }
            }
            for n in 0..6 {
                let expected = model.get(&n).map(|(_, until)| *until).filter(|until| now < *until);
                prop_assert_eq!(backoff.check(None, &addr(n), now).map(|f| f.until), expected);
            }
            prop_assert_eq!(backoff.list(now).len(), model.values().filter(|(_, until)| now < *until).count());
        }
    }
}
