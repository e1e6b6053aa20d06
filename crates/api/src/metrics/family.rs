//! The series of one instrument.

use super::{
    handle::{Counter, Gauge, Handle, Histogram},
    instrument::{Instrument, Kind, MAX_LABELS},
    label::OTHER,
    sink::{Series, Snapshot},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Counters that differ by their labels.
pub type Counters = Family<Counter>;
/// Gauges that differ by their labels.
pub type Gauges = Family<Gauge>;
/// Histograms that differ by their labels.
pub type Histograms = Family<Histogram>;

/// The series of one instrument. Cheap to clone; the default is detached.
#[derive(Clone, Debug, Default)]
pub struct Family<H: Handle>(Option<Arc<Table<H>>>);

/// A value of each label, by its position among the values allowed; [`NONE`] for `other`, and where there is no label.
type Key = [u16; MAX_LABELS];
const NONE: u16 = u16::MAX;

#[derive(Debug)]
pub(super) struct Table<H> {
    pub(super) instrument: Instrument,
    bounds: Arc<[f64]>,
    series: RwLock<BTreeMap<Key, H>>,
    overflow: AtomicU64,
}

impl<H: Handle> Family<H> {
    pub(super) fn new(table: Arc<Table<H>>) -> Self {
        Self(Some(table))
    }

    /// The series with these values, in the order of the instrument's labels. Takes a lock: whoever counts often keeps
    /// the handle.
    #[must_use]
    pub fn with(&self, values: &[&str]) -> H {
        self.0.as_ref().map_or_else(H::default, |table| table.with(values))
    }

    /// Whether it counts for anybody.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.0.is_some()
    }
}

impl<H: Handle> Table<H> {
    pub(super) fn new(instrument: Instrument, bounds: &[f64]) -> Self {
        let series = RwLock::default();
        Self { instrument, bounds: bounds.into(), series, overflow: AtomicU64::new(0) }
    }

    fn with(&self, values: &[&str]) -> H {
        let (key, allowed) = self.key(values);
        if !allowed {
            self.overflow.fetch_add(1, Relaxed);
        }
        if let Some(series) = self.series.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return series.clone();
        }
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let full = !series.contains_key(&key) && series.len() >= self.instrument.max_series;
        if full && allowed {
            self.overflow.fetch_add(1, Relaxed);
        }
        let key = if full { [NONE; MAX_LABELS] } else { key };
        series.entry(key).or_insert_with(|| H::attached(&self.bounds)).clone()
    }

    /// The key of these values, and whether all of them are allowed. A value that is missing is not.
    fn key(&self, values: &[&str]) -> (Key, bool) {
        let mut key = [NONE; MAX_LABELS];
        let mut allowed = values.len() == self.instrument.labels.len();
        for (place, (label, value)) in key.iter_mut().zip(self.instrument.labels.iter().zip(values)) {
            *place = label.values.position(value).unwrap_or(NONE);
            allowed &= *place != NONE;
        }
        (key, allowed)
    }

    /// How often a series was wanted that is not there.
    pub(super) fn overflow(&self) -> u64 {
        self.overflow.load(Relaxed)
    }

    pub(super) fn snapshot(&self, kind: Kind) -> Snapshot {
        let Instrument { name, help, unit, labels, .. } = &self.instrument;
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let value = |(label, at): (&super::label::Label, &u16)| {
            (label.name, if *at == NONE { OTHER.into() } else { label.values.at(*at) })
        };
        let series = series.iter().map(|(key, handle)| Series {
            labels: labels.iter().zip(key).map(value).collect(),
            value: handle.value(),
        });
        Snapshot {
            name,
            full_name: self.instrument.full_name(kind),
            help,
            unit: *unit,
            kind,
            labels: self.instrument.label_names(),
            series: series.collect(),
        }
    }
}
