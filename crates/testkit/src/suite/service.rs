//! Services: the obligations `V1` to `V5` of [`skep_api::service`], on a [model node](crate::node).
//!
//! What a service is for, the suite cannot know: it looks at what holds of all of them.

use super::build;
use crate::{
    cx::build_cx,
    harness::{self, Broken, Outcome, ensure, suite},
    node::{FakeNode, Reach, addr, peer},
};
use skep_api::{
    CloseReason, Plugin,
    peerstore::Ttl,
    plugin::layer,
    random::Random,
    security::Role,
    service::{NodeControl, Service},
    tags::CommonTags,
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{sleep, timeout},
};

suite! { $
    /// Tests of a service with a table: `service_suite!(my_service::PLUGIN, "interval = \"5s\"");`
    service_suite in service, fixture: Fixture;
    v0_a_node_with_nothing_is_survived,
    v1_dropping_run_ends_what_it_does,
    v1_it_may_outlive_the_node,
    v2_a_report_on_many_peers_is_bounded,
    v3_what_was_missed_is_found_all_the_same,
    v4_tasks_run_in_the_nodes_scope,
    v5_the_report_is_an_object_or_null,
}

const MINUTE: Duration = Duration::from_secs(60);

/// How to build the service under test.
#[derive(Clone)]
pub struct Fixture {
    build: Arc<dyn Fn() -> Arc<dyn Service> + Send + Sync>,
}

impl Fixture {
    /// Tests this plugin with this table, in TOML.
    #[must_use]
    pub fn of(plugin: Plugin<layer::Service>, table: &str) -> Self {
        let table = table.to_string();
        Self::new(move || build(&plugin, &table, &build_cx().with_random(Random::seeded(7))))
    }

    /// Tests the services that a function makes.
    pub fn new(build: impl Fn() -> Arc<dyn Service> + Send + Sync + 'static) -> Self {
        Self { build: Arc::new(build) }
    }

