//! `chaos`: makes what it is around fail, now and then and on purpose, to see what a node makes of it.
//!
//! Every fault follows from a seed. The same seed, and the same calls in the same order, give the same faults; the seed
//! of a node that was given none is in its warning at start-up. Each place that is decorated has a chance of its own, and
//! so has each connection and each stream, so that what happens at one does not move the faults of another.
//!
//! Errors say that they were injected, and by which seed. Where an error has no room for words, which is on streams of a
//! muxer, the code is [`INJECTED`](crate::INJECTED).

mod faults;
mod place;
mod tap;

use crate::{amount::Bytes, around::Place, around::around};
use place::Chaotic;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    PluginConfig, Problems, config::DurationText, decorator::Decorator, muxer::Muxer, register_decorator,
    resolver::Resolver, security::Upgrader, transport::Transport,
};
use std::{sync::Arc, time::Duration};

register_decorator! {
    name: "chaos",
    summary: "makes dials, handshakes, streams and bytes fail on purpose, repeatably, for tests",
    example: "seed = 7\nfail_dials = [1, 3]\nfail_dial_percent = 10\nfail_listen_percent = 0\nfail_accept_percent = 5\n\
              fail_secure_percent = 5\nfail_open_percent = 1\nfail_resolve_percent = 10\ndelay_percent = 20\n\
              delay = \"200ms\"\nbyte_delay_percent = 1\nbyte_delay = \"20ms\"\nreset_percent = 2.5\n\
              drop_percent = 0.5\ncorrupt_percent = 0.5\nwithin = \"64KiB\"",
    config: Config,
    build: |config, cx| {
        let seed = config.seed.unwrap_or_else(|| faults::draw(&cx.random) >> 32);
        Ok(Arc::new(Chaos { config: Arc::new(config), seed }))
    },
}

const MAX_DELAY: Duration = Duration::from_secs(600);
const MAX_WITHIN: u64 = 1 << 40;

/// Most numbers in `fail_dials`.
const MAX_DIALS: usize = 1_000;

