//! The instruments of a node: what is counted where, under which labels. Every label is bounded: names of plugins,
//! codes, and protocols of this node's own.
//!
//! Call sites are one line each. Steps of the road are counted around their futures in `timed.rs`, gates, the
//! resolver and the bytes of links by decorators in `gate.rs`, `resolver.rs` and `bytes.rs`, streams by what goes with each of them in `stream.rs`. What is looked
//! at when metrics are read is in `scrape.rs`. The page `docs/metrics.md` has all of them.

mod bytes;
mod gate;
mod instruments;
mod prune;
mod resolver;
mod resources;
mod scrape;
mod stream;
mod timed;

use crate::{
    connection::SwarmConn,
    error::{AttemptError, Stage, codes},
    pipeline::upgrade::ConnectionInfo,
    stack::{Named, Stack},
};
use skep_api::{
    CloseReason, Side,
    metrics::{Counters, Histograms, Sink, Values, transport_bytes},
    security::Role,
    transport::RawLink,
};
use std::sync::Arc;
use tokio::time::Instant;

pub(crate) use gate::GateMeter;
pub(crate) use scrape::watch;
pub(crate) use stream::StreamMeter;

/// Where there is no plugin, as none was agreed on or the transport brings its own.
const NONE: &str = "none";
/// What was given up before its end.
const CANCELLED: &str = "cancelled";
/// Codes of applications have no names here.
const APPLICATION: &str = "application";
/// Protocols that are told apart, at most.
const MAX_PROTOCOLS: u16 = 64;

/// Upper bounds for what takes round trips, in seconds.
const QUICK: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0];
/// Upper bounds for the lives of connections, in seconds: from a tenth to a week.
const LONG: [f64; 10] = [0.1, 1.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 43_200.0, 86_400.0, 604_800.0];

/// The instruments of a node. Detached where the node has no sink: then nothing is counted.
#[derive(Debug)]
pub(crate) struct Meters {
    protocols: Values,
    opened: Counters,
    closed: Counters,
    lifetime: Histograms,
    handshakes: Counters,
    handshake_time: Histograms,
    inbound_failures: Counters,
    dials: Counters,
    dial_time: Histograms,
    attempts: Counters,
    skipped: Counters,
    gates: gate::Gates,
    resolutions: (Counters, Histograms),
    bytes: Counters,
    pruned: prune::Pruned,
    streams_opened: Counters,
    streams_agreed: Counters,
    streams_closed: Counters,
    streams_refused: Counters,
}

/// The sets of values that several instruments share.
struct Sets {
    direction: Values,
    transport: Values,
    security: Values,
    muxer: Values,
    stage: Values,
    outcome: Values,
    code: Values,
}

impl Sets {
    fn of(stack: &Stack) -> Self {
        let stages = Stage::ALL.iter().map(|stage| stage.name());
        let outcomes = ["ok", "connected", "existing", CANCELLED];
        Self {
            direction: Values::of(["inbound", "outbound"]),
            transport: names(&stack.transports),
            security: names(&stack.security),
            muxer: names(&stack.muxers),
            stage: Values::of(stages.chain(["ready"])),
            outcome: Values::of(outcomes.into_iter().chain(codes::all())),
            code: Values::of(codes::all()),
        }
    }
}

/// The names of plugins, with their instances.
fn names<T: ?Sized>(plugins: &[Named<T>]) -> Values {
    Values::of(plugins.iter().map(|plugin| plugin.name.as_str()).chain([NONE]))
}

