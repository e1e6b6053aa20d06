use super::*;
use proptest::prelude::*;

fn buckets(per_second: u32, burst: u32) -> Buckets<u8> {
    Buckets::new(Rate::new(per_second, burst).unwrap())
}

/// How many points a bucket has, by taking them.
fn points(buckets: &mut Buckets<u8>, key: u8, most: usize) -> u32 {
    (0..).take_while(|_| buckets.take(key, most).is_ok()).count().try_into().unwrap()
}

/// A runtime whose time stands still.
fn paused<T>(body: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(body)
}

#[test]
fn nothing_a_second_is_no_limit() {
    assert_eq!(Rate::new(0, 5), None);
    assert_eq!(Rate::new(3, 0).map(Rate::burst), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_burst_then_an_even_pace() {
    let mut buckets = buckets(4, 3);
    assert_eq!(points(&mut buckets, 1, 9), 3);
    let too_fast = TooFast { burst: 3, retry_after: Duration::from_millis(250) };
    assert_eq!(buckets.take(1, 9), Err(too_fast));
    assert_eq!(points(&mut buckets, 2, 9), 3, "each has a bucket of its own");
    tokio::time::advance(Duration::from_millis(249)).await;
    let too_fast = TooFast { burst: 3, retry_after: Duration::from_millis(1) };
    assert_eq!(buckets.take(1, 9), Err(too_fast));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(points(&mut buckets, 1, 9), 1);
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(points(&mut buckets, 1, 9), 3);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_refuses_is_kept_by_asking() {
    let mut buckets = buckets(1, 3);
    assert_eq!(points(&mut buckets, 0, 2), 3);
    for other in 1..100 {
        buckets.take(other, 2).unwrap();
        buckets.take(0, 2).unwrap_err();
    }
    assert_eq!(buckets.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn to_be_pushed_out_is_no_amnesty() {
    let mut buckets = buckets(1, 16);
    for round in 0..10 {
        for name in 0..5 {
            let expected = if round == 0 && name < 4 { 16 } else { 1 };
            assert_eq!(points(&mut buckets, name, 4), expected, "name {name} in round {round}");
        }
    }
    // Once those that are kept are full again, nothing is lost with them.
    tokio::time::advance(Duration::from_secs(16)).await;
    assert_eq!(points(&mut buckets, 9, 4), 16);
    assert_eq!(buckets.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn fewer_places_are_fewer_buckets_from_then_on() {
    let mut buckets = buckets(1, 2);
    for name in 0..100 {
        buckets.take(name, 50).unwrap();
    }
    assert_eq!(buckets.len(), 50);
    buckets.take(99, 7).unwrap_err();
    assert_eq!(buckets.len(), 7);
    buckets.take(1, 0).unwrap();
    assert_eq!(buckets.len(), 1);
}

proptest! {
    /// With room for all, what a key is given is what a plain count of its points says.
    #[test]
    fn points_are_those_of_a_naive_bucket(
        // Rates that a nanosecond divides, so that the model needs no fractions.
        per_second in prop_oneof![Just(1_u32), Just(2), Just(5), Just(100)],
        burst in 1_u32..6,
        steps in proptest::collection::vec((0_u8..4, 0_u64..700), 1..200),
    ) {
        paused(async move {
            let mut buckets = buckets(per_second, burst);
            let (pace, size) = (1_000 / u64::from(per_second), u64::from(burst));
            // Each bucket holds milliseconds, `pace` to a point.
            let mut model = [size * pace; 4];
            for (key, pause) in steps {
                tokio::time::advance(Duration::from_millis(pause)).await;
                model.iter_mut().for_each(|held| *held = (*held + pause).min(size * pace));
                let held = &mut model[usize::from(key)];
                let expected = match held.checked_sub(pace) {
                    Some(rest) => { *held = rest; Ok(()) }
                    None => Err(TooFast { burst, retry_after: Duration::from_millis(pace - *held) }),
                };
                prop_assert_eq!(buckets.take(key, 4), expected);
            }
            Ok(())
        })?;
    }

    /// However few places there are: no more buckets than that, a point at least for whoever is not known, and in all
    /// no more than a burst for each place, what the time gives to each, and one for each that was pushed out.
    #[test]
    fn names_gain_little(
        most in 1_usize..5,
        burst in 1_u32..6,
        steps in proptest::collection::vec((0_u8..12, 0_u64..300), 1..300),
    ) {
        paused(async move {
            let mut buckets = buckets(1, burst);
            let (mut given, mut strangers) = (0_u64, 0_u64);
            let start = Instant::now();
            for (key, pause) in steps {
                tokio::time::advance(Duration::from_millis(pause)).await;
                let known = buckets.places.contains(&key);
                strangers += u64::from(!known);
                let taken = buckets.take(key, most).is_ok();
                prop_assert!(taken || known);
                given += u64::from(taken);
                prop_assert!(buckets.len() <= most);
            }
            let places = u64::try_from(most).unwrap();
            let refilled = (start.elapsed().as_secs() + 1) * (places + 1);
            prop_assert!(given <= places * u64::from(burst) + refilled + strangers);
            Ok(())
        })?;
    }
}