/// The keys of `[decorator.chaos]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What the faults follow from, a number from 0. Default: another one at each start, which the node prints.
    pub seed: Option<u64>,
    /// Which dials of each transport fail, counted from 1, such as `[1, 3]`. Default none.
    pub fail_dials: Vec<u64>,
    /// How many of a hundred dials fail beside these, 0 to 100. Default 0.
    pub fail_dial_percent: f64,
    /// How many of a hundred listeners cannot be bound, 0 to 100. Default 0.
    pub fail_listen_percent: f64,
    /// How many of a hundred inbound connections break when they are accepted, 0 to 100. Default 0.
    pub fail_accept_percent: f64,
    /// How many of a hundred security handshakes fail before their first byte, 0 to 100. Default 0.
    pub fail_secure_percent: f64,
    /// How many of a hundred streams cannot be opened, 0 to 100. Default 0.
    pub fail_open_percent: f64,
    /// How many of a hundred lookups of addresses fail, 0 to 100. Default 0.
    pub fail_resolve_percent: f64,
    /// How many of a hundred operations, those that fail among them, come late, 0 to 100. Default 0.
    pub delay_percent: f64,
    /// How late at most, up to `"10m"`. Default `"100ms"`; what takes longer than a deadline fails by it.
    pub delay: DurationText,
    /// How many of a hundred reads and writes that move bytes come late, 0 to 100. Default 0.
    pub byte_delay_percent: f64,
    /// How late at most, up to `"10m"`. Default `"10ms"`.
    pub byte_delay: DurationText,
    /// How many of a hundred byte streams break, 0 to 100. Default 0.
    pub reset_percent: f64,
    /// How many of a hundred byte streams lose all bytes of one direction from some byte on, without a sign, 0 to 100.
    /// Default 0.
    pub drop_percent: f64,
    /// How many of a hundred byte streams have one byte changed, 0 to 100. Default 0.
    pub corrupt_percent: f64,
    /// Among how many bytes of a stream's direction is the one at which it breaks, loses or changes, 1 to `"1TiB"`.
    /// Default `"64KiB"`; a stream that moves fewer than that may be spared.
    pub within: Bytes,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: None,
            fail_dials: Vec::new(),
            fail_dial_percent: 0.0,
            fail_listen_percent: 0.0,
            fail_accept_percent: 0.0,
            fail_secure_percent: 0.0,
            fail_open_percent: 0.0,
            fail_resolve_percent: 0.0,
            delay_percent: 0.0,
            delay: DurationText::millis(100),
            byte_delay_percent: 0.0,
            byte_delay: DurationText::millis(10),
            reset_percent: 0.0,
            drop_percent: 0.0,
            corrupt_percent: 0.0,
            within: Bytes(64 * 1_024),
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        let percents = [
            ("fail_dial_percent", self.fail_dial_percent),
            ("fail_listen_percent", self.fail_listen_percent),
            ("fail_accept_percent", self.fail_accept_percent),
            ("fail_secure_percent", self.fail_secure_percent),
            ("fail_open_percent", self.fail_open_percent),
            ("fail_resolve_percent", self.fail_resolve_percent),
            ("delay_percent", self.delay_percent),
            ("byte_delay_percent", self.byte_delay_percent),
            ("reset_percent", self.reset_percent),
            ("drop_percent", self.drop_percent),
            ("corrupt_percent", self.corrupt_percent),
        ];
        for (key, percent) in percents {
            if !(0.0..=100.0).contains(&percent) {
                problems.add(key, format!("{percent} is out of range"), "allowed: 0 to 100");
            }
        }
        for (key, delay) in [("delay", self.delay), ("byte_delay", self.byte_delay)] {
            if delay.0 > MAX_DELAY {
                problems.add(key, format!("{delay} is out of range"), "allowed: 0s to 10m");
            }
        }
        if self.fail_dials.len() > MAX_DIALS {
            let problem = format!("{} dials are listed", self.fail_dials.len());
            problems.add("fail_dials", problem, format!("allowed: up to {MAX_DIALS}"));
        }
        for (at, _) in self.fail_dials.iter().enumerate().filter(|(_, dial)| **dial == 0) {
            problems.add(&format!("fail_dials[{at}]"), "there is no dial 0", "dials are counted from 1");
        }
        if !(1..=MAX_WITHIN).contains(&self.within.0) {
            problems.add("within", format!("{} is out of range", self.within), "allowed: 1B to 1TiB");
        }
    }
}

/// The decorator.
#[derive(Debug)]
pub struct Chaos {
    config: Arc<Config>,
    seed: u64,
}

impl Chaos {
    /// What repeats its faults.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    fn at(&self, layer: &'static str, plugin: &str) -> Chaotic {
        Chaotic::new(Arc::clone(&self.config), self.seed, &Place::new(layer, plugin))
    }
}

impl Decorator for Chaos {
    fn transport(&self, name: &str, inner: Arc<dyn Transport>) -> Option<Arc<dyn Transport>> {
        Some(around(self.at("transport", name), inner))
    }

    fn security(&self, name: &str, inner: Arc<dyn Upgrader>) -> Option<Arc<dyn Upgrader>> {
        Some(around(self.at("security", name), inner))
    }

    fn muxer(&self, name: &str, inner: Arc<dyn Muxer>) -> Option<Arc<dyn Muxer>> {
        Some(around(self.at("muxer", name), inner))
    }

    fn resolver(&self, name: &str, inner: Arc<dyn Resolver>) -> Option<Arc<dyn Resolver>> {
        Some(around(self.at("resolver", name), inner))
    }

    fn warning(&self) -> Option<String> {
        let seed = self.seed;
        Some(format!("decorator chaos makes connections fail on purpose (seed = {seed}); it is for tests"))
    }
}
