use super::*;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn kind(decay: Decay, bump: Bump) -> Kind {
    Kind::new("t", SECOND * 10, decay, bump).unwrap()
}

fn overwritten(decay: Decay) -> Kind {
    kind(decay, Bump::Overwrite)
}

/// The values at the ends of intervals, until nothing is left.
fn values(kind: &Kind, value: i64, intervals: u32) -> Vec<Option<i64>> {
    let now = Instant::now();
    let (sample, _) = kind.bumped(None, value, now).unwrap();
    (0..=intervals).map(|n| kind.value(&sample, now + kind.interval * n)).collect()
}

#[test]
fn values_fall_once_every_interval() {
    let table = [
        (Decay::None, 5, vec![Some(5), Some(5), Some(5), Some(5)]),
        (Decay::Fixed(4), 9, vec![Some(9), Some(5), Some(1), None]),
        (Decay::Fixed(3), 9, vec![Some(9), Some(6), Some(3), None]),
        (Decay::Fixed(i64::MAX), 9, vec![Some(9), None, None, None]),
        (Decay::Linear(0.5), 9, vec![Some(9), Some(4), Some(2), Some(1)]),
        (Decay::Linear(0.0), 9, vec![Some(9), None, None, None]),
        (Decay::Linear(1.0), i64::MAX, vec![Some(i64::MAX); 4]),
        (Decay::ExpireWhenInactive(SECOND * 20), 9, vec![Some(9), Some(9), None, None]),
        (Decay::ExpireWhenInactive(SECOND * 21), 9, vec![Some(9), Some(9), Some(9), None]),
        (Decay::Custom(Arc::new(|v| v / 3)), 9, vec![Some(9), Some(3), Some(1), None]),
        (Decay::Custom(Arc::new(|v| v.max(6) - 1)), 7, vec![Some(7), Some(6), Some(5), Some(5)]),
    ];
    for (decay, value, expected) in table {
        assert_eq!(values(&overwritten(decay.clone()), value, 3), expected, "{decay:?}");
    }
    let (sample, _) = overwritten(Decay::Fixed(1)).bumped(None, 2, Instant::now()).unwrap();
    let just_before = sample.at + SECOND * 20 - Duration::from_nanos(1);
    assert_eq!(overwritten(Decay::Fixed(1)).value(&sample, just_before), Some(1));
}

#[test]
fn bumps_make_of_a_value_what_they_say() {
    let table = [
        (Bump::SumUnbounded, 3, i64::MAX, Some(i64::MAX)),
        (Bump::SumUnbounded, 3, -3, None),
        (Bump::SumBounded { min: 2, max: 5 }, 3, 10, Some(5)),
        (Bump::SumBounded { min: 2, max: 5 }, 3, -10, Some(2)),
        (Bump::Overwrite, 3, 8, Some(8)),
        (Bump::Overwrite, 3, 0, None),
        (Bump::Custom(Arc::new(|old, delta| old * delta)), 3, 4, Some(12)),
    ];
    let now = Instant::now();
    for (bump, first, delta, expected) in table {
        let (sample, _) = overwritten(Decay::None).bumped(None, first, now).unwrap();
        let bumped = kind(Decay::None, bump.clone()).bumped(Some(sample), delta, now);
        assert_eq!(bumped.map(|(_, value)| value), expected, "{bump:?}");
    }
}

#[test]
fn a_bump_keeps_what_expires_and_does_not_put_off_the_end_of_the_interval() {
    let kind = kind(Decay::ExpireWhenInactive(SECOND * 20), Bump::SumUnbounded);
    let begun = Instant::now();
    let (first, _) = kind.bumped(None, 1, begun).unwrap();
    let (second, value) = kind.bumped(Some(first), 1, begun + SECOND * 15).unwrap();
    assert_eq!((value, second.at), (2, begun + SECOND * 10));
    assert_eq!(kind.value(&second, begun + SECOND * 39), Some(2));
    assert_eq!(kind.gone_at(&second), Some(begun + SECOND * 40));
    assert!(kind.is_gone(&second, begun + SECOND * 40));
}

#[test]
fn a_function_that_never_comes_to_rest_is_not_followed_for_ever() {
    let kind = overwritten(Decay::Custom(Arc::new(|value| if value == 1 { 2 } else { 1 })));
    let (sample, _) = kind.bumped(None, 1, Instant::now()).unwrap();
    assert_eq!(sample.end, Some(MAX_STEPS));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |interval, decay, bump| Kind::new("t", interval, decay, bump).unwrap_err().to_string();
    let sum = Bump::SumUnbounded;
    let text = |why: &str| format!("the decaying tag \"t\" cannot be registered: {why}");
    let fast = refused(Duration::from_millis(999), Decay::None, sum.clone());
    assert_eq!(fast, text("its interval is shorter than a second"));
    for by in [0, -1] {
        let fixed = refused(SECOND, Decay::Fixed(by), sum.clone());
        assert_eq!(fixed, text("it has to lose at least 1 in an interval"));
    }
    for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let linear = refused(SECOND, Decay::Linear(share), sum.clone());
        assert_eq!(linear, text("the share that is left is not from 0 to 1"));
    }
    let never = refused(SECOND, Decay::ExpireWhenInactive(Duration::ZERO), sum);
    assert_eq!(never, text("it would be gone at once"));
    let bounds = refused(SECOND, Decay::None, Bump::SumBounded { min: 2, max: 1 });
    assert_eq!(bounds, "the bounds of tag \"t\" leave no value: 2 is above 1");
}

proptest! {
    #[test]
    fn the_end_is_where_nothing_is_left(value in 1..i64::MAX, share in 0.0..1.0_f64, by in 1..i64::MAX) {
        let end = end_of_share(value, share).unwrap();
        prop_assert!(share_of(value, share, end) < 1);
        prop_assert!(end == 1 || share_of(value, share, end - 1) >= 1);
        let fixed = overwritten(Decay::Fixed(by));
        let end = fixed.end(value, Instant::now(), Instant::now()).unwrap();
        prop_assert!(fixed.after(value, end) <= 0 && fixed.after(value, end - 1) > 0);
    }

    #[test]
    fn it_is_the_same_however_often_it_is_bumped_by_nothing(
        value in 1..10_000_i64, by in 1..100_i64, steps in proptest::collection::vec(0..40_u64, 1..20),
    ) {
        let kind = kind(Decay::Fixed(by), Bump::SumUnbounded);
        let mut now = Instant::now();
        let once = kind.bumped(None, value, now).map(|(sample, _)| sample);
        let mut often = once;
        for step in steps {
            now += Duration::from_secs(step);
            often = often.and_then(|sample| kind.bumped(Some(sample), 0, now)).map(|(sample, _)| sample);
            let seen = |sample: Option<Sample>| sample.and_then(|sample| kind.value(&sample, now));
            prop_assert_eq!(seen(often), seen(once));
        }
    }
}
