//! The sink: the instruments of one node.

use super::{
    family::{Counters, Family, Gauges, Histograms, Table},
    handle::{Counter, Gauge, Handle, Histogram},
    instrument::{Instrument, Kind, Unit},
};
use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The counter of what found no series of its own, by `metric`.
pub const OVERFLOW: &str = "skep_metrics_overflow";

/// Most mistakes that are remembered.
const MAX_PROBLEMS: usize = 64;

/// The instruments of one node. Cheap to clone; the default is detached, and what it gives counts nothing.
#[derive(Clone, Default)]
pub struct Sink(Option<Arc<Inner>>);

#[derive(Default)]
struct Inner {
    /// By the name that a scraper sees.
    tables: Mutex<BTreeMap<String, Any>>,
    watchers: Mutex<Vec<Watcher>>,
    problems: Mutex<Vec<Problem>>,
}

type Watcher = Arc<dyn Fn() -> bool + Send + Sync>;

#[derive(Clone)]
enum Any {
    Counters(Arc<Table<Counter>>),
    Gauges(Arc<Table<Gauge>>),
    Histograms(Arc<Table<Histogram>>),
}

/// An instrument that was not registered. What its code counts is lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The description is not one of an instrument.
    #[error("metric {name:?} cannot be: {why}")]
    Flawed {
        /// The name given.
        name: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// Another instrument of another kind, or with other labels, has the name.
    #[error("metric {name:?} is there already, and is another one; give it a name of its own")]
    Taken {
        /// The name given.
        name: &'static str,
    },
}

/// An instrument at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The name as registered.
    pub name: &'static str,
    /// The name that a scraper sees: with the unit, and of a counter with `_total`.
    pub full_name: String,
    /// What it counts.
    pub help: &'static str,
    /// The unit of its values.
    pub unit: Option<Unit>,
    /// What it does.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: Vec<&'static str>,
    /// Its series, those that were ever asked for.
    pub series: Vec<Series>,
}

/// One series at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Series {
    /// The labels and their values.
    pub labels: Vec<(&'static str, Arc<str>)>,
    /// The value.
    pub value: Value,
}

/// The value of a series at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Of a counter.
    Counter(u64),
    /// Of a gauge.
    Gauge(i64),
    /// Of a histogram.
    Histogram {
        /// The sum of the values.
        sum: f64,
        /// How many values each bucket has of its own, by upper bound; the last bound is infinite.
        buckets: Vec<(f64, u64)>,
    },
}

