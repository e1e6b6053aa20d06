use super::super::{AdaptiveTimeout, Config, ConnectionHealth, HealthState, NoAnswer, Seen};
use proptest::prelude::*;
use skep_api::{ConfigSection, PeerId, PluginConfig, Problems, security::Role, selector::ConnectionView};
use std::time::Duration;

const FAR: Duration = Duration::from_secs(10);

fn ping(millis: u64) -> Seen {
    Seen { ping: Some(Ok(Duration::from_millis(millis))), ..Seen::default() }
}

fn lost() -> Seen {
    Seen { ping: Some(Err(NoAnswer)), ..Seen::default() }
}

fn judged(all: &[Seen]) -> ConnectionHealth {
    let mut health = ConnectionHealth::default();
    all.iter().for_each(|seen| health.judge(seen, &Config::default()));
    health
}

#[track_caller]
fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn latency_is_worth_one_at_once_and_nothing_at_the_maximum() {
    close(judged(&[ping(0)]).score(), 1.0);
    close(judged(&[ping(250)]).score(), 0.4 * 0.75 + 0.6);
    close(judged(&[ping(1_000)]).score(), 0.6);
    close(judged(&[ping(9_000)]).score(), 0.6);
    // Far away is no fault.
    assert_eq!(judged(&vec![ping(9_000); 50]).state(), HealthState::Healthy);
}

#[test]
fn what_fails_costs_latency_success_and_stability() {
    let once = judged(&[ping(0), lost()]);
    close(once.score(), 0.4 * 0.7 + 0.2 * 7.0 / 8.0);
    assert_eq!((once.state(), once.latency()), (HealthState::Healthy, Some(Duration::ZERO)));
    let streams = Seen { opened: 4, failed: 1, ..ping(0) };
    close(judged(&[streams]).score(), 0.4 + 0.4 * (0.7 + 0.3 * 0.75) + 0.2 * 7.0 / 8.0);
    // Those that were opened before, and failed since.
    let late = Seen { opened: 1, failed: 3, ..ping(0) };
    close(judged(&[late]).success(), 0.7);
}

#[test]
fn a_peer_that_stops_to_answer_becomes_unhealthy_then_critical() {
    let states = (0..8).map(|n| {
        let mut seen = vec![ping(10)];
        seen.extend(vec![lost(); n]);
        let health = judged(&seen);
        (health.state(), health.bad_in_a_row())
    });
    let (healthy, unhealthy) = (HealthState::Healthy, HealthState::Unhealthy);
    let expected = [
        (healthy, 0),
        (healthy, 0),
        (healthy, 0),
        (unhealthy, 1),
        (unhealthy, 2),
        (unhealthy, 3),
        (HealthState::Critical, 4),
        (HealthState::Critical, 5),
    ];
    assert_eq!(states.collect::<Vec<_>>(), expected);
    // One answer is not enough, two are.
    let mut health = judged(&[lost(); 8]);
    health.judge(&ping(10), &Config::default());
    assert_eq!((health.state(), health.bad_in_a_row()), (HealthState::Healthy, 0));
}

#[test]
fn without_a_ping_the_muxer_counts_and_without_both_nothing_changes() {
    let muxer = Seen { muxer: Some(Duration::from_millis(500)), ..Seen::default() };
    close(judged(&[muxer]).score(), 0.8);
    // A ping counts before it, also one that failed.
    let both = Seen { muxer: Some(FAR), ..ping(0) };
    close(judged(&[both]).score(), 1.0);
    let silent = judged(&[Seen::default(); 10]);
    assert_eq!((silent.state(), silent.latency()), (HealthState::Unknown, None));
    let streams = Seen { opened: 1, ..Seen::default() };
    close(judged(&[streams]).score(), 0.8);
}

#[test]
fn a_round_trip_that_jumps_is_trouble_and_one_that_varies_is_not() {
    close(judged(&[ping(100), ping(301)]).stability(), 7.0 / 8.0);
    close(judged(&[ping(100), ping(199)]).stability(), 1.0);
    close(judged(&[ping(1), ping(50)]).stability(), 1.0);
    // It is forgotten after eight judgements.
    let mut seen = vec![ping(100), ping(301)];
    seen.extend([ping(150); 8]);
    close(judged(&seen).stability(), 1.0);
}

#[test]
fn a_timeout_follows_what_pings_take() {
    let config = Config::default();
    let mut timeout = AdaptiveTimeout::default();
    assert_eq!(timeout.next(&config), Duration::from_secs(5));
    timeout.answered(Duration::from_secs(10));
    assert_eq!(timeout.next(&config), Duration::from_secs(12));
    timeout.timed_out(Duration::from_secs(12));
    // 1.2 · (0.7 · 10 + 0.3 · 2 · 12)
    assert_eq!(timeout.next(&config), Duration::from_millis(17_040));
    for _ in 0..50 {
        timeout.timed_out(timeout.next(&config));
    }
    assert_eq!(timeout.next(&config), Duration::from_secs(60));
    for _ in 0..50 {
        timeout.answered(Duration::from_millis(10));
    }
    assert_eq!(timeout.next(&config), Duration::from_secs(5));
}

