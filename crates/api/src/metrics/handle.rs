//! Handles: what code counts with.

use super::sink::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Counts up. The default is detached: it counts nothing.
#[derive(Clone, Debug, Default)]
pub struct Counter(Option<Arc<AtomicU64>>);

impl Counter {
    /// Counts one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Counts `n`.
    pub fn add(&self, n: u64) {
        if let Some(cell) = &self.0 {
            cell.fetch_add(n, Relaxed);
        }
    }

    /// Sets what something else has counted so far. Never goes down.
    pub fn raise_to(&self, total: u64) {
        if let Some(cell) = &self.0 {
            cell.fetch_max(total, Relaxed);
        }
    }

    /// The count so far; 0 where it is detached.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.as_ref().map_or(0, |cell| cell.load(Relaxed))
    }
}

/// A whole number that goes up and down. The default is detached.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Option<Arc<AtomicI64>>);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: i64) {
        if let Some(cell) = &self.0 {
            cell.store(value, Relaxed);
        }
    }

    /// Adds to the value, or takes from it.
    pub fn add(&self, n: i64) {
        if let Some(cell) = &self.0 {
            cell.fetch_add(n, Relaxed);
        }
    }

    /// The value; 0 where it is detached.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.as_ref().map_or(0, |cell| cell.load(Relaxed))
    }
}

/// Sorts values into buckets, with their number and their sum. The default is detached.
#[derive(Clone, Debug, Default)]
pub struct Histogram(Option<Arc<Buckets>>);

#[derive(Debug)]
struct Buckets {
    /// Upper bounds, rising. What is above the last one has the last count.
    bounds: Arc<[f64]>,
    counts: Box<[AtomicU64]>,
    /// The bits of an `f64`.
    sum: AtomicU64,
}

impl Histogram {
    /// Takes a value. What is no number is left out.
    pub fn observe(&self, value: f64) {
        let Some(buckets) = self.0.as_ref().filter(|_| value.is_finite()) else { return };
        let at = buckets.bounds.iter().position(|bound| value <= *bound).unwrap_or(buckets.bounds.len());
        if let Some(count) = buckets.counts.get(at) {
            count.fetch_add(1, Relaxed);
        }
        let add = |sum| Some((f64::from_bits(sum) + value).to_bits());
        let _ = buckets.sum.fetch_update(Relaxed, Relaxed, add);
    }

    /// Takes a duration, in seconds.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(duration.as_secs_f64());
    }

    /// How many values it has taken; 0 where it is detached.
    #[must_use]
    pub fn count(&self) -> u64 {
        let Some(buckets) = &self.0 else { return 0 };
        buckets.counts.iter().fold(0, |sum, count| count.load(Relaxed).wrapping_add(sum))
    }
}

/// What a family is of: counters, gauges or histograms.
pub trait Handle: Clone + Default + sealed::Sealed {}
impl Handle for Counter {}
impl Handle for Gauge {}
impl Handle for Histogram {}

pub(super) mod sealed {
    use super::{Arc, Value};

    pub trait Sealed {
        /// One that counts.
        fn attached(bounds: &Arc<[f64]>) -> Self;
        fn value(&self) -> Value;
    }
}

impl sealed::Sealed for Counter {
    fn attached(_: &Arc<[f64]>) -> Self {
        Self(Some(Arc::default()))
    }

    fn value(&self) -> Value {
        Value::Counter(self.get())
    }
}

impl sealed::Sealed for Gauge {
    fn attached(_: &Arc<[f64]>) -> Self {
        Self(Some(Arc::default()))
    }

    fn value(&self) -> Value {
        Value::Gauge(self.get())
    }
}

impl sealed::Sealed for Histogram {
    fn attached(bounds: &Arc<[f64]>) -> Self {
        let counts = bounds.iter().map(|_| AtomicU64::new(0)).chain([AtomicU64::new(0)]).collect();
        Self(Some(Arc::new(Buckets { bounds: Arc::clone(bounds), counts, sum: AtomicU64::new(0) })))
    }

    fn value(&self) -> Value {
        let Some(buckets) = &self.0 else { return Value::Histogram { sum: 0.0, buckets: Vec::new() } };
        let bounds = buckets.bounds.iter().copied().chain([f64::INFINITY]);
        let counts = buckets.counts.iter().map(|count| count.load(Relaxed));
        let sum = f64::from_bits(buckets.sum.load(Relaxed));
        Value::Histogram { sum, buckets: bounds.zip(counts).collect() }
    }
}
