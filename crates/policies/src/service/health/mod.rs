//! `health`: pings live connections, judges how well they do, and replaces those that do badly.
//!
//! Each connection has a turn in every interval: it is pinged on a stream of its own, and judged by the ping, by the
//! streams that were opened on it since, and by how it has done before (`score.rs`). A peer that does not serve pings is
//! judged by the round trip that the muxer has measured, and is not held to be unhealthy for it; the same goes for a
//! limited connection, which has no bytes to spare.
//!
//! A connection that was unhealthy for some judgements in a row is replaced: another one is dialled, and judged by a
//! ping. Only if it is better, and stands, the old one is closed; otherwise the new one is. A peer is never without a
//! connection for it. Streams in use keep a connection, unless it is critical; then they have some time to end.
//!
//! Whether a peer is dead is not judged here: that is `[swarm] dead_after`. A connection that cannot be replaced is kept
//! until then.

mod budget;
mod config;
mod meters;
mod ping;
mod plan;
mod replace;
mod run;
mod score;
mod table;
mod timeout;
mod view;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use score::{ConnectionHealth, HealthState, NoAnswer, Seen};
pub use timeout::AdaptiveTimeout;
pub use view::{ConnectionSummary, HealthSummary, PeerHealth};

use async_trait::async_trait;
use budget::Budget;
use meters::Meters;
use skep_api::{
    BuildCx, PeerId,
    random::Random,
    register_service,
    service::{Needs, NodeControl, Service},
};
use std::sync::{Arc, Mutex};
use table::Table;

register_service! {
    name: "health",
    summary: "pings live connections, scores them, and replaces those that do badly",
    example: "interval = \"60s\"\nmin_health = 0.3\nbad_evaluations = 3\nmax_replacements = 4",
    config: Config,
    build: |config, cx| Ok(Arc::new(HealthMonitor::new(config, cx))),
}

/// The service.
#[derive(Debug)]
pub struct HealthMonitor {
    config: Arc<Config>,
    random: Random,
    meters: Meters,
    /// Shared with the one that a reload has replaced: what was learnt is taken over.
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    table: Table,
    budget: Budget,
}

impl HealthMonitor {
    /// A monitor with a validated configuration. It goes on from where the one left off that it replaces.
    #[must_use]
    pub fn new(config: Config, cx: &BuildCx) -> Self {
        let state = cx.predecessor::<Self>().map_or_else(Arc::default, |before| Arc::clone(&before.state));
        Self { config: Arc::new(config), random: cx.random.clone(), meters: Meters::new(&cx.metrics), state }
    }

    /// The health of all connections that are watched.
    #[must_use]
    pub fn summary(&self) -> HealthSummary {
        self.lock().summary()
    }

    /// The health of the connections to a peer; `None` if there is none.
    #[must_use]
    pub fn health_summary(&self, peer: &PeerId) -> Option<PeerHealth> {
        self.lock().table.of_peer(peer)
    }
}

#[async_trait]
impl Service for HealthMonitor {
    async fn run(&self, node: Arc<dyn NodeControl>) {
        self.watch(node).await;
    }

    fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        needs.second_connection = self.config.max_replacements > 0;
        needs
    }

    /// The summary, and as `worst` the connections with the lowest scores, sixteen at most.
    fn report(&self) -> serde_json::Value {
        let (summary, worst) = {
            let state = self.lock();
            (state.summary(), state.table.worst())
        };
        serde_json::json!({ "summary": summary, "worst": worst })
    }
}
