//! `metrics`: counts and times what passes at the places that it is around.
//!
//! What a node counts by itself is seen from the road that a connection takes. This one stands between two layers, so that
//! what goes into a plugin and what comes out of it can be compared: bytes around a transport are those on the wire, bytes
//! around a security upgrade are those that the muxer wrote, bytes around a muxer those of the streams.
//!
//! It has no keys. A node without metrics leaves what it is around as it is.

use crate::around::{Conn, Ends, Flow, Hooks, Operation, Outcome, PerFlow, Place, Stream, Tap, around};
use skep_api::{
    config::NoConfig,
    decorator::Decorator,
    error::Kind,
    metrics::{Counter, Counters, Histograms, Instrument, Sink, Unit, Values},
    muxer::{Muxer, MuxerErrorKind},
    register_decorator,
    resolver::{ResolveErrorKind, Resolver},
    security::{SecurityErrorKind, Upgrader},
    transport::{Transport, TransportErrorKind},
};
use std::{fmt::Display, sync::Arc, time::Duration};

register_decorator! {
    name: "metrics",
    summary: "counts and times the operations and bytes of what it is around",
    example: "",
    config: NoConfig,
    build: |_, cx| Ok(Arc::new(Metrics { sink: cx.metrics.clone() })),
}

/// Upper bounds of durations, in seconds.
const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0];

/// The outcomes of operations that came to no error.
const OK: &str = "ok";
const CANCELLED: &str = "cancelled";

/// The decorator.
#[derive(Debug)]
pub struct Metrics {
    sink: Sink,
}

impl Metrics {
    fn at<I: ?Sized>(
        &self,
        layer: &'static str,
        plugin: &str,
        inner: Arc<I>,
        wrap: impl FnOnce(Counting, Arc<I>) -> Arc<I>,
    ) -> Arc<I> {
        if !self.sink.is_attached() {
            return inner;
        }
        wrap(Counting::new(&self.sink, Place::new(layer, plugin)), inner)
    }
}

impl Decorator for Metrics {
    fn transport(&self, name: &str, inner: Arc<dyn Transport>) -> Option<Arc<dyn Transport>> {
        Some(self.at("transport", name, inner, |hooks, inner| around(hooks, inner)))
    }

    fn security(&self, name: &str, inner: Arc<dyn Upgrader>) -> Option<Arc<dyn Upgrader>> {
        Some(self.at("security", name, inner, |hooks, inner| around(hooks, inner)))
    }

    fn muxer(&self, name: &str, inner: Arc<dyn Muxer>) -> Option<Arc<dyn Muxer>> {
        Some(self.at("muxer", name, inner, |hooks, inner| around(hooks, inner)))
    }

    fn resolver(&self, name: &str, inner: Arc<dyn Resolver>) -> Option<Arc<dyn Resolver>> {
        Some(self.at("resolver", name, inner, |hooks, inner| around(hooks, inner)))
    }
}

/// The instruments of one place.
#[derive(Debug)]
struct Counting {
    place: Place,
    operations: Counters,
    time: Histograms,
    bytes: Bytes,
}

/// The counters of the bytes of one place.
#[derive(Clone, Debug)]
struct Bytes(PerFlow<Counter>);

impl Counting {
    fn new(sink: &Sink, place: Place) -> Self {
        let layer = Values::of([place.layer]);
        let plugin = Values::of([&*place.plugin]);
        let new = |name, help| Instrument::new(name, help).label("layer", &layer).label("plugin", &plugin);
        let operation = Values::of(Operation::ALL.map(Operation::name));
        let operations =
            new("skep_decorated_operations", "Operations of plugins that are decorated with metrics.")
                .label("operation", &operation)
                .label("outcome", &outcomes());
        let time = new("skep_decorated_operation_duration", "How long these operations took that succeeded.")
            .unit(Unit::Seconds)
            .label("operation", &operation);
        let bytes = new("skep_decorated", "Bytes that passed above plugins that are decorated with metrics.")
            .unit(Unit::Bytes)
            .label("flow", &Values::of(Flow::ALL.map(Flow::name)));
        let (operations, time, bytes) =
            (sink.counters(operations), sink.histograms(time, &BOUNDS), sink.counters(bytes));
        let flow = |flow: Flow| bytes.with(&[place.layer, &place.plugin, flow.name()]);
        let bytes = Bytes(PerFlow { received: flow(Flow::Received), sent: flow(Flow::Sent) });
        Self { place, operations, time, bytes }
    }
}

/// All that an operation of any layer can come to.
fn outcomes() -> Values {
    let transport = TransportErrorKind::ALL.iter().map(|kind| kind.code());
    let security = SecurityErrorKind::ALL.iter().map(|kind| kind.code());
    let muxer = MuxerErrorKind::ALL.iter().map(|kind| kind.code());
    let resolver = ResolveErrorKind::ALL.iter().map(|kind| kind.code());
    // `other` is what the metrics call a value that they do not know.
    let codes = transport.chain(security).chain(muxer).chain(resolver).map(told_apart);
    Values::of([OK, CANCELLED].into_iter().chain(codes))
}

/// The word of an outcome; `other` means something else to metrics.
fn told_apart(code: &'static str) -> &'static str {
    if code == skep_api::metrics::OTHER { "failed" } else { code }
}

impl Hooks for Counting {
    type Conn = Bytes;

    fn after(&self, operation: Operation, _: &dyn Display, outcome: Outcome<'_>, took: Option<Duration>) {
        let Place { layer, plugin } = &self.place;
        let word = match outcome {
            Outcome::Done => OK,
            Outcome::Failed(code, _) => told_apart(code),
            Outcome::Cancelled => CANCELLED,
        };
        self.operations.with(&[layer, plugin, operation.name(), word]).inc();
        if let (Outcome::Done, Some(took)) = (outcome, took) {
            self.time.with(&[layer, plugin, operation.name()]).observe_duration(took);
        }
    }

    fn connection(&self, _: &Ends<'_>) -> Bytes {
        self.bytes.clone()
    }
}

impl Conn for Bytes {
    type Tap = Self;

    fn tap(&self, _: Option<Stream>) -> Self {
        self.clone()
    }
}

impl Tap for Bytes {
    fn passed(&mut self, flow: Flow, bytes: &[u8]) {
        self.0.of(flow).add(bytes.len() as u64);
    }
}