impl Meters {
    /// Registers the instruments.
    pub(crate) fn new(sink: &Sink, stack: &Stack) -> Arc<Self> {
        let sets = Sets::of(stack);
        let protocols = Values::up_to(MAX_PROTOCOLS);
        for id in stack.protocols.iter().flat_map(|protocol| protocol.object.protocols()) {
            protocols.allow(&id);
        }
        let (opened, closed, lifetime) = instruments::connections(sink, &sets);
        let (handshakes, handshake_time, inbound_failures) = instruments::handshakes(sink, &sets);
        let (dials, dial_time, attempts, skipped) = instruments::dials(sink, &sets);
        let [streams_opened, streams_agreed, streams_closed, streams_refused] =
            instruments::streams(sink, &sets, &protocols);
        Arc::new(Self {
            protocols,
            opened,
            closed,
            lifetime,
            handshakes,
            handshake_time,
            inbound_failures,
            dials,
            dial_time,
            attempts,
            skipped,
            gates: gate::Gates::new(sink, stack),
            resolutions: resolver::instruments(sink, stack, &QUICK),
            bytes: transport_bytes(sink, &sets.transport),
            pruned: prune::Pruned::new(sink),
            streams_opened,
            streams_agreed,
            streams_closed,
            streams_refused,
        })
    }

    /// A connection was registered.
    pub(crate) fn connection_opened(&self, info: &ConnectionInfo) {
        self.opened.with(&way(info)).inc();
    }

    /// A connection that was registered has ended.
    pub(crate) fn connection_closed(&self, info: &ConnectionInfo, opened_at: Instant, reason: &CloseReason) {
        let [direction, transport, security, muxer] = way(info);
        let (by, reason) = cause(reason);
        self.closed.with(&[direction, transport, security, muxer, by, reason]).inc();
        self.lifetime.with(&[direction, transport]).observe_duration(opened_at.elapsed());
    }

    /// An inbound connection did not come to be.
    pub(crate) fn inbound_failed(&self, transport: &str, error: &AttemptError) {
        self.inbound_failures.with(&[transport, error.stage.name(), error.cause.code()]).inc();
    }

    /// Counts a try of an address that has led to a connection.
    pub(crate) fn registered(&self, transport: &str, result: &Result<SwarmConn, AttemptError>) {
        let (stage, outcome) = match result {
            Ok(_) => ("ready", "connected"),
            Err(error) => (error.stage.name(), error.cause.code()),
        };
        self.attempts.with(&[transport, stage, outcome]).inc();
    }

    /// An address of a dial was passed over.
    pub(crate) fn skipped(&self, error: &AttemptError) {
        self.skipped.with(&[error.stage.name(), error.cause.code()]).inc();
    }

    /// Counts the bytes of a link from now on.
    pub(crate) fn count_bytes(&self, link: RawLink, transport: &str) -> RawLink {
        bytes::count(&self.bytes, link, transport)
    }

    /// Has the policies of a stack counted from now on.
    pub(crate) fn decorate(&self, stack: &mut Stack) {
        resolver::count(&self.resolutions, stack.resolver.as_mut());
    }

    /// The counters of a gate.
    pub(crate) fn gate(&self, name: &str) -> GateMeter {
        self.gates.of(name)
    }

    /// A stream was opened by this role's end.
    pub(crate) fn stream(self: &Arc<Self>, role: Role) -> StreamMeter {
        StreamMeter::new(self, role)
    }

    /// An inbound stream was reset, as there are too many.
    pub(crate) fn stream_refused(&self) {
        self.streams_refused.with(&[]).inc();
    }
}

/// How a connection came about: direction, transport, security, muxer.
fn way(info: &ConnectionInfo) -> [&str; 4] {
    let (security, muxer) = (info.security.as_deref(), info.muxer.as_deref());
    [direction(info.role), &info.transport, security.unwrap_or(NONE), muxer.unwrap_or(NONE)]
}

fn direction(role: Role) -> &'static str {
    match role {
        Role::Dialer => "outbound",
        Role::Listener => "inbound",
    }
}

fn or_none(plugin: &str) -> &str {
    if plugin.is_empty() { NONE } else { plugin }
}

/// Who ended a connection, and why.
fn cause(reason: &CloseReason) -> (&'static str, &'static str) {
    match reason {
        CloseReason::Closed { by, code, .. } => {
            (if *by == Side::Local { "local" } else { "remote" }, code.name().unwrap_or(APPLICATION))
        }
        CloseReason::Lost { .. } => (NONE, "lost"),
        CloseReason::Violation { .. } => ("remote", "violation"),
        _ => (NONE, APPLICATION),
    }
}
