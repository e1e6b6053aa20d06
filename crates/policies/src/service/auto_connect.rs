//! `auto_connect`: keeps the node connected to enough peers.
//!
//! It looks at how things are: at a timer, and soon after a connection has ended, a peer has been discovered or a dial
//! has ended. While fewer peers are connected than `target`, it dials as many as are missing, never more, and gives a
//! dial up when others have connected meanwhile. Who is dialled first is in `auto_connect/choose.rs`.
//!
//! A peer that failed is left alone for `cooldown`, twice as long after each further failure. A dial in which no address
//! was tried is none: this node was against it, not the peer. A connection that ends within a minute is one: the peer,
//! or this node, had no use for it.

mod candidates;
mod choose;
mod run;

use super::{
    backoff::{Backoffs, Cooldown, Schedule, shown},
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
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

register_service! {
    name: "auto_connect",
    summary: "keeps the node connected to a number of peers, out of those the peer store knows",
    example: "target = 32\ninterval = \"30s\"\nparallel = 8\nbootstrap = []\nbootstrap_until = 4\n\
              cooldown = \"5m\"\nmax_cooldown = \"1h\"\njitter = 0.1\ncooldown_entries = 4096\nstart_within = \"0s\"",
    config: Config,
    build: |config, cx| AutoConnector::new(&config, cx).map(|service| Arc::new(service) as _),
}

/// The keys of `[service.auto_connect]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Peers to be connected to, either side's dials counted, 1 to 100000. Default 32; each costs a connection. Keep it
    /// below the pruner's low mark.
    pub target: u32,
    /// How often it looks without a cause, `"1s"` to `"1h"`. Default `"30s"`; less reads the peer store more often.
    pub interval: DurationText,
    /// Peers dialled at the same time, 1 to 256. Default 8; more take the room of the node's other dials.
    pub parallel: u32,
    /// Addresses of peers that others are found through, each with `/p2p/…`, up to 256. Default none; kept for good and
    /// tagged `bootstrap` at start.
    pub bootstrap: Vec<String>,
    /// Below this many connected peers those tagged `bootstrap` are dialled first, otherwise last; up to 100000.
    /// Default 4; more burdens them.
    pub bootstrap_until: u32,
    /// How long a peer is left alone after a failure, `"1s"` to `"24h"`; twice as long after each further one. Default
    /// `"5m"`; less dials dead peers more often.
    pub cooldown: DurationText,
    /// The longest that a peer is left alone, at least `cooldown`, up to `"168h"`. Default `"1h"`.
    pub max_cooldown: DurationText,
    /// The share by which a cooldown is varied at random, 0 to 1. Default 0.1; 0 lets nodes dial at the same moment.
    pub jitter: f64,
    /// Peers whose failures are remembered, 1 to 1000000. Default 4096; each costs about 150 bytes.
    pub cooldown_entries: u32,
    /// The first dials start at a random moment within this time, up to `"1h"`. Default `"0s"`; more spreads the start of
    /// many nodes.
    pub start_within: DurationText,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            target: 32,
            interval: DurationText::secs(30),
            parallel: 8,
            bootstrap: Vec::new(),
            bootstrap_until: 4,
            cooldown: DurationText::secs(300),
            max_cooldown: DurationText::secs(3_600),
            jitter: 0.1,
            cooldown_entries: 4_096,
            start_within: DurationText::secs(0),
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        const HOUR: Duration = Duration::from_secs(3_600);
        const SECOND: Duration = Duration::from_secs(1);
        problems.range("target", self.target.into(), 1..=100_000);
        keys::range(problems, "interval", self.interval, SECOND..=HOUR);
        problems.range("parallel", self.parallel.into(), 1..=256);
        Given::read("bootstrap", &self.bootstrap, problems);
        problems.range("bootstrap_until", self.bootstrap_until.into(), 0..=100_000);
        keys::range(problems, "cooldown", self.cooldown, SECOND..=HOUR * 24);
        keys::range(problems, "max_cooldown", self.max_cooldown, SECOND..=HOUR * 168);
        keys::order(problems, ("cooldown", self.cooldown), ("max_cooldown", self.max_cooldown));
        keys::share(problems, "jitter", self.jitter);
        problems.range("cooldown_entries", self.cooldown_entries.into(), 1..=1_000_000);
        keys::range(problems, "start_within", self.start_within, Duration::ZERO..=HOUR);
    }
}

