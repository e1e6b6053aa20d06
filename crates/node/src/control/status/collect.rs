//! From a node to what is said of it.

use super::{About, Connection, Dial, Gate, Listener, Scope, Status, Stream, Tagged, Tally, Totals};
use crate::control::backoff::Load;
use skep_api::{protocol::PeerInfo, resources, security::Role};
use skep_swarm::{DialInFlight, GateInfo, GateTally, ListenerInfo, Swarm, SwarmConn, TagInfo};
use std::time::Duration;

/// What of it is asked for.
#[derive(Clone, Copy, Debug)]
pub(in crate::control) struct Wanted {
    /// Entries of each list, the streams of all connections together.
    pub(in crate::control) max: usize,
    pub(in crate::control) streams: bool,
    pub(in crate::control) config: bool,
}

/// Collects it.
pub(in crate::control) fn status(node: &Swarm, about: &About, wanted: Wanted) -> Status {
    let max = wanted.max;
    let dialler = node.dial_state();
    let mut connections = node.connections();
    connections.sort_by_key(SwarmConn::id);
    let not_listed = connections.len().saturating_sub(max);
    connections.truncate(max);
    let mut streams = if wanted.streams { max } else { 0 };
    let stack = node.stack();
    let resources = stack.resources.as_ref();
    let scopes = resources.map(|resources| resources.object.usage(max)).unwrap_or_default();
    Status {
        peer_id: node.peer_id().to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        profile: about.profile.clone(),
        uptime_seconds: seconds(about.since.elapsed()),
        draining: node.is_draining(),
        totals: totals(node, not_listed),
        listeners: node.listeners().into_iter().take(max).map(Listener::from).collect(),
        connections: connections.iter().map(|conn| connection(conn, &mut streams)).collect(),
        load: Load { in_flight: dialler.in_flight, outstanding: dialler.outstanding, queued: dialler.queued },
        dials: dialler.dials.into_iter().take(max).map(Dial::from).collect(),
        scopes: scopes.into_iter().map(Scope::from).collect(),
        tags: node
            .tagged_peers(max)
            .into_iter()
            .map(|(peer, info)| tagged(&peer.to_string(), info))
            .collect(),
        gates: node.gates().into_iter().map(Gate::from).collect(),
        services: node.service_reports(),
        config: node.plan().filter(|_| wanted.config).map(|plan| plan.show()),
    }
}

impl From<GateInfo> for Gate {
    fn from(info: GateInfo) -> Self {
        let asked = info.tally.into_iter().filter(|tally| tally.allowed > 0 || tally.denied > 0);
        let checkpoints = asked.map(|tally| {
            let GateTally { checkpoint, allowed, denied, .. } = tally;
            (checkpoint.to_string(), Tally { allowed, denied })
        });
        Self { name: info.name, shadow: info.shadow, checkpoints: checkpoints.collect() }
    }
}

fn totals(node: &Swarm, not_listed: usize) -> Totals {
    let metrics = node.metrics();
    Totals {
        connections: metrics.connections,
        not_listed,
        max_connections: node.settings().max_connections,
        inbound: metrics.inbound,
        outbound: metrics.outbound,
        pending_inbound: metrics.pending_inbound,
        peers: metrics.peers,
        streams: metrics.streams,
        tagged_peers: metrics.tagged_peers,
        tasks: metrics.tasks,
        panics: metrics.panics,
        missed_events: metrics.missed_events,
    }
}

/// `room` is how many streams may still be listed.
fn connection(conn: &SwarmConn, room: &mut usize) -> Connection {
    let info = conn.info();
    let open = if *room > 0 { conn.streams() } else { Vec::new() };
    let streams: Vec<_> = open
        .into_iter()
        .take(*room)
        .map(|stream| Stream {
            id: stream.id,
            direction: direction(stream.role).into(),
            protocol: stream.protocol.map(|protocol| protocol.to_string()),
            age_seconds: seconds(stream.age),
        })
        .collect();
    *room = room.saturating_sub(streams.len());
    Connection {
        id: conn.id(),
        peer_id: conn.peer().to_string(),
        direction: direction(info.role).into(),
        kind: if conn.is_limited() { "limited" } else { "direct" }.into(),
        remote: info.remote.to_string(),
        local: info.local.to_string(),
        transport: info.transport.clone(),
        security: info.security.clone(),
        muxer: info.muxer.clone(),
        early_muxer: info.early_muxer,
        age_seconds: seconds(conn.opened_at().elapsed()),
        latency_ms: conn.latency().map(|latency| (latency.as_secs_f64() * 1e6).round() / 1e3),
        leases: conn.num_leases(),
        agent: conn.peer_info().map(|PeerInfo { agent_version, .. }| agent_version),
        num_streams: conn.num_streams(),
        streams,
    }
}

fn tagged(peer: &str, info: TagInfo) -> Tagged {
    let value = info.value();
    Tagged {
        peer_id: peer.into(),
        value,
        tags: info.tags,
        protected_by: info.protected_by.into_iter().collect(),
    }
}

impl From<ListenerInfo> for Listener {
    fn from(info: ListenerInfo) -> Self {
        let addresses = info.addrs.iter().map(ToString::to_string).collect();
        Self { asked: info.asked.to_string(), transport: info.transport, addresses }
    }
}

impl From<DialInFlight> for Dial {
    fn from(dial: DialInFlight) -> Self {
        let peer = dial.peer.map(|peer| peer.to_string());
        let target = peer.or_else(|| dial.addr.map(|addr| addr.to_string())).unwrap_or_default();
        Self { target, callers: dial.callers, elapsed_seconds: seconds(dial.elapsed) }
    }
}

impl From<resources::Usage> for Scope {
    fn from(usage: resources::Usage) -> Self {
        let resources::Usage { scope, resource, current, limit, denied } = usage;
        Self { scope, resource: resource.name().into(), current, limit, denied }
    }
}

fn direction(role: Role) -> &'static str {
    match role {
        Role::Dialer => "outbound",
        Role::Listener => "inbound",
    }
}

/// To the millisecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}
