//! What the monitor counts.

use super::{ping::Pinged, replace::Replaced, score::HealthState};
use skep_api::metrics::{Counters, Gauges, Histogram, Instrument, Sink, Unit, Values};

/// Upper bounds of the round trips of pings, in seconds.
const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The instruments. Registered again by a successor, they are the same.
#[derive(Clone, Debug)]
pub(super) struct Meters {
    pings: Counters,
    times: Histogram,
    connections: Gauges,
    replacements: Counters,
}

impl Meters {
    pub(super) fn new(sink: &Sink) -> Self {
        let outcomes = Values::of(Pinged::NAMES);
        let states = Values::of(HealthState::ALL.map(HealthState::name));
        let ends = Values::of(Replaced::ALL.map(Replaced::name));
        let pings =
            Instrument::new("skep_health_pings", "Pings that have ended.").label("outcome", &outcomes);
        let times = Instrument::new("skep_health_ping_duration", "Round trips of pings that came back.");
        let connections = Instrument::new("skep_health_connections", "Connections that are watched.");
        let replacements = Instrument::new("skep_health_replacements", "Replacements that have ended.");
        Self {
            pings: sink.counters(pings),
            times: sink.histograms(times.unit(Unit::Seconds), &BOUNDS).with(&[]),
            connections: sink.gauges(connections.label("state", &states)),
            replacements: sink.counters(replacements.label("outcome", &ends)),
        }
    }

    pub(super) fn pinged(&self, pinged: Pinged) {
        self.pings.with(&[pinged.name()]).inc();
        if let Pinged::Answered(rtt) = pinged {
            self.times.observe_duration(rtt);
        }
    }

    pub(super) fn replaced(&self, replaced: Replaced) {
        self.replacements.with(&[replaced.name()]).inc();
    }

    /// Shows how many connections there are of each state.
    pub(super) fn states(&self, counts: [usize; 4]) {
        for (state, count) in HealthState::ALL.into_iter().zip(counts) {
            self.connections.with(&[state.name()]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

/// Takes connections off the gauge when the monitor runs no more.
pub(super) struct Shown<'a>(pub(super) &'a Meters);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.0.states([0; 4]);
    }
}
