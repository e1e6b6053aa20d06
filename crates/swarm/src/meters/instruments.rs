//! The instruments of the road: connections, handshakes, dials, streams.

use super::{APPLICATION, CANCELLED, LONG, NONE, QUICK, Sets, stream};
use crate::error::Stage;
use skep_api::{
    Code,
    metrics::{Counters, Histograms, Instrument, Sink, Unit, Values},
};

pub(super) fn connections(sink: &Sink, sets: &Sets) -> (Counters, Counters, Histograms) {
    let new = |name, help| {
        let instrument = Instrument::new(name, help).label("direction", &sets.direction);
        instrument.label("transport", &sets.transport)
    };
    let opened = new("skep_connections_opened", "Connections that were registered.");
    let closed = new("skep_connections_closed", "Connections that were registered and have ended.");
    let ways = |i: Instrument| i.label("security", &sets.security).label("muxer", &sets.muxer);
    let by = Values::of(["local", "remote", NONE]);
    let named = Code::NAMED.iter().filter_map(|code| code.name());
    let reason = Values::of(named.chain(["lost", "violation", APPLICATION]));
    let lifetime = new("skep_connection_duration", "How long connections lived, from their registration.");
    (
        sink.counters(ways(opened)),
        sink.counters(ways(closed).label("by", &by).label("reason", &reason)),
        sink.histograms(lifetime.unit(Unit::Seconds), &LONG),
    )
}

pub(super) fn handshakes(sink: &Sink, sets: &Sets) -> (Counters, Histograms, Counters) {
    let new = |name, help| {
        let stage = Values::of([Stage::Security.name(), Stage::Muxer.name()]);
        let instrument = Instrument::new(name, help).label("stage", &stage);
        instrument.label("plugin", &sets.plugins()).label("direction", &sets.direction)
    };
    let handshakes = new("skep_handshakes", "Steps of upgrades, their negotiation included.");
    let time = new("skep_handshake_duration", "How long steps of upgrades took that succeeded.");
    let failures = Instrument::new("skep_inbound_failures", "Inbound connections that did not come to be.")
        .label("transport", &sets.transport)
        .label("stage", &sets.stage)
        .label("code", &sets.code);
    (
        sink.counters(handshakes.label("outcome", &sets.outcome)),
        sink.histograms(time.unit(Unit::Seconds), &QUICK),
        sink.counters(failures),
    )
}

impl Sets {
    /// The plugins that shake hands.
    fn plugins(&self) -> Values {
        Values::of(self.security.all().iter().chain(&self.muxer.all()))
    }
}

pub(super) fn dials(sink: &Sink, sets: &Sets) -> (Counters, Histograms, Counters, Counters) {
    let dials = Instrument::new("skep_dials", "Dials, by what their callers were told.");
    let time =
        Instrument::new("skep_dial_duration", "How long callers of dials waited, but for what was there.");
    let attempts = Instrument::new("skep_dial_attempts", "Tries of single addresses, by where they ended.");
    let skipped = Instrument::new("skep_dial_addresses_skipped", "Addresses of dials that were passed over.");
    let class = Values::of(["connected", "failed", CANCELLED]);
    let attempts = attempts.label("transport", &sets.transport).label("stage", &sets.stage);
    (
        sink.counters(dials.label("outcome", &sets.outcome)),
        sink.histograms(time.unit(Unit::Seconds).label("outcome", &class), &QUICK),
        sink.counters(attempts.label("outcome", &sets.outcome)),
        sink.counters(skipped.label("stage", &sets.stage).label("code", &sets.code)),
    )
}

pub(super) fn streams(sink: &Sink, sets: &Sets, protocols: &Values) -> [Counters; 4] {
    let new = |name, help| Instrument::new(name, help).label("direction", &sets.direction);
    let opened = new("skep_streams_opened", "Streams that were opened.");
    let agreed = new(
        "skep_streams_agreed",
        "Streams whose protocol was agreed on, or is taken for that until the peer answers.",
    );
    let closed = new("skep_streams_closed", "Streams that have ended.");
    let refused =
        Instrument::new("skep_streams_refused", "Inbound streams that were reset: there were too many.");
    [
        sink.counters(opened),
        sink.counters(agreed.label("protocol", protocols)),
        sink.counters(closed.label("outcome", &stream::outcomes())),
        sink.counters(refused),
    ]
}
