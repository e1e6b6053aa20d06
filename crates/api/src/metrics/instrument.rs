//! What an instrument is called, counts and is labelled with.

use super::label::{Label, Values};

/// Most labels of one instrument.
pub(super) const MAX_LABELS: usize = 6;

/// Most series of one instrument, where it says nothing else.
const MAX_SERIES: usize = 512;

/// The description of an instrument.
#[derive(Clone, Debug)]
pub struct Instrument {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) unit: Option<Unit>,
    pub(super) labels: Vec<Label>,
    pub(super) max_series: usize,
}

/// The unit of an instrument's values, which ends its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// The word that ends the name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }
}

/// What an instrument does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Counts up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Sorts values into buckets.
    Histogram,
}

impl Kind {
    /// The stable word of the kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Instrument {
    /// An instrument without labels. `name` is such as `skep_connections_opened`, lower case, without `_total` and
    /// without the unit; `help` is a sentence.
    #[must_use]
    pub fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, unit: None, labels: Vec::new(), max_series: MAX_SERIES }
    }

    /// Sets the unit.
    #[must_use]
    pub fn unit(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }

    /// Adds a label, at most the sixth.
    #[must_use]
    pub fn label(mut self, name: &'static str, values: &Values) -> Self {
        self.labels.push(Label { name, values: values.clone() });
        self
    }

    /// Sets how many series there may be, 512 by default. What is beyond goes to one in which every label is `other`.
    #[must_use]
    pub fn max_series(mut self, max: usize) -> Self {
        self.max_series = max;
        self
    }

    /// The name that a scraper sees: with the unit, and of a counter with `_total`.
    pub(super) fn full_name(&self, kind: Kind) -> String {
        let mut name = self.name.to_string();
        if let Some(unit) = self.unit {
            name.push('_');
            name.push_str(unit.name());
        }
        if kind == Kind::Counter {
            name.push_str("_total");
        }
        name
    }

    pub(super) fn label_names(&self) -> Vec<&'static str> {
        self.labels.iter().map(|label| label.name).collect()
    }

    /// What is wrong with it, if anything.
    pub(super) fn flaw(&self) -> Option<&'static str> {
        let names = self.label_names();
        if !is_name(self.name) || !names.iter().all(|name| is_name(name)) {
            return Some("names are of lower-case letters, digits and `_`, and begin with a letter");
        }
        if self.name.ends_with("_total") || self.unit.is_some_and(|unit| self.name.ends_with(unit.name())) {
            return Some("`_total` and the unit are added to the name, and not a part of it");
        }
        if names.len() > MAX_LABELS {
            return Some("an instrument has six labels at most");
        }
        let twice = names.iter().enumerate().any(|(at, name)| names.iter().skip(at + 1).any(|n| n == name));
        // `le` is what the buckets of a histogram are called.
        (twice || names.contains(&"le")).then_some("a label is there twice, or is called `le`")
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
