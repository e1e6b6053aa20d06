use super::*;
use crate::{Degrees, Dials};

/// A network that is as it should be.
fn well(minute: u64) -> Sample {
    Sample {
        minute,
        live: 100,
        degree: Degrees { min: 8, p5: 8, median: 9, max: 16 },
        at_target: 1.0,
        below_high: 1.0,
        within_cap: 1.0,
        components: 1,
        largest: 1.0,
        across: 0.5,
        dials: Dials { mean: 8.0, p99: 16, max: 20 },
        dials_large: Dials { mean: 40.0, p99: 60, max: 60 },
        dialled: 800,
        failed: 0,
        pruned: 0,
    }
}

/// A course in which nothing goes wrong, with one thing changed at some minutes.
fn course(change: impl Fn(&Plan, &mut Sample)) -> Figures {
    let plan = Plan::new(100, 1);
    let at = |minute| {
        let mut sample = well(minute);
        if minute > plan.parted_at() && minute <= plan.healed_at() {
            (sample.components, sample.largest) = (2, 0.5);
        }
        change(&plan, &mut sample);
        sample
    };
    Figures::new(&plan, (0..=plan.ends_at()).map(at).collect(), 0)
}

/// What does not hold, by the place in the list.
fn failing(figures: &Figures) -> Vec<usize> {
    assert_eq!(figures.hold(), figures.verdicts.iter().all(|verdict| verdict.holds));
    figures.verdicts.iter().enumerate().filter(|(_, verdict)| !verdict.holds).map(|(at, _)| at).collect()
}

#[test]
fn a_network_that_is_as_it_should_be_passes() {
    let figures = course(|_, _| {});
    assert!(figures.hold(), "{:?}", figures.verdicts);
    assert_eq!(figures.verdicts[1].found, "after 1");
}

#[test]
fn each_thing_that_is_asked_can_fail_by_itself() {
    let between = |minute, from, to| minute > from && minute <= to;
    let fails = [
        failing(&course(|plan, s| {
            s.components += usize::from(between(s.minute, plan.start, plan.start + plan.patience));
        })),
        failing(&course(|plan, s| {
            s.at_target -= 0.02 * f64::from(u8::from(between(s.minute, plan.lost_at(), plan.lost_at() + 10)));
        })),
        failing(&course(|plan, s| {
            s.below_high -= 0.02 * f64::from(u8::from(between(s.minute, plan.parted_at(), plan.healed_at())));
        })),
        failing(&course(|plan, s| {
            s.components += usize::from(between(s.minute, plan.healed_at(), plan.healed_at() + 10));
        })),
        failing(&course(|plan, s| s.components += usize::from(s.minute == plan.ends_at()))),
        failing(&course(|plan, s| s.dials.max += u32::from(s.minute == 30) * plan.max_dials)),
        failing(&course(|plan, s| s.dials_large.max += u32::from(s.minute == 30) * plan.max_dials_large)),
        failing(&course(|_, s| s.within_cap -= f64::from(u8::from(s.minute == 7)) * 0.01)),
    ];
    for (at, failing) in fails.into_iter().enumerate() {
        assert_eq!(failing, [at]);
    }
    assert_eq!(failing(&Figures::new(&Plan::new(100, 1), course(|_, _| {}).samples, 1)), [8]);
}

#[test]
fn one_percent_may_miss_its_marks_and_no_more() {
    assert!(course(|_, s| s.at_target = 0.99).hold());
    assert_eq!(failing(&course(|_, s| s.at_target = 0.989)), [0, 1, 2, 3, 4]);
}

#[test]
fn halves_that_do_not_meet_again_fail() {
    let figures = course(|plan, s| s.components = if s.minute > plan.parted_at() { 2 } else { 1 });
    assert_eq!(failing(&figures), [3, 4]);
    assert_eq!(figures.verdicts[3].found, "not at all");
}

#[test]
fn nothing_that_was_not_looked_at_holds() {
    assert_eq!(failing(&Figures::new(&Plan::new(100, 1), Vec::new(), 0)), [0, 1, 2, 3, 4, 5, 6, 7]);
}
