//! Metrics: what a node counts, for whoever looks.
//!
//! A plugin registers its instruments with the [`Sink`] of its node, which comes in [`BuildCx`](crate::BuildCx), and
//! keeps the handles. A handle is a clone of a pointer to an atomic number: counting is one atomic addition, without a
//! call through a trait object, a lock or an allocation. A node without metrics has a detached sink, whose handles do
//! nothing.
//!
//! ```
//! use skep_api::metrics::{Instrument, Sink, Values};
//!
//! let sink = Sink::new();
//! let outcome = Values::of(["hit", "miss"]);
//! let lookups = sink.counters(Instrument::new("my_lookups", "Names that were looked up.").label("outcome", &outcome));
//! let (hit, miss) = (lookups.with(&["hit"]), lookups.with(&["miss"]));
//! hit.inc();
//! miss.add(2);
//! assert_eq!(sink.gather()[0].series.len(), 2);
//! ```
//!
//! # Rules
//!
//! * Labels are bounded: each has its [`Values`], named by this node's own code. A peer id, an address or a text
//!   from a peer is never one of them.
//! * A value that is not among them goes to the value `other`; a series beyond the instrument's cap goes to one in
//!   which every label is `other`. Both are counted in `skep_metrics_overflow_total`.
//! * Nothing is process-global: two nodes have two sinks.
//! * What is looked at when metrics are read ([`Sink::on_scrape`]) is held weakly, so that it can go.

mod family;
mod handle;
mod instrument;
mod known;
mod label;
mod sink;

pub use family::{Counters, Family, Gauges, Histograms};
pub use handle::{Counter, Gauge, Histogram};
pub use instrument::{Instrument, Kind, Unit};
pub use known::transport_bytes;
pub use label::{OTHER, Values};
pub use sink::{OVERFLOW, Problem, Series, Sink, Snapshot, Value};

#[cfg(test)]
mod tests;
