//! The monitor on a model node, in paused time.

mod pings;
mod property;
mod reload;
mod replacing;
mod score;

use super::{Config, HealthMonitor, HealthState, PeerHealth};
use skep_api::{
    BuildCx, PeerId,
    config::DurationText,
    metrics::{Sink, Value},
    peerstore::Ttl,
    random::Random,
    security::Role,
    service::{NodeControl, Service},
};
use skep_testkit::{
    build_cx,
    node::{FakeNode, Reach, addr, peer},
};
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinHandle, time::sleep};

/// How often the invariants are checked.
const STEP: Duration = Duration::from_millis(100);

fn config() -> Config {
    Config {
        interval: DurationText::secs(10),
        min_timeout: DurationText::secs(1),
        max_timeout: DurationText::secs(8),
        max_ping: DurationText::millis(200),
        backoff: DurationText::secs(60),
        max_backoff: DurationText::secs(600),
        drain: DurationText::secs(5),
        ..Config::default()
    }
}

fn cx(sink: &Sink) -> BuildCx {
    build_cx().with_metrics(sink.clone()).with_random(Random::seeded(1))
}

/// A monitor that watches a model node.
struct Bench {
    node: Arc<FakeNode>,
    monitor: Arc<HealthMonitor>,
    task: JoinHandle<()>,
    sink: Sink,
}

impl Bench {
    fn new(config: Config) -> Self {
        Self::on(FakeNode::new(), config)
    }

    fn on(node: Arc<FakeNode>, config: Config) -> Self {
        let sink = Sink::new();
        let monitor = Arc::new(HealthMonitor::new(config, &cx(&sink)));
        let task = run(&monitor, &node);
        Self { node, monitor, task, sink }
    }

    /// A connection of this node to a peer that can be dialled again.
    fn connect(&self, number: u64) -> u64 {
        self.node.set_reach(&peer(number), Reach::UP);
        self.node.know(&peer(number), &[addr("/ip4/192.0.2.1/tcp/1")], Ttl::Permanent);
        self.node.connect(&peer(number), Role::Dialer, addr("/ip4/192.0.2.1/tcp/1"))
    }

    fn health(&self, number: u64) -> PeerHealth {
        self.monitor.health_summary(&peer(number)).unwrap()
    }

    /// The state and the unhealthy judgements of a peer's first connection.
    fn judged(&self, number: u64) -> (HealthState, u32) {
        let health = self.health(number);
        (health.connections[0].state, health.connections[0].bad_in_a_row)
    }

    /// Lets time pass until `until` holds, for a day at most, and checks `always` at every step.
    async fn until(&self, always: impl Fn(), until: impl Fn() -> bool) {
        for _ in 0..864_000 {
            always();
            if until() {
                return;
            }
            sleep(STEP).await;
        }
        panic!("it did not come to that within a day");
    }

    /// Ends the monitor, as a reload does.
    async fn end(&mut self) {
        self.task.abort();
        drop((&mut self.task).await);
    }

    async fn pass(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    /// The value of a counter or gauge with this label.
    fn count(&self, metric: &str, label: &str) -> u64 {
        let all = self.sink.gather();
        let found = all.iter().find(|snapshot| snapshot.full_name == metric).unwrap();
        let series = found.series.iter().find(|series| series.labels.iter().any(|(_, v)| **v == *label));
        series.map_or(0, |series| match series.value {
            Value::Counter(n) => n,
            Value::Gauge(n) => n.try_into().unwrap(),
            _ => panic!("{metric} is a histogram"),
        })
    }

    fn replaced(&self, outcome: &str) -> u64 {
        self.count("skep_health_replacements_total", outcome)
    }
}

fn run(monitor: &Arc<HealthMonitor>, node: &Arc<FakeNode>) -> JoinHandle<()> {
    let (monitor, node) = (Arc::clone(monitor), Arc::clone(node) as Arc<dyn NodeControl>);
    tokio::spawn(async move { monitor.run(node).await })
}

fn connected(node: &FakeNode, peer: &PeerId) -> bool {
    node.is_connected(peer)
}
