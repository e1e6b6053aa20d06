//! From the instruments of a node to text.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::{MetricType, exemplar::Exemplar},
    registry::{Registry, Unit},
};
use skep_api::metrics::{self, Kind, Series, Sink, Value};
use std::fmt;

/// The type of what [`Exporter::render`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The instruments of one node, for a `prometheus-client` registry or as text. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Exporter {
    sink: Sink,
}

impl Exporter {
    /// An exporter of what a sink has.
    #[must_use]
    pub fn new(sink: Sink) -> Self {
        Self { sink }
    }

    /// All instruments at this moment, as OpenMetrics text.
    ///
    /// # Errors
    /// Where an instrument cannot be written.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Exporter {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for snapshot in self.sink.gather() {
            let (Some(kind), unit) = (kind(snapshot.kind), snapshot.unit.map(unit)) else { continue };
            let mut family = encoder.encode_descriptor(snapshot.name, snapshot.help, unit.as_ref(), kind)?;
            for series in &snapshot.series {
                encode(&mut family, series)?;
            }
        }
        Ok(())
    }
}

/// `None` for a kind that this crate does not know yet.
fn kind(kind: Kind) -> Option<MetricType> {
    Some(match kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
        _ => return None,
    })
}

fn unit(unit: metrics::Unit) -> Unit {
    match unit {
        metrics::Unit::Seconds => Unit::Seconds,
        metrics::Unit::Bytes => Unit::Bytes,
        other => Unit::Other(other.name().into()),
    }
}

fn encode(family: &mut MetricEncoder<'_>, series: &Series) -> Result<(), fmt::Error> {
    if series.labels.is_empty() {
        return value(family, &series.value);
    }
    let labels: Vec<(&str, &str)> = series.labels.iter().map(|(name, value)| (*name, &**value)).collect();
    value(&mut family.encode_family(&labels)?, &series.value)
}

fn value(encoder: &mut MetricEncoder<'_>, value: &Value) -> Result<(), fmt::Error> {
    match value {
        Value::Counter(count) => encoder.encode_counter(count, None::<&Exemplar<NoLabelSet, f64>>),
        Value::Gauge(value) => encoder.encode_gauge(value),
        Value::Histogram { sum, buckets } => {
            let count = buckets.iter().fold(0u64, |all, (_, count)| all.saturating_add(*count));
            encoder.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
        }
        _ => Ok(()),
    }
}
