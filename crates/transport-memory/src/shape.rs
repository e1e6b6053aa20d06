//! How long what a node sends is on its way.

use crate::{Config, LinkConditions, config::MAX_CAPACITY, rng::SplitMix64};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Bytes that are lost together, as in a packet on Ethernet.
pub(crate) const SEGMENT: usize = 1460;

/// Conditions, capacity and dice of one direction of one link.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) conditions: LinkConditions,
    capacity: usize,
    rng: SplitMix64,
}

impl Shape {
    /// The shape of the directions that a node with this configuration sends on. Values out of range, which only
    /// code can set, count as the nearest one allowed.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            conditions: LinkConditions::of(config),
            capacity: usize::try_from(config.capacity.clamp(1, MAX_CAPACITY)).unwrap_or(usize::MAX),
            rng: SplitMix64::new(config.seed),
        }
    }

    /// The delay of the next segment once it is sent; draws whether it is lost, and its jitter.
    pub(crate) fn delay_of_segment(&mut self) -> Duration {
        let LinkConditions { latency, jitter, loss_percent, retransmit, .. } = self.conditions;
        let mut delay = latency;
        if self.conditions.lose() && self.rng.chance(loss_percent / 100.0) {
            delay = delay.saturating_add(retransmit);
        }
        if !jitter.is_zero() {
            delay = delay.saturating_add(jitter.mul_f64(self.rng.unit()));
        }
        delay
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
