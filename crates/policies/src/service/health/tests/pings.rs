use super::super::{ping::Pinged, table::Table};
use super::*;
use skep_api::selector::ConnectionView;
use skep_api::{Code, ConfigSection, peerstore::PeerStore};
use skep_testkit::node::Streams;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn each_connection_is_pinged_once_in_an_interval_spread_over_it() {
    let bench = Bench::new(config());
    let ids: Vec<_> = (1..=20).map(|number| bench.connect(number)).collect();
    bench.pass(10).await;
    // A look before the end of the interval has seen the last of them.
    bench.pass(1).await;
    let mut seen: Vec<_> = bench.node.opens().iter().map(|open| open.connection).collect();
    let first = bench.node.opens();
    let early = first.iter().filter(|open| open.at < Duration::from_secs(5)).count();
    assert!((4..=16).contains(&early), "{early} of 20 in the first half");
    assert!(first.iter().all(|open| open.protocols == ["/ipfs/ping/1.0.0"]));
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, ids);
    bench.pass(100).await;
    let opens = bench.node.opens();
    for id in ids {
        let at: Vec<_> = opens.iter().filter(|open| open.connection == id).map(|open| open.at).collect();
        assert!((10..=12).contains(&at.len()), "{at:?}");
        // A tenth early or late, and the time until the next look.
        let gaps = at.windows(2).map(|two| (two[1] - two[0]).as_millis());
        assert!(gaps.clone().all(|gap| (8_900..=11_800).contains(&gap)), "{:?}", gaps.collect::<Vec<_>>());
    }
    assert_eq!(bench.node.open_streams(), 0);
    assert_eq!(bench.count("skep_health_pings_total", "answered"), opens.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn pings_at_once_are_bounded_and_none_is_left_out() {
    let mut config = config();
    config.parallel = 3;
    let bench = Bench::new(config);
    for number in 1..=30 {
        bench.connect(number);
        bench.node.set_streams(&peer(number), Streams::Echo(Duration::from_millis(900)));
    }
    let node = &bench.node;
    let all =
        || node.opens().iter().map(|open| open.connection).collect::<std::collections::BTreeSet<_>>().len();
    bench.until(|| assert!(node.open_streams() <= 3), || all() == 30).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_measured_goes_to_the_peer_store() {
    let section = ConfigSection::empty("peerstore.memory");
    let store: Arc<dyn PeerStore> = (crate::peerstore::memory::PLUGIN.build)(&section, &build_cx()).unwrap();
    let bench = Bench::on(FakeNode::with(Some(Arc::clone(&store))), config());
    bench.connect(1);
    bench.node.set_streams(&peer(1), Streams::Echo(Duration::from_millis(40)));
    bench.pass(60).await;
    let latency = store.latency(&peer(1)).unwrap();
    assert!((40..=42).contains(&latency.as_millis()), "{latency:?}");
    let health = bench.health(1);
    assert_eq!((health.connections[0].state, health.connections[0].pinged), (HealthState::Healthy, true));
    assert!(health.connections[0].latency_ms.unwrap() >= 40.0);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_refuses_pings_is_judged_by_the_muxer_and_not_asked_again() {
    let bench = Bench::new(config());
    let ids = [bench.connect(1), bench.connect(2), bench.connect(3)];
    bench.node.set_streams(&peer(1), Streams::Refused);
    bench.node.set_streams(&peer(2), Streams::Resets(Code::PROTOCOL_NEGOTIATION_FAILED));
    bench.node.set_streams(&peer(3), Streams::Refused);
    for id in &ids[..2] {
        bench.node.change(*id, |view| view.latency = Some(Duration::from_millis(50)));
    }
    bench.pass(120).await;
    assert_eq!(bench.node.opens().len(), 3);
    for number in [1, 2] {
        let health = &bench.health(number).connections[0];
        assert_eq!(
            (health.state, health.pinged, health.latency_ms),
            (HealthState::Healthy, false, Some(50.0))
        );
    }
    // Nothing is known of it, which is no fault.
    assert_eq!(bench.judged(3), (HealthState::Unknown, 0));
    assert_eq!(bench.count("skep_health_pings_total", "refused"), 2);
    assert_eq!(bench.count("skep_health_pings_total", "hung_up"), 1);
    let counts = |state| bench.count("skep_health_connections", state);
    assert_eq!((counts("healthy"), counts("unknown")), (2, 1));
    // The muxer's figure can make it unhealthy, if the configuration wants it so.
    assert!(bench.node.dials().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_answered_and_hangs_up_has_failed() {
    let bench = Bench::new(config());
    bench.connect(1);
    bench.until(|| (), || bench.monitor.summary().healthy == 1).await;
    bench.node.set_streams(&peer(1), Streams::Resets(Code::NONE));
    bench.until(|| (), || bench.judged(1).1 == 1).await;
    assert!(bench.count("skep_health_pings_total", "hung_up") >= 3);
}

#[tokio::test(start_paused = true)]
async fn failing_streams_count_and_the_pings_among_them_do_not() {
    let mut config = config();
    config.max_replacements = 0;
    let bench = Bench::new(config);
    let (good, bad) = (bench.connect(1), bench.connect(2));
    bench.pass(30).await;
    // As many streams as pings so far, and more: the node counts pings, too.
    bench.node.change(good, |view| view.opened = 3);
    assert_eq!(bench.health(1).connections[0].success, 1.0);
    for round in 1..=20 {
        bench.node.change(good, |view| (view.opened, view.failed) = (round * 10, 0));
        bench.node.change(bad, |view| (view.opened, view.failed) = (round * 10, round * 10));
        bench.pass(11).await;
    }
    assert_eq!(bench.health(1).connections[0].success, 1.0);
    let health = &bench.health(2).connections[0];
    assert!(health.success < 0.65 && health.stability < 0.3, "{health:?}");
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_failed_counts_once_though_the_node_counts_its_stream() {
    let (config, random, mut table) = (config(), Random::seeded(1), Table::default());
    let mut view = ConnectionView::new(1, peer(1), Role::Dialer, addr("/ip4/192.0.2.1/tcp/1"));
    table.look(&[view.clone()], &config, &random, Instant::now());
    for (pinged, failed) in [(Pinged::Answered(Duration::ZERO), 0), (Pinged::HungUp, 1)] {
        sleep(config.interval.0 * 2).await;
        assert_eq!(table.next_due(&config, Instant::now()).unwrap().connection, 1);
        assert_eq!(table.next_due(&config, Instant::now()), None);
        (view.opened, view.failed) = (view.opened + 1, view.failed + failed);
        assert_eq!(table.pinged(1, pinged), Some(peer(1)));
        table.look(&[view.clone()], &config, &random, Instant::now());
    }
    assert_eq!(table.connections[&1].health.success(), 0.7);
    table.look(&[], &config, &random, Instant::now() + config.interval.0 * 9);
    assert_eq!(table.next_due(&config, Instant::now() + config.interval.0 * 9), None);
    assert!(table.connections.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_forgotten_and_a_limited_connection_is_let_be() {
    let bench = Bench::new(config());
    for number in 1..=50 {
        bench.connect(number);
    }
    let limited = bench.connect(51);
    bench.node.change(limited, |view| view.limited = true);
    bench.pass(25).await;
    assert_eq!(bench.monitor.summary().connections, 51);
    assert!(bench.node.opens().iter().all(|open| open.connection != limited));
    for number in 1..=50 {
        // In the midst of pings, too.
        bench.node.set_streams(&peer(number), Streams::Silent);
    }
    bench.pass(10).await;
    (1..=50).for_each(|number| bench.node.lose(&peer(number)));
    bench.pass(30).await;
    assert_eq!((bench.monitor.summary().connections, bench.monitor.summary().peers), (1, 1));
    assert_eq!(bench.monitor.health_summary(&peer(1)), None);
    assert_eq!(bench.node.open_streams(), 0);
    let report = bench.monitor.report();
    assert_eq!(report["summary"]["connections"], 1);
    assert_eq!(report["worst"].as_array().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_report_names_the_worst_and_no_more_than_sixteen() {
    let mut config = config();
    config.max_replacements = 0;
    let bench = Bench::new(config);
    for number in 1..=40 {
        bench.connect(number);
    }
    bench.node.set_streams(&peer(7), Streams::Silent);
    bench.pass(200).await;
    let report = bench.monitor.report();
    let worst = report["worst"].as_array().unwrap();
    assert_eq!(worst.len(), 16);
    assert_eq!((&worst[0]["peer"], &worst[0]["state"]), (&peer(7).to_string().into(), &"critical".into()));
    assert_eq!((&report["summary"]["critical"], &report["summary"]["healthy"]), (&1.into(), &39.into()));
    assert_eq!(bench.sink.problems(), []);
}