impl Sink {
    /// A sink without instruments yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether it counts. Where it does not, work that only serves counting can be left out.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.0.is_some()
    }

    /// Registers counters. An instrument that is there already, with the same labels, is shared, and its labels take the
    /// values of both descriptions, as two instances of a plugin have them. One that cannot be is in [`Sink::problems`], and what it gives counts nothing.
    #[must_use]
    pub fn counters(&self, instrument: Instrument) -> Counters {
        let pick = |any: &Any| if let Any::Counters(table) = any { Some(Arc::clone(table)) } else { None };
        self.register(instrument, Kind::Counter, &[], Any::Counters, pick)
    }

    /// Registers gauges, as [`Sink::counters`] does counters.
    #[must_use]
    pub fn gauges(&self, instrument: Instrument) -> Gauges {
        let pick = |any: &Any| if let Any::Gauges(table) = any { Some(Arc::clone(table)) } else { None };
        self.register(instrument, Kind::Gauge, &[], Any::Gauges, pick)
    }

    /// Registers histograms, as [`Sink::counters`] does counters. `bounds` are the upper bounds of the buckets, rising,
    /// without the infinite one.
    #[must_use]
    pub fn histograms(&self, instrument: Instrument, bounds: &[f64]) -> Histograms {
        let pick = |any: &Any| if let Any::Histograms(table) = any { Some(Arc::clone(table)) } else { None };
        let rising = bounds.iter().zip(bounds.iter().skip(1)).all(|(low, high)| low < high);
        if !rising || !bounds.iter().all(|bound| bound.is_finite()) {
            self.problem(Problem::Flawed { name: instrument.name, why: "bounds are finite and rising" });
            return Histograms::default();
        }
        self.register(instrument, Kind::Histogram, bounds, Any::Histograms, pick)
    }

    /// Calls `look` before every [`Sink::gather`], to set gauges to what they are at that moment. It holds what it looks
    /// at weakly, does not block, and says whether that is still there: after `false`, or a panic, it is called no more.
    pub fn on_scrape(&self, look: impl Fn() -> bool + Send + Sync + 'static) {
        if let Some(inner) = &self.0 {
            lock(&inner.watchers).push(Arc::new(look));
        }
    }

    /// All instruments at this moment, by name.
    #[must_use]
    pub fn gather(&self) -> Vec<Snapshot> {
        let Some(inner) = &self.0 else { return Vec::new() };
        // Not under the lock: what is called may register instruments.
        let watchers = lock(&inner.watchers).clone();
        let gone = |watcher: &&Watcher| !catch_unwind(AssertUnwindSafe(|| watcher())).unwrap_or(false);
        let gone: Vec<_> = watchers.iter().filter(gone).collect();
        lock(&inner.watchers).retain(|watcher| !gone.iter().any(|gone| Arc::ptr_eq(gone, watcher)));
        let tables = lock(&inner.tables).clone();
        let mut all: Vec<_> = tables.values().map(Any::snapshot).collect();
        all.push(overflow(tables.values()));
        all
    }

    /// The instruments that could not be registered: mistakes of the code that registers them.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        self.0.as_ref().map_or_else(Vec::new, |inner| lock(&inner.problems).clone())
    }

    fn register<H: Handle>(
        &self,
        instrument: Instrument,
        kind: Kind,
        bounds: &[f64],
        wrap: fn(Arc<Table<H>>) -> Any,
        pick: impl FnOnce(&Any) -> Option<Arc<Table<H>>>,
    ) -> Family<H> {
        let Some(inner) = &self.0 else { return Family::default() };
        let name = instrument.name;
        if let Some(why) = instrument.flaw() {
            self.problem(Problem::Flawed { name, why });
            return Family::default();
        }
        let full_name = instrument.full_name(kind);
        let mut tables = lock(&inner.tables);
        let Some(known) = tables.get(&full_name) else {
            let table = Arc::new(Table::new(instrument, bounds));
            tables.insert(full_name, wrap(Arc::clone(&table)));
            return Family::new(table);
        };
        let same = pick(known).filter(|table| table.instrument.label_names() == instrument.label_names());
        drop(tables);
        match same {
            Some(table) => {
                let labels = table.instrument.labels.iter().zip(&instrument.labels);
                labels.for_each(|(known, new)| known.values.absorb(&new.values));
                Family::new(table)
            }
            None => {
                self.problem(Problem::Taken { name });
                Family::default()
            }
        }
    }

    fn problem(&self, problem: Problem) {
        let Some(inner) = &self.0 else { return };
        let mut problems = lock(&inner.problems);
        if problems.len() < MAX_PROBLEMS && !problems.contains(&problem) {
            problems.push(problem);
        }
    }
}

impl Any {
    fn snapshot(&self) -> Snapshot {
        match self {
            Self::Counters(table) => table.snapshot(Kind::Counter),
            Self::Gauges(table) => table.snapshot(Kind::Gauge),
            Self::Histograms(table) => table.snapshot(Kind::Histogram),
        }
    }

    fn overflow(&self) -> (&Instrument, Kind, u64) {
        match self {
            Self::Counters(table) => (&table.instrument, Kind::Counter, table.overflow()),
            Self::Gauges(table) => (&table.instrument, Kind::Gauge, table.overflow()),
            Self::Histograms(table) => (&table.instrument, Kind::Histogram, table.overflow()),
        }
    }
}

/// What found no series of its own. An instrument that always found one is left out.
fn overflow<'a>(tables: impl Iterator<Item = &'a Any>) -> Snapshot {
    let help =
        "Series that were wanted and went to `other`, as a value is not allowed or there are too many.";
    let instrument = Instrument::new(OVERFLOW, help);
    let counted = tables.map(Any::overflow).filter(|(.., count)| *count > 0);
    let series = counted.map(|(instrument, kind, count)| Series {
        labels: vec![("metric", instrument.full_name(kind).into())],
        value: Value::Counter(count),
    });
    let (full_name, kind) = (instrument.full_name(Kind::Counter), Kind::Counter);
    Snapshot {
        name: OVERFLOW,
        full_name,
        help,
        unit: None,
        kind,
        labels: vec!["metric"],
        series: series.collect(),
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instruments = self.0.as_ref().map(|inner| lock(&inner.tables).len());
        f.debug_struct("Sink").field("instruments", &instruments).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
