use super::*;
use skep_api::{CloseReason, Code, service::DialPriority};
use skep_testkit::node::Streams;

/// A ping of 190 ms is worth next to nothing: healthy by default, unhealthy where more is asked for.
const SLOW: Streams = Streams::Echo(Duration::from_millis(190));

fn strict() -> Config {
    Config { min_health: 0.7, ..config() }
}

#[tokio::test(start_paused = true)]
async fn slow_but_alive_is_replaced_after_three_judgements_and_not_before() {
    let bench = Bench::new(strict());
    let old = bench.connect(1);
    bench.node.set_streams_on(old, SLOW);
    let dials = || bench.node.dials_of(&peer(1)).len();
    bench
        .until(|| assert!(connected(&bench.node, &peer(1))), || bench.monitor.summary().unhealthy == 1)
        .await;
    bench.until(|| assert_eq!(dials() > 0, bench.judged(1).1 >= 3), || dials() == 1).await;
    let dial = bench.node.dials_of(&peer(1))[0];
    assert_eq!((dial.manner.priority, dial.manner.another), (DialPriority::Reconnect, true));
    bench.until(|| assert!(connected(&bench.node, &peer(1))), || bench.node.ids(&peer(1)).len() == 1).await;
    assert_ne!(bench.node.ids(&peer(1)), [old]);
    let closed = &bench.node.closes()[0];
    assert_eq!((closed.connection, closed.code), (old, Code::SUPPLANTED));
    bench.pass(100).await;
    assert_eq!((dials(), bench.replaced("replaced")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn slow_but_alive_is_healthy_by_default() {
    let bench = Bench::new(config());
    let old = bench.connect(1);
    bench.node.set_streams_on(old, Streams::Echo(Duration::from_millis(800)));
    bench.pass(3_600).await;
    assert_eq!((bench.judged(1), bench.node.dials().len()), ((HealthState::Healthy, 0), 0));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_more_on_one_connection_gets_another() {
    let bench = Bench::new(config());
    let old = bench.connect(1);
    bench.pass(30).await;
    bench.node.set_streams_on(old, Streams::Silent);
    let always = || assert!(connected(&bench.node, &peer(1)));
    bench.until(always, || !bench.node.ids(&peer(1)).contains(&old)).await;
    bench.until(always, || bench.node.ids(&peer(1)).len() == 1).await;
    // It was judged before the old one went.
    bench.pass(1).await;
    assert_eq!(bench.judged(1), (HealthState::Healthy, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_fails_keeps_the_old_one_and_comes_again_ever_later() {
    for (reach, outcome) in [
        (Reach::REFUSES, "dial_failed"),
        (Reach::Never, "dial_failed"),
        (Reach::NotTried("denied"), "not_tried"),
    ] {
        let bench = Bench::new(config());
        let old = bench.connect(1);
        bench.node.set_streams(&peer(1), Streams::Silent);
        bench.node.set_reach(&peer(1), reach);
        bench.until(|| assert_eq!(bench.node.ids(&peer(1)), [old]), || bench.replaced(outcome) == 5).await;
        let at: Vec<_> = bench.node.dials().iter().map(|dial| dial.ended.unwrap().as_secs()).collect();
        let began: Vec<_> = bench.node.dials().iter().map(|dial| dial.at.as_secs()).collect();
        let waits: Vec<_> = began.iter().skip(1).zip(&at).map(|(next, ended)| next - ended).collect();
        let expected = [60, 120, 240, 480];
        // The judgements go on in the meantime, so that it begins at the next look.
        assert!(
            waits.iter().zip(expected).all(|(wait, least)| (least..least + 3).contains(wait)),
            "{waits:?}"
        );
        assert!(bench.node.closes().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_no_better_is_closed_again() {
    let bench = Bench::new(strict());
    let old = bench.connect(1);
    // The whole path is slow: another connection is as slow.
    bench.node.set_streams(&peer(1), SLOW);
    let always = || assert!(bench.node.ids(&peer(1)).contains(&old));
    bench.until(always, || bench.replaced("not_better") == 1).await;
    assert_eq!(bench.node.ids(&peer(1)), [old]);
    assert_ne!(bench.node.closes()[0].connection, old);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_better_by_little_is_not_worth_a_change() {
    for (millis, outcome) in [(170, "not_better"), (120, "replaced")] {
        let bench = Bench::new(Config { min_health: 0.65, ..config() });
        let old = bench.connect(1);
        bench.node.set_streams(&peer(1), Streams::Echo(Duration::from_millis(millis)));
        bench.node.set_streams_on(old, SLOW);
        bench.until(|| assert!(connected(&bench.node, &peer(1))), || bench.replaced(outcome) == 1).await;
        assert_eq!(bench.node.ids(&peer(1)) == [old], outcome == "not_better");
        assert_eq!(bench.node.dials().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_answer_is_no_better_than_one_that_does_not_either() {
    let bench = Bench::new(config());
    let old = bench.connect(1);
    bench.node.set_streams(&peer(1), Streams::Silent);
    let always = || assert!(bench.node.ids(&peer(1)).contains(&old));
    bench.until(always, || bench.replaced("not_better") == 2).await;
    assert_eq!(bench.node.ids(&peer(1)), [old]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_serves_no_pings_is_replaced_for_its_streams() {
    let mut config = strict();
    config.min_health = 0.6;
    let bench = Bench::new(config);
    let old = bench.connect(1);
    bench.node.set_streams(&peer(1), Streams::Refused);
    let mut opened = 0;
    while bench.node.dials().is_empty() {
        opened += 10;
        bench.node.change(old, |view| (view.opened, view.failed) = (opened, opened));
        bench.pass(5).await;
    }
    bench.until(|| assert!(connected(&bench.node, &peer(1))), || bench.replaced("replaced") == 1).await;
    assert!(!bench.node.ids(&peer(1)).contains(&old));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_dialled_is_left_alone() {
    let bench = Bench::new(config());
    let old = bench.node.connect(&peer(1), Role::Listener, addr("/ip4/192.0.2.1/tcp/50000"));
    bench.node.set_streams(&peer(1), Streams::Silent);
    bench.pass(1_000).await;
    assert_eq!((bench.node.ids(&peer(1)), bench.node.dials().len()), (vec![old], 0));
    assert_eq!(bench.judged(1).0, HealthState::Critical);
    // Without a peer store there are no addresses either.
    let bench = Bench::on(FakeNode::with(None), config());
    bench.connect(1);
    bench.node.set_streams(&peer(1), Streams::Silent);
    bench.pass(1_000).await;
    assert!(bench.node.dials().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_use_is_replaced_only_when_it_is_critical() {
    let bench = Bench::new(config());
    let old = bench.connect(1);
    bench.node.change(old, |view| view.busy = 1);
    bench.node.set_streams_on(old, Streams::Silent);
    let dials = || bench.node.dials().len();
    let is_critical = || bench.monitor.summary().critical == 1;
    bench.until(|| assert!(dials() == 0 || is_critical()), || dials() == 1).await;
    let begun = bench.node.now();
    // Its streams have the time of `drain`, and the peer has two connections meanwhile.
    bench.until(|| assert!(connected(&bench.node, &peer(1))), || !bench.node.closes().is_empty()).await;
    let waited = bench.node.now() - begun;
    assert!((5_000..6_000).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!((bench.node.closes()[0].connection, bench.replaced("replaced")), (old, 1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_into_use_meanwhile_is_kept_until_it_is_idle() {
    let bench = Bench::new(strict());
    let old = bench.connect(1);
    bench.node.set_streams_on(old, SLOW);
    bench.node.set_reach(&peer(1), Reach::After(Duration::from_secs(3)));
    bench.until(|| (), || bench.node.dialling() == 1).await;
    bench.node.change(old, |view| view.busy = 1);
    bench
        .until(|| assert!(bench.node.ids(&peer(1)).contains(&old)), || bench.replaced("kept_busy") == 1)
        .await;
    assert_eq!(bench.node.ids(&peer(1)).len(), 2);
    // It is pinged again, found bad again, and then there is a better one already.
    bench.pass(100).await;
    assert!(bench.node.ids(&peer(1)).contains(&old));
    bench.node.change(old, |view| view.busy = 0);
    bench.until(|| assert!(connected(&bench.node, &peer(1))), || bench.replaced("surplus") == 1).await;
    assert!(!bench.node.ids(&peer(1)).contains(&old));
    assert_eq!(bench.node.dials().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_connection_has_its_turn_before_a_third_is_made() {
    let bench = Bench::new(config());
    let old = bench.connect(1);
    bench.node.set_streams_on(old, Streams::Silent);
    bench.until(|| (), || bench.node.opens().len() == 1).await;
    bench.until(|| (), || bench.judged(1).1 == 2).await;
    // The peer comes back by itself, while the last ping of the old connection is on its way.
    let turns = bench.node.opens().len();
    bench.until(|| (), || bench.node.opens().len() > turns).await;
    let other = bench.node.connect(&peer(1), Role::Listener, addr("/ip4/192.0.2.1/tcp/50000"));
    bench.until(|| assert!(bench.node.dials().is_empty()), || bench.replaced("surplus") == 1).await;
    assert_eq!(bench.node.ids(&peer(1)), [other]);
}

#[tokio::test(start_paused = true)]
async fn the_old_one_stays_if_the_new_one_goes_before_it() {
    let mut config = config();
    config.drain = DurationText::secs(60);
    let bench = Bench::new(config);
    let old = bench.connect(1);
    bench.node.change(old, |view| view.busy = 1);
    bench.node.set_streams_on(old, Streams::Silent);
    bench.until(|| (), || bench.node.ids(&peer(1)).len() == 2).await;
    bench.pass(2).await;
    // It is pinged no more: a ping may count as a use.
    let pings = || bench.node.opens().iter().filter(|open| open.connection == old).count();
    let before = pings();
    bench.pass(25).await;
    assert_eq!(pings(), before);
    let new = *bench.node.ids(&peer(1)).last().unwrap();
    bench.node.disconnect(new, CloseReason::remote(Code::NONE));
    bench.node.change(old, |view| view.busy = 0);
    bench.until(|| assert_eq!(bench.node.ids(&peer(1)), [old]), || bench.replaced("kept_busy") == 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_one_that_ends_meanwhile_leaves_the_new_one() {
    let bench = Bench::new(config());
    let old = bench.connect(1);
    bench.node.set_streams_on(old, Streams::Silent);
    bench.node.set_reach(&peer(1), Reach::After(Duration::from_secs(3)));
    bench.until(|| (), || bench.node.dialling() == 1).await;
    bench.node.lose(&peer(1));
    bench.until(|| (), || bench.replaced("lost") == 1).await;
    assert_eq!((bench.node.ids(&peer(1)).len(), bench.node.closes().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_network_that_grows_slow_as_a_whole_causes_no_storm() {
    let bench = Bench::new(strict());
    let all = 200;
    for number in 1..=all {
        bench.connect(number);
        bench.node.set_streams(&peer(number), SLOW);
    }
    let always = || {
        let now = bench.node.now();
        let recent = bench.node.dials().iter().filter(|dial| now - dial.at < Duration::from_secs(10)).count();
        assert!(recent <= 4, "{recent} dials within an interval");
    };
    bench.until(always, || bench.node.now() > Duration::from_secs(300)).await;
    assert!((1..=all).all(|number| connected(&bench.node, &peer(number))));
    // It does make use of what is allowed.
    assert!(bench.node.dials().len() > 60, "{}", bench.node.dials().len());
    assert_eq!(bench.monitor.summary().unhealthy, usize::try_from(all).unwrap());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_replaced_where_the_monitor_only_watches() {
    let bench = Bench::new(Config { max_replacements: 0, ..config() });
    bench.connect(1);
    bench.node.set_streams(&peer(1), Streams::Silent);
    bench.pass(1_000).await;
    assert_eq!((bench.judged(1).0, bench.node.dials().len()), (HealthState::Critical, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_of_peers_is_bounded() {
    use super::super::budget::Budget;
    let (mut budget, config, now) = (Budget::default(), config(), tokio::time::Instant::now());
    for _ in 0..5_000 {
        let peer = PeerId::random();
        budget.start(peer, &config, now);
        assert!(!budget.allows(&peer, now));
        budget.end(peer, now);
    }
    assert_eq!((budget.remembered(), budget.running()), (4_096, 0));
}
