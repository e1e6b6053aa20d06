//! Chance: one source of random numbers for a node, so that a test or a simulation can seed it.
//!
//! Not for secrets: those come from the cryptographic libraries.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A source of random numbers, cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct Random(Arc<Mutex<fastrand::Rng>>);

impl Random {
    /// A source that the system has seeded.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::new())))
    }

    /// A source that gives the same numbers for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    /// From 0 up to, but not, 1.
    #[must_use]
    pub fn unit(&self) -> f64 {
        self.lock().f64()
    }

    /// Less than `bound`; 0 if that is 0.
    #[must_use]
    pub fn below(&self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.lock().usize(..bound) }
    }

    /// Puts values into a random order.
    pub fn shuffle<T>(&self, values: &mut [T]) {
        self.lock().shuffle(values);
    }

    fn lock(&self) -> MutexGuard<'_, fastrand::Rng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself() {
        let draw = |random: &Random| (random.unit(), random.below(1_000), random.below(0));
        assert_eq!(draw(&Random::seeded(7)), draw(&Random::seeded(7)));
        let random = Random::seeded(7);
        assert_ne!(draw(&random).0, draw(&random.clone()).0);
    }
}
