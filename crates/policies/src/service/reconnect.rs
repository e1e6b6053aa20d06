//! `reconnect`: keeps the node connected to the peers with a keep-alive tag.
//!
//! Peers tagged `keep-alive` or `keep-alive-…` are dialled at start, when they are tagged, and when their last connection
//! has ended, whoever ended it. Attempts never end, and the tag is never taken away: without it the peer is dialled no
//! more. After a loss the first attempt is made at a random moment within `initial_delay`, so that the peers of a node
//! that starts anew do not all come at once; after failures the waits grow up to `max_delay`. A connection has to last
//! for half a minute before failures are forgotten: who accepts and hangs up is not asked once a second for ever.

mod run;

use super::{
    backoff::{Backoffs, Schedule, seconds},
    given::Given,
    keys,
};
use async_trait::async_trait;
use run::Run;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    BuildCx, PeerId, PluginConfig, Problems,
    config::DurationText,
    random::Random,
    register_service,
    service::{Needs, NodeControl, Service},
    tags::CommonTags,
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

register_service! {
    name: "reconnect",
    summary: "dials peers with a keep-alive tag at start and when they are lost, for ever",
    example: "peers = []\ninitial_delay = \"1s\"\nfactor = 2.0\nmax_delay = \"5m\"\njitter = 0.2\nparallel = 5\n\
              interval = \"10s\"",
    config: Config,
    build: |config, cx| Reconnector::new(&config, cx).map(|service| Arc::new(service) as _),
}

/// The keys of `[service.reconnect]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses of peers to keep connected, each with `/p2p/…`, up to 256. Default none; kept for good and tagged
    /// `keep-alive` at start.
    pub peers: Vec<String>,
    /// Wait after the first failure, `"100ms"` to `"1h"`; after a loss, a random part of it. Default `"1s"`; less burdens
    /// a peer that starts anew.
    pub initial_delay: DurationText,
    /// From one wait to the next, 1 to 10. Default 2.
    pub factor: f64,
    /// The longest wait, at least `initial_delay`, up to `"24h"`. Default `"5m"`; more finds a peer later that is back.
    pub max_delay: DurationText,
    /// The share by which a wait is varied at random, 0 to 1. Default 0.2; 0 lets nodes dial at the same moment.
    pub jitter: f64,
    /// Peers dialled at the same time, 1 to 256. Default 5; more take the room of the node's other dials.
    pub parallel: u32,
    /// How often tags are looked at without a cause, `"1s"` to `"1h"`. Default `"10s"`; a peer that is tagged is dialled
    /// that much later.
    pub interval: DurationText,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            peers: Vec::new(),
            initial_delay: DurationText::secs(1),
            factor: 2.0,
            max_delay: DurationText::secs(300),
            jitter: 0.2,
            parallel: 5,
            interval: DurationText::secs(10),
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        const HOUR: Duration = Duration::from_secs(3_600);
        Given::read("peers", &self.peers, problems);
        keys::range(problems, "initial_delay", self.initial_delay, Duration::from_millis(100)..=HOUR);
        if !(1.0..=10.0).contains(&self.factor) {
            problems.add("factor", format!("{} is out of range", self.factor), "allowed: 1 to 10");
        }
        keys::range(problems, "max_delay", self.max_delay, Duration::from_millis(100)..=HOUR * 24);
        keys::order(problems, ("initial_delay", self.initial_delay), ("max_delay", self.max_delay));
        keys::share(problems, "jitter", self.jitter);
        problems.range("parallel", self.parallel.into(), 1..=256);
        keys::range(problems, "interval", self.interval, Duration::from_secs(1)..=HOUR);
    }
}

/// Peers that are kept connected at most; of more, those with the lowest ids.
const MOST: usize = 4_096;

/// Peers that a report shows.
const SHOWN: usize = 100;

/// The service.
#[derive(Debug)]
pub struct Reconnector {
    config: Config,
    given: Given,
    /// Those of the predecessor.
    given_before: Given,
    random: Random,
    backoffs: Mutex<Backoffs>,
    dialling: Arc<AtomicUsize>,
    /// The node, once it runs.
    node: Mutex<Option<Weak<dyn NodeControl>>>,
}

impl Reconnector {
    /// A service with the keys of a table. It takes over what its predecessor knows of failures.
    ///
    /// # Errors
    /// Every address of `peers` that is none.
    pub fn new(config: &Config, cx: &BuildCx) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let given = Given::read("peers", &config.peers, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let schedule = Schedule {
            first: config.initial_delay.0,
            factor: config.factor,
            max: config.max_delay.0,
            jitter: config.jitter,
        };
        let random = cx.random.clone();
        let mut backoffs = Backoffs::new(schedule, MOST, random.clone());
        let before = cx.predecessor::<Self>();
        if let Some(before) = &before {
            backoffs.take_over(&before.lock());
        }
        Ok(Self {
            config: config.clone(),
            given,
            given_before: before.map(|before| before.given.clone()).unwrap_or_default(),
            random,
            backoffs: Mutex::new(backoffs),
            dialling: Arc::default(),
            node: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Backoffs> {
        self.backoffs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn node(&self) -> Option<Arc<dyn NodeControl>> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.upgrade()
    }

    fn shown(&self, node: &dyn NodeControl, peer: &PeerId) -> serde_json::Value {
        let known = self.lock().of(peer, Instant::now());
        let left = known.filter(|known| !known.left.is_zero()).map(|known| seconds(known.left));
        serde_json::json!({
            "peer_id": peer.to_string(),
            "connected": node.is_connected(peer),
            "failures": known.map_or(0, |known| known.failures),
            "last": known.map(|known| known.last).filter(|last| !last.is_empty()),
            "seconds_left": left,
        })
    }
}

/// The peers to be kept connected, in the order of their ids, and how many there are beside them.
fn wanted(node: &dyn NodeControl) -> (Vec<PeerId>, usize) {
    let own = node.local_peer();
    let mut wanted = node.tags().tagged(&CommonTags::is_keep_alive);
    wanted.retain(|peer| *peer != own);
    let more = wanted.len().saturating_sub(MOST);
    wanted.truncate(MOST);
    (wanted, more)
}

#[async_trait]
impl Service for Reconnector {
    async fn run(&self, node: Arc<dyn NodeControl>) {
        *self.node.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(&node));
        Run::new(self, node).run().await;
    }

    fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        needs.peerstore = true;
        needs
    }

    fn report(&self) -> serde_json::Value {
        let Some(node) = self.node() else { return serde_json::Value::Null };
        let (wanted, beyond) = wanted(&*node);
        let peers: Vec<_> = wanted.iter().take(SHOWN).map(|peer| self.shown(&*node, peer)).collect();
        serde_json::json!({
            "dialling": self.dialling.load(Relaxed),
            "more_peers": wanted.len().saturating_sub(peers.len()).saturating_add(beyond),
            "peers": peers,
        })
    }
}

#[cfg(test)]
mod tests;
