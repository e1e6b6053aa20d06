//! How long what a node sends is on its way.

use crate::{
    Config,
    config::{MAX_CAPACITY, MAX_DELAY},
    rng::SplitMix64,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Bytes that are lost together, as in a packet on Ethernet.
pub(crate) const SEGMENT: usize = 1460;

/// Delay, loss and capacity of one direction of one link.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    latency: Duration,
    loss: f64,
    retransmit: Duration,
    capacity: usize,
    rng: SplitMix64,
}

impl Shape {
    /// The shape of the directions that a node with this configuration sends on. Values out of range, which only
    /// code can set, count as the nearest one allowed.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            latency: config.latency.0.min(MAX_DELAY),
            loss: config.loss_percent.clamp(0.0, 100.0) / 100.0,
            retransmit: config.retransmit.0.min(MAX_DELAY),
            capacity: usize::try_from(config.capacity.clamp(1, MAX_CAPACITY)).unwrap_or(usize::MAX),
            rng: SplitMix64::new(config.seed),
        }
    }

    /// Whether all arrives the moment that it is sent.
    pub(crate) fn is_instant(&self) -> bool {
        self.latency.is_zero() && !self.loses()
    }

    /// Whether single segments can be late.
    pub(crate) fn loses(&self) -> bool {
        self.loss > 0.0 && !self.retransmit.is_zero()
    }

    /// The delay of the next segment; draws whether it is lost.
    pub(crate) fn delay_of_segment(&mut self) -> Duration {
        let lost = self.loses() && self.rng.chance(self.loss);
        if lost { self.latency.saturating_add(self.retransmit) } else { self.latency }
    }

    /// The delay of what is never lost, one way.
    pub(crate) fn latency(&self) -> Duration {
        self.latency
    }

    /// Bytes that may be on their way or unread.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }
}

/// Makes the shapes of one link after the other, each with a generator of its own. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Shapes {
    base: Shape,
    seed: u64,
    made: Arc<AtomicU64>,
}

impl Shapes {
    /// Shapes for the links that a node dials.
    pub(crate) fn for_dials(config: &Config) -> Self {
        Self { base: Shape::new(config), seed: config.seed, made: Arc::default() }
    }

    /// Shapes for the links that a node accepts. Their losses are not those of the links that it dials.
    pub(crate) fn for_accepts(config: &Config) -> Self {
        Self { seed: !config.seed, ..Self::for_dials(config) }
    }

    /// The shape of the next link.
    pub(crate) fn next(&self) -> Shape {
        let n = self.made.fetch_add(1, Ordering::Relaxed);
        Shape { rng: SplitMix64::nth(self.seed, n), ..self.base.clone() }
    }
}
