use super::*;
use skep_testkit::node::Streams;

/// What a reload builds in the place of a monitor.
fn successor(bench: &Bench, config: Config) -> Arc<HealthMonitor> {
    let before: Arc<dyn std::any::Any + Send + Sync> = bench.monitor.clone();
    Arc::new(HealthMonitor::new(config, &cx(&bench.sink).replacing(Some(before))))
}

#[tokio::test(start_paused = true)]
async fn a_successor_goes_on_with_what_was_learnt() {
    let mut bench = Bench::new(Config { max_replacements: 0, ..config() });
    let old = bench.connect(1);
    bench.connect(2);
    bench.node.set_streams_on(old, Streams::Silent);
    bench.pass(1).await;
    bench.until(|| (), || bench.judged(1).1 == 2).await;
    let (pings, health) = (bench.count("skep_health_pings_total", "answered"), bench.health(1));

    // A build alone changes nothing: the reload may still fail.
    let next = successor(&bench, config());
    assert_eq!((bench.health(1), next.health_summary(&peer(1)).unwrap()), (health.clone(), health));
    bench.end().await;
    assert_eq!(bench.count("skep_health_connections", "healthy"), 0);
    (bench.task, bench.monitor) = (run(&next, &bench.node), next);
    // One judgement more, and it is replaced.
    let begun = bench.node.now();
    bench.until(|| assert!(connected(&bench.node, &peer(1))), || bench.replaced("replaced") == 1).await;
    assert!(bench.node.now() - begun < Duration::from_secs(20));
    bench.pass(1).await;
    assert_eq!(bench.count("skep_health_connections", "healthy"), 2);
    assert!(bench.count("skep_health_pings_total", "answered") > pings);
    assert_eq!(bench.sink.problems(), []);
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_is_dropped_and_taken_up_again() {
    let mut bench = Bench::new(config());
    let old = bench.connect(1);
    bench.node.change(old, |view| view.busy = 1);
    bench.node.set_streams_on(old, Streams::Silent);
    bench.until(|| (), || bench.node.ids(&peer(1)).len() == 2).await;
    // In the midst of waiting for its streams.
    bench.pass(2).await;
    let next = successor(&bench, config());
    bench.end().await;
    assert_eq!((bench.node.open_streams(), bench.node.live_tasks()), (0, 0));
    (bench.task, bench.monitor) = (run(&next, &bench.node), next);
    bench.node.change(old, |view| view.busy = 0);
    bench.until(|| assert!(connected(&bench.node, &peer(1))), || bench.replaced("surplus") == 1).await;
    assert!(!bench.node.ids(&peer(1)).contains(&old));
    assert_eq!(bench.node.dials().len(), 1);
}
