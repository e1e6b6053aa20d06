use super::*;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

fn ms(n: u32) -> Duration {
    MS * n
}

fn runners(gaps: &[Option<u32>]) -> Vec<Runner> {
    gaps.iter().enumerate().map(|(line, gap)| Runner { line, gap: gap.map(ms) }).collect()
}

fn race(limit: usize, gaps: &[Option<u32>], now: Instant) -> Race {
    let mut race = Race::new(limit, now);
    race.line_up(runners(gaps));
    race
}

#[tokio::test]
async fn addresses_start_at_the_rankers_pace() {
    let zero = Instant::now();
    let mut race = race(8, &[Some(0), Some(250), Some(0)], zero);
    assert_eq!(race.next(zero), Step::Start(0));
    assert_eq!(race.next(zero), Step::WaitUntil(zero + ms(250)));
    assert_eq!(race.next(zero + ms(249)), Step::WaitUntil(zero + ms(250)));
    assert_eq!(race.next(zero + ms(250)), Step::Start(1));
    assert_eq!(race.next(zero + ms(250)), Step::Start(2));
    assert_eq!(race.next(zero + ms(250)), Step::Empty);
}

#[tokio::test]
async fn a_failure_starts_the_next_at_once_and_one_only() {
    let zero = Instant::now();
    let mut race = race(8, &[Some(0), Some(250), Some(250)], zero);
    assert_eq!(race.next(zero), Step::Start(0));
    race.failed();
    assert_eq!(race.next(zero + ms(10)), Step::Start(1));
    assert_eq!(race.next(zero + ms(10)), Step::WaitUntil(zero + ms(260)));
}

#[tokio::test]
async fn a_handshake_under_way_holds_the_next_back() {
    let zero = Instant::now();
    let mut race = race(8, &[Some(0), Some(250), Some(0)], zero);
    assert_eq!(race.next(zero), Step::Start(0));
    race.connected(ms(250), zero + ms(200));
    assert_eq!(race.next(zero + ms(250)), Step::WaitUntil(zero + ms(450)));
    // But not when it fails.
    race.failed();
    assert_eq!(race.next(zero + ms(250)), Step::Start(1));
}

#[tokio::test]
async fn what_waits_for_a_failure_waits_for_it() {
    let zero = Instant::now();
    let mut race = race(8, &[Some(0), None, None], zero);
    assert_eq!(race.next(zero), Step::Start(0));
    assert_eq!(race.next(zero + ms(60_000)), Step::Wait);
    race.failed();
    assert_eq!(race.next(zero + ms(60_000)), Step::Start(1));
    // Nobody runs any more, with or without a failure.
    race.ended();
    assert_eq!(race.next(zero + ms(60_000)), Step::Start(2));
}

#[tokio::test]
async fn a_first_address_that_should_wait_does_not() {
    let zero = Instant::now();
    assert_eq!(race(8, &[None], zero).next(zero), Step::Start(0));
    assert_eq!(race(8, &[Some(500)], zero).next(zero), Step::Start(0));
}

/// What can happen to a race.
#[derive(Clone, Debug)]
enum Happens {
    Time(u32),
    Fails(prop::sample::Index),
    /// One that runs ends without a failure: it is put back, goes to the end of the line, or is gone.
    Ends(prop::sample::Index, u8),
    /// One that failed is tried again.
    Retries,
    Connects(u32),
    LinesUp(Vec<Option<u32>>),
}

fn happens() -> impl Strategy<Value = Happens> {
    let gap = prop::option::of(0..500_u32);
    prop_oneof![
        (0..400_u32).prop_map(Happens::Time),
        any::<prop::sample::Index>().prop_map(Happens::Fails),
        (any::<prop::sample::Index>(), 0..3_u8).prop_map(|(i, how)| Happens::Ends(i, how)),
        Just(Happens::Retries),
        (0..300_u32).prop_map(Happens::Connects),
        prop::collection::vec(gap, 0..6).prop_map(Happens::LinesUp),
    ]
}

proptest! {
    /// Whatever happens: never more than the limit run, each starts once, and there is always a way on.
    #[test]
    fn it_never_stalls_and_never_exceeds_the_limit(
        limit in 1..5_usize,
        first in prop::collection::vec(prop::option::of(0..500_u32), 0..10),
        story in prop::collection::vec(happens(), 0..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _guard = runtime.enter();
        let mut now = Instant::now();
        let mut race = Race::new(limit, now);
        let mut next_line = 0;
        let mut line_up = |race: &mut Race, waiting: usize, gaps: Vec<Option<u32>>| {
            let kept: Vec<_> = race.waiting.iter().copied().take(waiting).collect();
            let fresh = gaps.into_iter().map(|gap| { next_line += 1; Runner { line: next_line, gap: gap.map(ms) } });
            race.line_up(kept.into_iter().chain(fresh));
        };
        line_up(&mut race, 0, first);
        let (mut running, mut seen) = (Vec::new(), Vec::new());
        let mut next_retry = 1_000_000;
        for event in story {
            match event {
                Happens::Time(by) => now += ms(by),
                Happens::Fails(which) if !running.is_empty() => {
                    running.swap_remove(which.index(running.len()));
                    race.failed();
                }
                Happens::Ends(which, how) if !running.is_empty() => {
                    let line = running.swap_remove(which.index(running.len()));
                    race.ended();
                    match how {
                        0 => race.put_back(line),
                        1 => race.line_up_last(line),
                        _ => {}
                    }
                    // It may start once more.
                    if how < 2 { seen.retain(|started| *started != line); }
                }
                Happens::Retries if race.has_room() => {
                    race.started(now);
                    next_retry += 1;
                    running.push(next_retry);
                }
                Happens::Connects(head_start) if !running.is_empty() => race.connected(ms(head_start), now),
                Happens::LinesUp(gaps) => {
                    let waiting = race.waiting.len();
                    line_up(&mut race, waiting, gaps);
                }
                _ => {}
            }
            loop {
                match race.next(now) {
                    Step::Start(line) => {
                        prop_assert!(!seen.contains(&line), "{} started twice", line);
                        seen.push(line);
                        running.push(line);
                        prop_assert!(running.len() <= limit);
                    }
                    Step::WaitUntil(at) => { prop_assert!(at > now && !running.is_empty()); break; }
                    Step::Wait => { prop_assert!(!running.is_empty()); break; }
                    Step::Empty => { prop_assert!(race.waiting.is_empty()); break; }
                }
            }
        }
    }
}
