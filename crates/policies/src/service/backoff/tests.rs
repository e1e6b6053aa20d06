use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const SCHEDULE: Schedule =
    Schedule { first: Duration::from_secs(300), factor: 2.0, max: Duration::from_secs(3_600), jitter: 0.0 };

#[test]
fn the_wait_doubles_up_to_the_cap() {
    let waits: Vec<_> = [0, 1, 2, 3, 4, 5, 6, u32::MAX].map(|n| SCHEDULE.base(n).as_secs()).into();
    assert_eq!(waits, [0, 300, 600, 1_200, 2_400, 3_600, 3_600, 3_600]);
}

/// One thing that happens to one of a few peers.
#[derive(Clone, Copy, Debug)]
enum Step {
    Fail(usize),
    Pause(usize, u64),
    Resume(usize),
    Forget(usize),
    Clear,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let peer = 0..6_usize;
    prop_oneof![
        4 => peer.clone().prop_map(Step::Fail),
        2 => (peer.clone(), 1..5_000_u64).prop_map(|(peer, secs)| Step::Pause(peer, secs)),
        1 => peer.clone().prop_map(Step::Resume),
        1 => peer.prop_map(Step::Forget),
        1 => Just(Step::Clear),
        3 => (0..4_000_u64).prop_map(Step::Wait),
    ]
}

/// What the table should know of a peer: failures, and the two ends in seconds.
type Known = HashMap<usize, (u32, u64, u64)>;

fn apply(
    step: Step,
    table: &mut Backoffs,
    known: &mut Known,
    peers: &[PeerId],
    start: Instant,
    at: &mut u64,
) {
    let now = start + Duration::from_secs(*at);
    match step {
        Step::Fail(n) => {
            let (failures, failed, _) = known.entry(n).or_default();
            *failures += 1;
            *failed = *at + SCHEDULE.base(*failures).as_secs();
            table.fail(&peers[n], "refused", 0, now);
        }
        Step::Pause(n, secs) => {
            let paused = &mut known.entry(n).or_default().2;
            *paused = (*paused).max(*at + secs);
            table.pause(&peers[n], "denied", Duration::from_secs(secs), now);
        }
        Step::Resume(n) => {
            if let Some((_, _, paused)) = known.get_mut(&n) {
                *paused = 0;
            }
            table.resume(&peers[n], now);
        }
        Step::Forget(n) => assert_eq!(table.forget(&peers[n]), known.remove(&n).is_some()),
        Step::Clear => {
            table.clear();
            known.clear();
        }
        Step::Wait(secs) => *at += secs,
    }
}

proptest! {
    #[test]
    fn waits_grow_up_to_the_cap_and_stay_within_their_jitter(
        first in 1..10_000_u64, factor in 1.0..10.0_f64, max in 10_000..10_000_000_u64, jitter in 0.0..=1.0_f64,
        failures in 1..200_u32, seed in any::<u64>(),
    ) {
        let (first, max) = (Duration::from_millis(first), Duration::from_millis(max));
        let schedule = Schedule { first, factor, max, jitter };
        let base = schedule.base(failures);
        prop_assert!(base >= first && base <= max);
        prop_assert!(schedule.base(failures + 1) >= base);
        let wait = schedule.after(failures, &Random::seeded(seed)).as_secs_f64();
        let base = base.as_secs_f64();
        prop_assert!(wait >= base * (1.0 - jitter) - 1e-6 && wait <= base * (1.0 + jitter) + 1e-6);
    }

    #[test]
    fn the_table_knows_what_happened(steps in prop::collection::vec(step(), 1..80)) {
        let peers: Vec<_> = (0..6).map(skep_testkit::node::peer).collect();
        let (start, mut at, mut known) = (Instant::now(), 0, Known::new());
        let mut table = Backoffs::new(SCHEDULE, 6, Random::seeded(1));
        for step in steps {
            apply(step, &mut table, &mut known, &peers, start, &mut at);
            let now = start + Duration::from_secs(at);
            for (n, peer) in peers.iter().enumerate() {
                let (failures, failed, paused) = known.get(&n).copied().unwrap_or_default();
                let end = failed.max(paused);
                let until = (end > at).then(|| start + Duration::from_secs(end));
                prop_assert_eq!((table.failures(peer), table.until(peer, now)), (failures, until));
            }
            let alone = known.values().filter(|known| known.1.max(known.2) > at).count();
            prop_assert_eq!(table.list(now).count(), alone);
        }
    }

    #[test]
    fn the_table_is_bounded_and_the_longest_untouched_go(
        most in 1..8_usize, touched in prop::collection::vec(0..20_u64, 1..60),
    ) {
        let now = Instant::now();
        let mut table = Backoffs::new(SCHEDULE, most, Random::seeded(1));
        for n in &touched {
            table.fail(&skep_testkit::node::peer(*n), "refused", 0, now);
            prop_assert!(table.list(now).count() <= most);
        }
        let mut last: Vec<u64> = Vec::new();
        for n in touched.iter().rev() {
            if last.len() < most && !last.contains(n) {
                last.push(*n);
            }
        }
        let left: Vec<_> = table.list(now).map(|cooldown| cooldown.peer).collect();
        let expected: Vec<_> = last.iter().map(|n| skep_testkit::node::peer(*n)).collect();
        prop_assert_eq!(left, expected);
    }
}

#[test]
fn a_successor_takes_over_what_was_learnt() {
    let (now, peers) = (Instant::now(), [1, 2, 3].map(skep_testkit::node::peer));
    let mut old = Backoffs::new(SCHEDULE, 8, Random::seeded(1));
    for peer in &peers {
        old.fail(peer, "refused", 0, now);
    }
    let mut new = Backoffs::new(SCHEDULE, 2, Random::seeded(1));
    new.take_over(&old);
    let left: Vec<_> = new.list(now).map(|cooldown| (cooldown.peer, cooldown.failures)).collect();
    assert_eq!(left, [(peers[2], 1), (peers[1], 1)]);
    assert_eq!(new.fail(&peers[2], "refused", 0, now).as_secs(), 600);
    assert_eq!(new.fail(&peers[1], "short_lived", 3, now).as_secs(), 2_400);
}
