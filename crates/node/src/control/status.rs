//! `status`: what a node is and does.

use super::backoff::Load;
use serde::{Deserialize, Serialize};
use skep_api::{protocol::PeerInfo, resources, security::Role};
use skep_swarm::{DialInFlight, ListenerInfo, Swarm, SwarmConn, TagInfo};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// What a node's control socket knows of it beside the node itself.
#[derive(Clone, Debug)]
pub struct About {
    /// The name of its profile.
    pub profile: String,
    /// Its effective configuration, in TOML.
    pub config: Arc<str>,
    /// When it was started.
    pub since: Instant,
}

impl About {
    /// A node that starts now.
    #[must_use]
    pub fn new(profile: &str, config: &str) -> Self {
        Self { profile: profile.into(), config: config.into(), since: Instant::now() }
    }
}

/// The answer to `status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// Who it is.
    pub peer_id: String,
    /// The program.
    pub version: String,
    /// The name of its profile.
    pub profile: String,
    /// How long it has been running.
    pub uptime_seconds: f64,
    /// Whether it lets its streams come to an end and takes on nothing new.
    pub draining: bool,
    /// Numbers of all there is, also of what the lists below leave out.
    pub totals: Totals,
    /// Listeners, with the addresses that can be dialled.
    pub listeners: Vec<Listener>,
    /// Connections, the oldest first.
    pub connections: Vec<Connection>,
    /// How busy the dialler is.
    pub load: Load,
    /// Dials under way.
    pub dials: Vec<Dial>,
    /// What the resource manager has granted; empty without one.
    pub scopes: Vec<Scope>,
    /// Peers with tags or protections, the protected first, then the most valuable.
    pub tags: Vec<Tagged>,
    /// The effective configuration, in TOML; if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
}

/// Numbers of all there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Totals {
    /// Registered connections, those that are being closed included.
    pub connections: usize,
    /// Live connections that the list leaves out.
    pub not_listed: usize,
    /// How many there may be.
    pub max_connections: u32,
    /// Of these, those that peers dialled.
    pub inbound: usize,
    /// Of these, those that this node dialled.
    pub outbound: usize,
    /// Inbound ones in their handshake.
    pub pending_inbound: usize,
    /// Peers with a connection.
    pub peers: usize,
    /// Open streams.
    pub streams: usize,
    /// Peers with tags or protections.
    pub tagged_peers: usize,
    /// Tasks that run.
    pub tasks: usize,
    /// Tasks that have panicked since the start.
    pub panics: u64,
    /// Events that subscribers were too slow for.
    pub missed_events: u64,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Listener {
    /// The address that was asked for.
    pub asked: String,
    /// The plugin that serves it.
    pub transport: String,
    /// The addresses that can be dialled.
    pub addresses: Vec<String>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Connection {
    /// Unique within the node's life.
    pub id: u64,
    /// The peer.
    pub peer_id: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// `direct` or `limited`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The peer's end, from the socket.
    pub remote: String,
    /// This end.
    pub local: String,
    /// The transport plugin.
    pub transport: String,
    /// The security plugin, unless the transport brings its own.
    pub security: Option<String>,
    /// The muxer plugin, unless the transport brings its own.
    pub muxer: Option<String>,
    /// Whether the muxer was agreed on within the security handshake.
    pub early_muxer: bool,
    /// How long it has been open.
    pub age_seconds: f64,
    /// The last round-trip time, where the muxer measures it.
    pub latency_ms: Option<f64>,
    /// Leases that keep it from being closed for idleness.
    pub leases: usize,
    /// What the peer says it runs. As sent: escape it before showing it.
    pub agent: Option<String>,
    /// How many streams it has.
    pub num_streams: usize,
    /// Its open streams, the oldest first, as far as they were asked for and `max` of all connections goes.
    pub streams: Vec<Stream>,
}

/// An open stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stream {
    /// Unique on its connection.
    pub id: u64,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// The protocol; none while it is agreed on.
    pub protocol: Option<String>,
    /// How long it has been open.
    pub age_seconds: f64,
}

/// A dial under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Dial {
    /// The peer, or the address where no peer is known.
    pub target: String,
    /// How many wait for it.
    pub callers: usize,
    /// How long it has been under way.
    pub elapsed_seconds: f64,
}

/// One resource of one scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Scope {
    /// Such as `system`, `transient`, `peer 12D3Koo…`.
    pub scope: String,
    /// What is counted.
    pub resource: String,
    /// How much is in use.
    pub current: u64,
    /// How much may be; none for no limit.
    pub limit: Option<u64>,
    /// Requests that were denied.
    pub denied: u64,
}

/// A peer with tags or protections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tagged {
    /// The peer.
    pub peer_id: String,
    /// The sum of its tags.
    pub value: i64,
    /// Its tags.
    pub tags: BTreeMap<String, i64>,
    /// Who protects it.
    pub protected_by: Vec<String>,
}

/// What of it is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Entries of each list, the streams of all connections together.
    pub(super) max: usize,
    pub(super) streams: bool,
    pub(super) config: bool,
}

/// Collects it.
pub(super) fn status(node: &Swarm, about: &About, wanted: Wanted) -> Status {
    let max = wanted.max;
    let dialler = node.dial_state();
    let mut connections = node.connections();
    connections.sort_by_key(SwarmConn::id);
    let not_listed = connections.len().saturating_sub(max);
    connections.truncate(max);
    let mut streams = if wanted.streams { max } else { 0 };
    let resources = node.stack().resources.as_ref();
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
        config: wanted.config.then(|| about.config.to_string()),
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
