//! What is looked at when metrics are read: the node as it is at that moment.

use super::resources::Resources;
use crate::{Metrics, dial::DialState, swarm::Swarm};
use skep_api::{
    metrics::{Counter, Gauge, Instrument, Sink, Values},
    peerstore::PeerStoreStats,
};
use std::sync::{Arc, PoisonError, Weak};

/// The gauges of a node.
struct Gauges {
    inbound: Gauge,
    outbound: Gauge,
    peers: Gauge,
    streams: Gauge,
    permits: Gauge,
    max_permits: Gauge,
    tasks: Gauge,
    panics: Counter,
    listeners: Gauge,
    peerstore: [Gauge; 3],
    dials: Dials,
    subscribers: Gauge,
    waiting: Gauge,
    missed: Counter,
    tagged: Gauge,
    resources: Option<Resources>,
}

/// The gauges of its dialler.
struct Dials {
    in_flight: Gauge,
    running: Gauge,
    queued: Gauge,
    addrs: Gauge,
    peers: Gauge,
    paths: Vec<(&'static str, Gauge)>,
}

/// The node at one moment; all zero when it is gone.
#[derive(Default)]
struct Moment {
    metrics: Metrics,
    max_permits: usize,
    listeners: usize,
    dials: DialState,
    peerstore: PeerStoreStats,
}

/// Has the gauges of `node` set whenever metrics are read.
pub(crate) fn watch(sink: &Sink, node: &Swarm) {
    if !sink.is_attached() {
        return;
    }
    let gauges = Gauges::new(sink, node);
    let node = Arc::downgrade(&node.0);
    sink.on_scrape(move || {
        let node = Weak::upgrade(&node).map(Swarm);
        gauges.set(&node.as_ref().map(Moment::of).unwrap_or_default());
        node.is_some()
    });
}

impl Moment {
    fn of(node: &Swarm) -> Self {
        Self {
            metrics: node.metrics(),
            max_permits: node.settings().max_connections as usize,
            listeners: node.0.listeners.lock().unwrap_or_else(PoisonError::into_inner).len(),
            dials: node.dial_state(),
            peerstore: node.peerstore().map(|store| store.stats()).unwrap_or_default(),
        }
    }
}

impl Gauges {
    fn new(sink: &Sink, node: &Swarm) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let about = "Always 1, with the version of this node.";
        by(sink, "skep_node", about, ("version", &[version]))(version).set(1);
        let direction = ("direction", &["inbound", "outbound"][..]);
        let connections = by(sink, "skep_connections", "Connections that are registered.", direction);
        let entries = ["peers", "addresses", "records"];
        let peerstore = by(sink, "skep_peerstore_entries", "What the peer store has.", ("what", &entries));
        let plain = |name, help| plain(sink, name, help);
        let missed = "Events that subscribers were too slow for.";
        let stack = node.stack();
        let resources = stack.resources.as_ref();
        let permits = "Permits in use: connections, and handshakes under way.";
        Self {
            inbound: connections("inbound"),
            outbound: connections("outbound"),
            peers: plain("skep_peers", "Peers with at least one connection."),
            streams: plain("skep_streams", "Streams that are open."),
            permits: plain("skep_connection_permits", permits),
            max_permits: plain(
                "skep_connection_permits_limit",
                "Permits there are: `swarm.max_connections`.",
            ),
            tasks: plain("skep_tasks", "Tasks that run."),
            panics: sink.counters(Instrument::new("skep_task_panics", "Tasks that panicked.")).with(&[]),
            listeners: plain("skep_listeners", "Listeners that are bound."),
            peerstore: entries.map(peerstore),
            dials: Dials::new(sink, &node.dial_state()),
            subscribers: plain("skep_event_subscribers", "Subscribers to events."),
            waiting: plain("skep_events_waiting", "Events that wait for the slowest subscriber."),
            missed: sink.counters(Instrument::new("skep_events_missed", missed)).with(&[]),
            tagged: plain("skep_tagged_peers", "Peers with tags or protections."),
            resources: resources.map(|resources| Resources::new(sink, &resources.object)),
        }
    }

    fn set(&self, now: &Moment) {
        set(&self.inbound, now.metrics.inbound);
        set(&self.outbound, now.metrics.outbound);
        set(&self.peers, now.metrics.peers);
        set(&self.streams, now.metrics.streams);
        set(&self.permits, now.metrics.permits);
        set(&self.max_permits, now.max_permits);
        set(&self.tasks, now.metrics.tasks);
        self.panics.raise_to(now.metrics.panics);
        set(&self.listeners, now.listeners);
        let [peers, addrs, records] = &self.peerstore;
        set(peers, now.peerstore.peers);
        set(addrs, now.peerstore.addrs);
        set(records, now.peerstore.records);
        self.dials.set(&now.dials);
        set(&self.subscribers, now.metrics.subscribers);
        set(&self.waiting, now.metrics.waiting_events);
        self.missed.raise_to(now.metrics.missed_events);
        set(&self.tagged, now.metrics.tagged_peers);
        if let Some(resources) = &self.resources {
            resources.look();
        }
    }
}

impl Dials {
    fn new(sink: &Sink, now: &DialState) -> Self {
        let states = ("state", &["running", "queued"][..]);
        let attempts = "Addresses that are tried, or wait for it.";
        let attempts = by(sink, "skep_dial_attempts_open", attempts, states);
        let what = ("what", &["addresses", "peers"][..]);
        let left = "Addresses and peers that are not dialled because they failed.";
        let left = by(sink, "skep_dial_left_alone", left, what);
        let paths: Vec<_> = now.paths.iter().map(|path| path.path).collect();
        let closed = "1 while a kind of path is not dialled because it swallows dials, otherwise 0.";
        let closed = by(sink, "skep_dial_path_closed", closed, ("path", &paths));
        Self {
            in_flight: plain(sink, "skep_dials_in_flight", "Dials under way that can be joined."),
            running: attempts("running"),
            queued: attempts("queued"),
            addrs: left("addresses"),
            peers: left("peers"),
            paths: paths.into_iter().map(|name| (name, closed(name))).collect(),
        }
    }

    fn set(&self, now: &DialState) {
        set(&self.in_flight, now.in_flight);
        set(&self.running, now.outstanding);
        set(&self.queued, now.queued);
        set(&self.addrs, now.addrs.len());
        set(&self.peers, now.peers.len());
        for (name, gauge) in &self.paths {
            let closed = now.paths.iter().any(|path| path.path == *name && path.closed);
            gauge.set(closed.into());
        }
    }
}

/// A gauge without labels.
fn plain(sink: &Sink, name: &'static str, help: &'static str) -> Gauge {
    sink.gauges(Instrument::new(name, help)).with(&[])
}

/// The gauges of one label, by its value.
fn by(
    sink: &Sink,
    name: &'static str,
    help: &'static str,
    (label, values): (&'static str, &[&str]),
) -> impl Fn(&str) -> Gauge + use<> {
    let gauges = sink.gauges(Instrument::new(name, help).label(label, &Values::of(values)));
    move |value| gauges.with(&[value])
}

pub(super) fn set(gauge: &Gauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
