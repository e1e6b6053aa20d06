//! `status`: what a node is and does.

mod collect;

pub(super) use collect::{Wanted, status};

use super::{backoff::Load, reload::Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::time::Instant;

/// What a node's control socket knows of it beside the node itself.
#[derive(Clone, Debug)]
pub struct About {
    /// The name of its profile.
    pub profile: String,
    /// Where its configuration is read again, for a reload.
    pub source: Option<Source>,
    /// When it was started.
    pub since: Instant,
}

impl About {
    /// A node that starts now.
    #[must_use]
    pub fn new(profile: &str, source: Option<Source>) -> Self {
        Self { profile: profile.into(), source, since: Instant::now() }
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
    /// Gates in their order, with what they have said.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// What services tell of themselves, by name.
    #[serde(default)]
    pub services: BTreeMap<String, Value>,
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

/// A gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Gate {
    /// The word in the profile.
    pub name: String,
    /// Whether its denials are counted and have no effect.
    pub shadow: bool,
    /// What it has said since the start, by checkpoint; those at which it was never asked are left out.
    pub checkpoints: BTreeMap<String, Tally>,
}

/// What a gate has said at a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tally {
    /// How often it has let pass.
    pub allowed: u64,
    /// How often it has denied.
    pub denied: u64,
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
