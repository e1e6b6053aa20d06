//! A small network of which all is asked that is asked of a large one, and figures that are the same again.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use skep_sim::{Figures, Plan, run, table};

/// Eighty nodes with a shorter course than usual.
fn small(seed: u64) -> Plan {
    let mut plan = Plan::new(80, seed);
    (plan.settle, plan.recover, plan.heal) = (12, 12, 12);
    plan
}

fn figures(plan: &Plan) -> Figures {
    run(plan, |_, _| {}).unwrap()
}

#[test]
fn a_small_network_comes_to_its_marks_and_back_to_them() {
    let figures = figures(&small(7));
    assert!(figures.hold(), "{}", table(&figures, 1));
    let at = |minute: u64| figures.samples.iter().find(|sample| sample.minute == minute).unwrap();
    let plan = &figures.plan;
    assert_eq!((at(plan.lost_at()).live, at(plan.ends_at()).live), (80, 56));
    // The halves were apart, and are not any more.
    assert_eq!(at(plan.healed_at()).across, 0.0);
    assert!(at(plan.lost_at()).across > 0.4 && at(plan.ends_at()).across > 0.0);
}

#[test]
fn a_seed_gives_the_same_figures_again_and_another_seed_others() {
    let first = figures(&small(1));
    assert_eq!(first, figures(&small(1)));
    assert_ne!(first.samples, figures(&small(2)).samples);
}

#[test]
fn halves_do_not_meet_again_if_nobody_holds_on_across() {
    let mut plan = small(1);
    plan.bridge = false;
    let figures = figures(&plan);
    let last = figures.samples.last().unwrap();
    assert_eq!((last.components, last.across), (2, 0.0), "{}", table(&figures, 1));
    assert!(!figures.hold());
}

#[test]
fn a_plan_that_makes_no_sense_is_refused() {
    let error = run(&Plan::new(10, 1), |_, _| {}).unwrap_err();
    assert_eq!(error.to_string(), "the number of nodes is 10; allowed: 29 to 100000");
    let mut plan = small(1);
    plan.settle = plan.start;
    assert_eq!(
        run(&plan, |_, _| {}).unwrap_err().to_string(),
        "the time for settling is 5; allowed: 6 to 1440"
    );
}