#[test]
fn the_default_is_valid() {
    let mut problems = Problems::default();
    Config::default().validate(&mut problems);
    assert!(problems.is_empty(), "{problems:?}");
}

fn any_seen() -> impl Strategy<Value = Seen> {
    let ping = prop_oneof![
        2 => (0u64..20_000).prop_map(|ms| Some(Ok(Duration::from_millis(ms)))),
        1 => Just(Some(Err(NoAnswer))),
        1 => Just(None),
    ];
    let muxer = proptest::option::of((0u64..20_000).prop_map(Duration::from_millis));
    (ping, muxer, 0u64..50, 0u64..50).prop_map(|(ping, muxer, opened, failed)| Seen {
        ping,
        muxer,
        opened,
        failed,
    })
}

fn any_config() -> impl Strategy<Value = Config> {
    let weights = (0u32..=100, 0u32..=100).prop_filter("within 1", |(a, b)| a + b <= 100);
    (weights, 0.0f64..=1.0, 0.0f64..=1.0, 1u32..6).prop_map(|((a, b), min, part, bad)| Config {
        latency_weight: f64::from(a) / 100.0,
        success_weight: f64::from(b) / 100.0,
        stability_weight: f64::from(100 - a - b) / 100.0,
        min_health: min,
        critical_health: min * part,
        bad_evaluations: bad,
        ..Config::default()
    })
}

proptest! {
    #[test]
    fn judgements_keep_to_the_rules(config in any_config(), all in proptest::collection::vec(any_seen(), 0..60)) {
        let mut problems = Problems::default();
        config.validate(&mut problems);
        prop_assert!(problems.is_empty(), "{problems:?}");
        let mut health = ConnectionHealth::default();
        // What a judgement must be is told again from the states alone.
        let mut bad_in_a_row = 0u32;
        for seen in &all {
            let before = health.clone();
            health.judge(seen, &config);
            let says_nothing = seen.ping.is_none() && seen.muxer.is_none() && seen.opened + seen.failed == 0;
            if says_nothing {
                prop_assert_eq!(&health, &before);
                continue;
            }
            for value in [health.score(), health.success(), health.stability()] {
                prop_assert!((0.0..=1.0).contains(&value), "{value}");
            }
            let state = match health.score() {
                score if score < config.critical_health => HealthState::Critical,
                score if score < config.min_health => HealthState::Unhealthy,
                _ => HealthState::Healthy,
            };
            prop_assert_eq!(health.state(), state);
            bad_in_a_row = if state.is_bad() { bad_in_a_row + 1 } else { 0 };
            prop_assert_eq!(health.bad_in_a_row(), bad_in_a_row);
            prop_assert_eq!(health.wants_replacement(&config), bad_in_a_row >= config.bad_evaluations);
        }
    }

    /// Whatever came before, an answer is worth more than none, and fewer failures more than more.
    #[test]
    fn better_is_never_worth_less(
        before in proptest::collection::vec(any_seen(), 0..20), millis in 0u64..3_000, opened in 1u64..20,
        failed in 0u64..20, fewer in 0u64..20,
    ) {
        let (failed, fewer) = (failed.min(opened), fewer.min(failed).min(opened));
        let start = judged(&before);
        let after = |seen: Seen| {
            let mut health = start.clone();
            health.judge(&seen, &Config::default());
            health.score()
        };
        prop_assert!(after(ping(millis)) >= after(lost()));
        let streams = |failed| Seen { opened, failed, ..ping(millis) };
        prop_assert!(after(streams(fewer)) >= after(streams(failed)));
    }

    /// The selector `health_based` prefers what the monitor holds to be better, where that is better in every respect.
    #[test]
    fn the_selector_agrees(
        near in 0u64..900, further in 100u64..900, opened in 1u64..30, failed in 0u64..30, worse in 1u64..30,
    ) {
        let failed = failed.min(opened);
        let view = |id, millis, failed| {
            let remote = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
            let mut view = ConnectionView::new(id, PeerId::random(), Role::Dialer, remote);
            (view.latency, view.opened, view.failed) = (Some(Duration::from_millis(millis)), opened + worse, failed);
            view
        };
        let (good, bad) = (view(1, near, failed), view(2, near + further, failed + worse));
        let score = |view: &ConnectionView| {
            judged(&[Seen { muxer: view.latency, opened: view.opened, failed: view.failed, ..Seen::default() }])
                .score()
        };
        prop_assert!(score(&good) > score(&bad));
        let section = ConfigSection::empty("selector.health_based");
        let selector = (crate::selector::health_based::PLUGIN.build)(&section, &skep_testkit::build_cx()).unwrap();
        prop_assert_eq!(selector.select(&[good, bad]), Some(1));
    }
}
