//! Instruments that several crates share.

use super::{
    family::Counters,
    instrument::{Instrument, Unit},
    label::Values,
    sink::Sink,
};

/// The bytes that transports move, by the name of the transport and by `received` or `sent`.
///
/// The swarm counts those of raw links. A transport that comes secured and multiplexed registers itself under its name
/// and counts what its sockets move.
#[must_use]
pub fn transport_bytes(sink: &Sink, transports: &Values) -> Counters {
    let help = "Bytes that transports moved, handshakes and framing included.";
    let instrument = Instrument::new("skep_transport", help).unit(Unit::Bytes).label("transport", transports);
    sink.counters(instrument.label("flow", &Values::of(["received", "sent"])))
}