    fn on(&self, node: &Arc<FakeNode>) -> Running {
        let service = (self.build)();
        let (task, node) = (Arc::clone(&service), Arc::clone(node));
        Running { service, task: Some(tokio::spawn(async move { task.run(node).await })) }
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

impl harness::Fixture for Fixture {}

/// A service that runs.
struct Running {
    service: Arc<dyn Service>,
    task: Option<JoinHandle<()>>,
}

impl Running {
    /// Lets time pass.
    async fn wait(&mut self, time: Duration) -> Outcome {
        sleep(time).await;
        let finished = self.task.as_ref().is_some_and(JoinHandle::is_finished);
        if finished { self.end().await } else { Ok(()) }
    }

    /// Drops the future of `run`, unless it has returned.
    async fn end(&mut self) -> Outcome {
        let Some(task) = self.task.take() else { return Ok(()) };
        task.abort();
        match task.await {
            Err(e) if e.is_panic() => Err(Broken(format!("`run` panicked: {e}"))),
            _ => Ok(()),
        }
    }
}

/// Peers 1 to 12: the first six can be reached, and some have a tag or a connection.
fn busy() -> Arc<FakeNode> {
    let node = FakeNode::new();
    for n in 1..=12 {
        node.know(&peer(n), &[addr(&format!("/ip4/10.0.{n}.1/tcp/1"))], Ttl::Permanent);
        node.set_reach(&peer(n), if n <= 6 { Reach::UP } else { Reach::REFUSES });
    }
    for (n, tag) in [(1, CommonTags::KEEP_ALIVE), (2, CommonTags::KEEP_ALIVE), (3, CommonTags::BOOTSTRAP)] {
        // The model takes every tag.
        drop(node.tags().tag(&peer(n), tag, 10));
    }
    node.connect(&peer(4), Role::Listener, addr("/ip4/10.0.4.1/tcp/2"));
    node.connect(&peer(1), Role::Dialer, addr("/ip4/10.0.1.1/tcp/1"));
    node
}

/// A node without peers and without a peer store is no reason to panic, nor to spin.
pub async fn v0_a_node_with_nothing_is_survived(fixture: Fixture) -> Outcome {
    for node in [FakeNode::new(), FakeNode::with(None)] {
        let mut running = fixture.on(&node);
        running.wait(2 * MINUTE).await?;
        node.miss();
        node.discover(&peer(1));
        running.wait(2 * MINUTE).await?;
        running.end().await?;
    }
    Ok(())
}

/// V1. When its future is dropped, at whatever moment, nothing of it is left: no dial, no stream, no subscription.
pub async fn v1_dropping_run_ends_what_it_does(fixture: Fixture) -> Outcome {
    for after in [0, 1, 10, 30, 1_000, 60_000] {
        let node = busy();
        node.set_reach(&peer(2), Reach::Never);
        let mut running = fixture.on(&node);
        running.wait(Duration::from_millis(after)).await?;
        running.end().await?;
        let left = (node.dialling(), node.open_streams(), node.subscribers());
        ensure!(left == (0, 0, 0), "after {after} ms: (dials, streams, subscriptions) left: {left:?}");
        let dials = node.dials().len();
        sleep(MINUTE).await;
        ensure!(node.dials().len() == dials, "it dials after its end");
    }
    Ok(())
}

/// V1. A node that has ended is no reason to panic, nor to spin.
pub async fn v1_it_may_outlive_the_node(fixture: Fixture) -> Outcome {
    let node = busy();
    let mut running = fixture.on(&node);
    running.wait(MINUTE).await?;
    node.end();
    running.wait(MINUTE).await?;
    running.end().await
}

/// V2. However many peers come and go, what a report says of them is bounded.
pub async fn v2_a_report_on_many_peers_is_bounded(fixture: Fixture) -> Outcome {
    const MOST: usize = 256 * 1_024;
    let node = busy();
    let mut running = fixture.on(&node);
    for n in 100..1_100 {
        node.set_reach(&peer(n), Reach::REFUSES);
        node.know(&peer(n), &[addr(&format!("/memory/{n}"))], Ttl::Temporary);
        drop(node.tags().tag(&peer(n), CommonTags::KEEP_ALIVE, 1));
        let id = node.connect(&peer(n), Role::Listener, addr("/memory/1"));
        if n % 16 == 0 {
            running.wait(Duration::from_millis(100)).await?;
        }
        if n % 2 == 0 {
            node.disconnect(id, lost());
        }
    }
    running.wait(MINUTE).await?;
    let len = running.service.report().to_string().len();
    ensure!(len <= MOST, "the report on a thousand peers has {len} bytes");
    running.end().await
}

/// V3. When connections were lost and nobody was told, it comes to the same as if it had been told.
pub async fn v3_what_was_missed_is_found_all_the_same(fixture: Fixture) -> Outcome {
    let mut ends = Vec::new();
    for missed in [false, true] {
        let node = busy();
        let mut running = fixture.on(&node);
        running.wait(MINUTE + MINUTE / 6).await?;
        for view in node.connections() {
            node.disconnect(view.id, lost());
        }
        if missed {
            node.miss();
        }
        running.wait(3 * MINUTE).await?;
        running.end().await?;
        ends.push(node.connected_peers());
    }
    let [told, missed] = ends.as_slice() else { return Err(Broken("two ends".into())) };
    ensure!(
        told == missed,
        "{told} peers are connected three minutes after it was told, {missed} when it was not"
    );
    Ok(())
}

/// V4. What it starts beside `run` is in the node's scope, which ends it with the node.
pub async fn v4_tasks_run_in_the_nodes_scope(fixture: Fixture) -> Outcome {
    let alive = || Handle::current().metrics().num_alive_tasks();
    let before = alive();
    let node = busy();
    let mut running = fixture.on(&node);
    running.wait(MINUTE).await?;
    running.end().await?;
    sleep(MINUTE).await;
    let strays = alive().saturating_sub(before).saturating_sub(node.live_tasks());
    ensure!(strays == 0, "{strays} tasks run outside of the node's scope");
    node.end();
    ensure!(
        timeout(MINUTE, async {
            while alive() > before {
                sleep(Duration::from_secs(1)).await;
            }
        })
        .await
        .is_ok(),
        "tasks go on after the node"
    );
    Ok(())
}

/// V5. The report is a JSON object or null: before `run`, while it runs, and after it.
pub async fn v5_the_report_is_an_object_or_null(fixture: Fixture) -> Outcome {
    let node = busy();
    let mut running = fixture.on(&node);
    for moment in ["before it runs", "while it runs", "after the node has ended", "after its end"] {
        let report = running.service.report();
        ensure!(report.is_object() || report.is_null(), "{moment}, the report is {report}");
        match moment {
            "before it runs" => running.wait(MINUTE).await?,
            "while it runs" => node.end(),
            _ => running.end().await?,
        }
    }
    Ok(())
}

fn lost() -> CloseReason {
    CloseReason::Lost { what: "the path broke".into() }
}