/// Cooldowns that a report shows.
const SHOWN: usize = 50;

/// The service.
#[derive(Debug)]
pub struct AutoConnector {
    config: Config,
    bootstrap: Given,
    /// Those of the predecessor.
    bootstrap_before: Given,
    random: Random,
    cooldowns: Mutex<Backoffs>,
    dialling: Arc<AtomicUsize>,
    look: Notify,
    /// The node, once it runs.
    node: Mutex<Option<Weak<dyn NodeControl>>>,
}

impl AutoConnector {
    /// A service with the keys of a table. It takes over the cooldowns of its predecessor.
    ///
    /// # Errors
    /// Every address of `bootstrap` that is none.
    pub fn new(config: &Config, cx: &BuildCx) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let bootstrap = Given::read("bootstrap", &config.bootstrap, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let schedule = Schedule {
            first: config.cooldown.0,
            factor: 2.0,
            max: config.max_cooldown.0,
            jitter: config.jitter,
        };
        let random = cx.random.clone();
        let mut cooldowns = Backoffs::new(schedule, keys::count(config.cooldown_entries), random.clone());
        let before = cx.predecessor::<Self>();
        if let Some(before) = &before {
            cooldowns.take_over(&before.lock());
        }
        Ok(Self {
            config: config.clone(),
            bootstrap,
            bootstrap_before: before.map(|before| before.bootstrap.clone()).unwrap_or_default(),
            random,
            cooldowns: Mutex::new(cooldowns),
            dialling: Arc::default(),
            look: Notify::new(),
            node: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Backoffs> {
        self.cooldowns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn node(&self) -> Option<Arc<dyn NodeControl>> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.upgrade()
    }

    /// Looks at once instead of at the next tick.
    pub fn maybe_connect(&self) {
        self.look.notify_one();
    }

    /// A connection to a peer was made, by whomever: its failures are forgotten.
    pub fn record_successful_connection(&self, peer: &PeerId) {
        self.lock().forget(peer);
    }

    /// A connection to a peer could not be made: it is left alone for longer than before.
    pub fn record_failed_connection(&self, peer: &PeerId) {
        self.lock().fail(peer, "recorded", 0, Instant::now());
    }

    /// Lets a peer be dialled again. Whether it was left alone.
    pub fn clear_cooldown(&self, peer: &PeerId) -> bool {
        self.lock().forget(peer)
    }

    /// Lets all peers be dialled again.
    pub fn clear_all_cooldowns(&self) {
        self.lock().clear();
    }

    /// The peers that are left alone, the last touched first.
    #[must_use]
    pub fn cooldowns(&self) -> Vec<Cooldown> {
        self.lock().list(Instant::now()).collect()
    }
}

#[async_trait]
impl Service for AutoConnector {
    async fn run(&self, node: Arc<dyn NodeControl>) {
        *self.node.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(&node));
        Run::new(self, node).run().await;
    }

    fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        (needs.peerstore, needs.peers) = (true, self.config.target as usize);
        needs
    }

    fn report(&self) -> serde_json::Value {
        let (cooldowns, more) = shown(self.lock().list(Instant::now()), SHOWN);
        serde_json::json!({
            "target": self.config.target,
            "connected": self.node().map_or(0, |node| node.connected_peers()),
            "dialling": self.dialling.load(Relaxed),
            "cooldowns": cooldowns,
            "more_cooldowns": more,
        })
    }
}

#[cfg(test)]
mod tests;
