//! What is looked at when metrics are read: the node as it is at that moment.

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
    dials: Gauge,
    running: Gauge,
    queued: Gauge,
    left_alone: [Gauge; 2],
    paths: Vec<(&'static str, Gauge)>,
    peerstore: [Gauge; 3],
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
            max_permits: node.0.settings.max_connections as usize,
            listeners: node.0.listeners.lock().unwrap_or_else(PoisonError::into_inner).len(),
            dials: node.dial_state(),
            peerstore: node.peerstore().map(|store| store.stats()).unwrap_or_default(),
        }
    }
}

impl Gauges {
    fn new(sink: &Sink, node: &Swarm) -> Self {
        let plain = |name, help| sink.gauges(Instrument::new(name, help)).with(&[]);
        let by = |name, help, label, values: &[&str]| {
            let gauges = sink.gauges(Instrument::new(name, help).label(label, &Values::of(values)));
            move |value: &str| gauges.with(&[value])
        };
        let version = env!("CARGO_PKG_VERSION");
        by("skep_node", "Always 1, with the version of this node.", "version", &[version])(version).set(1);
        let direction = ["inbound", "outbound"];
        let connections = by("skep_connections", "Connections that are registered.", "direction", &direction);
        let attempts = ["running", "queued"];
        let attempts =
            by("skep_dial_attempts_open", "Addresses that are tried, or wait for it.", "state", &attempts);
        let left = by(
            "skep_dial_left_alone",
            "Addresses and peers that are not dialled because they failed.",
            "what",
            &["addresses", "peers"],
        );
        let entries = ["peers", "addresses", "records"];
        let peerstore = by("skep_peerstore_entries", "What the peer store has.", "what", &entries);
        let paths: Vec<_> = node.dial_state().paths.iter().map(|path| path.path).collect();
        let closed = "1 while a kind of path is not dialled because it swallows dials, otherwise 0.";
        let path = by("skep_dial_path_closed", closed, "path", &paths);
        let panics = Instrument::new("skep_task_panics", "Tasks that panicked.");
        Self {
            inbound: connections("inbound"),
            outbound: connections("outbound"),
            peers: plain("skep_peers", "Peers with at least one connection."),
            streams: plain("skep_streams", "Streams that are open."),
            permits: plain("skep_connection_permits", "Permits in use: connections and their handshakes."),
            max_permits: plain(
                "skep_connection_permits_limit",
                "Permits there are: `swarm.max_connections`.",
            ),
            tasks: plain("skep_tasks", "Tasks that run."),
            panics: sink.counters(panics).with(&[]),
            listeners: plain("skep_listeners", "Listeners that are bound."),
            dials: plain("skep_dials_in_flight", "Dials under way that can be joined."),
            running: attempts("running"),
            queued: attempts("queued"),
            left_alone: [left("addresses"), left("peers")],
            paths: paths.into_iter().map(|name| (name, path(name))).collect(),
            peerstore: entries.map(peerstore),
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
        set(&self.dials, now.dials.in_flight);
        set(&self.running, now.dials.outstanding);
        set(&self.queued, now.dials.queued);
        let [addrs, peers] = &self.left_alone;
        set(addrs, now.dials.addrs.len());
        set(peers, now.dials.peers.len());
        for (name, gauge) in &self.paths {
            let closed = now.dials.paths.iter().any(|path| path.path == *name && path.closed);
            gauge.set(closed.into());
        }
        let [peers, addrs, records] = &self.peerstore;
        set(peers, now.peerstore.peers);
        set(addrs, now.peerstore.addrs);
        set(records, now.peerstore.records);
    }
}

fn set(gauge: &Gauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
