//! The simplest account there is: a list of what is held, and the scopes each of it lies in.

use skep_api::{
    Keypair, PeerId,
    resources::{Limit, Priority, Resource},
    security::Role,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

pub(crate) static PEERS: LazyLock<Vec<PeerId>> = LazyLock::new(|| {
    (1..=4u8).map(|n| Keypair::ed25519_from_bytes([n; 32]).unwrap().public().to_peer_id()).collect()
});

pub(crate) const PROTOCOLS: [&str; 3] = ["/a", "/b", "/c"];

/// The first two lie in the network that one of the allowed peers may come from.
pub(crate) const REMOTES: [&str; 6] = [
    "/ip4/192.0.2.1/tcp/1",
    "/ip6/::ffff:192.0.2.2/tcp/1",
    "/ip4/192.0.2.9/tcp/1",
    "/ip4/198.51.100.1/tcp/1",
    "/ip4/127.0.0.1/tcp/1",
    "/memory/1",
];

/// The addresses that count, by the same places.
const COUNTED: [&str; 4] = ["192.0.2.1", "192.0.2.2", "192.0.2.9", "198.51.100.1"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Connection,
    Stream,
    Memory,
}

/// A limit that would be exceeded.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) scope: String,
    pub(crate) resource: Resource,
    pub(crate) current: u64,
    pub(crate) limit: u64,
}

#[derive(Clone, Debug)]
struct Connection {
    remote: usize,
    role: Role,
    allowlisted: bool,
    peer: Option<usize>,
}

#[derive(Clone, Debug)]
struct Stream {
    connection: usize,
    protocol: Option<&'static str>,
    /// The peer that was known when the protocol became so.
    peer: Option<usize>,
}

/// What one guard holds.
#[derive(Clone, Debug)]
struct Held {
    what: What,
    id: usize,
    owner: Owner,
    counts: Vec<(Resource, u64)>,
}

#[derive(Clone, Copy, Debug)]
enum Owner {
    Connection(usize),
    Stream(usize),
}

type InUse = BTreeMap<(String, Resource), u64>;

#[derive(Clone, Debug)]
pub(crate) struct Model {
    limits: BTreeMap<(String, Resource), u64>,
    connections: BTreeMap<usize, Connection>,
    streams: BTreeMap<usize, Stream>,
    held: Vec<Held>,
    next: usize,
}

impl Model {
    pub(crate) fn new(limits: &[Limit]) -> Self {
        let limits = limits.iter().filter_map(|l| Some(((l.scope.clone(), l.resource), l.limit?))).collect();
        let (connections, streams, held) = Default::default();
        Self { limits, connections, streams, held, next: 0 }
    }

    pub(crate) fn has_peer(&self, connection: usize) -> bool {
        self.connections[&connection].peer.is_some()
    }

    pub(crate) fn has_protocol(&self, stream: usize) -> bool {
        self.streams[&stream].protocol.is_some()
    }

    pub(crate) fn open_connection(
        &mut self,
        remote: usize,
        expected: Option<usize>,
        role: Role,
        descriptor: bool,
    ) -> Result<usize, Vec<Refused>> {
        let id = self.next;
        let allowlisted = expected == Some(1) || (remote < 2 && matches!(expected, None | Some(0)));
        self.attempt(Priority::Always, |model| {
            let connection = Connection { remote, role, allowlisted, peer: None };
            model.connections.insert(id, connection);
            let mut counts = both(Resource::Connections, role);
            counts.extend([(Resource::Memory, 100), (Resource::Descriptors, descriptor.into())]);
            model.hold(What::Connection, Owner::Connection(id), counts);
        })?;
        Ok(id)
    }

    pub(crate) fn set_peer(&mut self, id: usize, peer: usize) -> Result<(), Vec<Refused>> {
        self.attempt(Priority::Always, |model| {
            let connection = model.connections.get_mut(&id).unwrap();
            connection.peer = Some(peer);
            connection.allowlisted = peer == 1 || (peer == 0 && connection.remote < 2);
        })
    }

    pub(crate) fn open_stream(&mut self, connection: usize, role: Role) -> Result<usize, Vec<Refused>> {
        let id = self.next;
        self.attempt(Priority::Always, |model| {
            model.streams.insert(id, Stream { connection, protocol: None, peer: None });
            let mut counts = both(Resource::Streams, role);
            counts.push((Resource::Memory, 50));
            model.hold(What::Stream, Owner::Stream(id), counts);
        })?;
        Ok(id)
    }

    pub(crate) fn set_protocol(&mut self, id: usize, protocol: &'static str) -> Result<(), Vec<Refused>> {
        self.attempt(Priority::Always, |model| {
            let stream = model.streams.get_mut(&id).unwrap();
            stream.protocol = Some(protocol);
            stream.peer = model.connections[&stream.connection].peer;
        })
    }

    pub(crate) fn reserve(
        &mut self,
        what: What,
        owner: usize,
        bytes: u64,
        priority: Priority,
    ) -> Result<usize, Vec<Refused>> {
        let id = self.next;
        let owner = match what {
            What::Connection => Owner::Connection(owner),
            _ => Owner::Stream(owner),
        };
        let hold = |model: &mut Self| model.hold(What::Memory, owner, vec![(Resource::Memory, bytes)]);
        self.attempt(priority, hold)?;
        Ok(id)
    }

    pub(crate) fn drop(&mut self, what: What, id: usize) {
        self.held.retain(|held| (held.what, held.id) != (what, id));
    }

    /// What is in use in every scope that has a name.
    pub(crate) fn in_use(&self) -> InUse {
        let mut sums = self.sums();
        sums.retain(|(scope, _), sum| *sum > 0 && !scope.contains('#'));
        sums
    }

    fn hold(&mut self, what: What, owner: Owner, counts: Vec<(Resource, u64)>) {
        self.held.push(Held { what, id: self.next, owner, counts });
        self.next += 1;
    }

    /// Makes a change, and takes it back if a sum that has grown is above its limit.
    fn attempt(&mut self, priority: Priority, change: impl FnOnce(&mut Self)) -> Result<(), Vec<Refused>> {
        let (before, old) = (self.sums(), self.clone());
        change(self);
        let mut refused = Vec::new();
        for ((scope, resource), sum) in self.sums() {
            let current = before.get(&(scope.clone(), resource)).copied().unwrap_or(0);
            let Some(limit) = self.limit(&scope, resource) else { continue };
            let percent = match priority {
                Priority::Low => 40,
                Priority::Medium => 60,
                Priority::High => 80,
                _ => 100,
            };
            let limit = if resource == Resource::Memory { limit * percent / 100 } else { limit };
            if sum > current && sum > limit {
                // What has no name is called by its kind.
                let scope = scope.split('#').next().unwrap().to_string();
                refused.push(Refused { scope, resource, current, limit });
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        *self = old;
        Err(refused)
    }

    fn limit(&self, scope: &str, resource: Resource) -> Option<u64> {
        let kind = match scope.strip_prefix("ip ") {
            Some(net) => format!("ip4 /{}", net.split('/').nth(1)?),
            None => scope.split([' ', '#']).next()?.to_string(),
        };
        self.limits.get(&(kind, resource)).copied()
    }

    fn sums(&self) -> InUse {
        let mut sums = InUse::new();
        for held in &self.held {
            for scope in self.scopes(held.owner) {
                for (resource, count) in &held.counts {
                    *sums.entry((scope.clone(), *resource)).or_default() += count;
                }
            }
            if held.what == What::Connection {
                for subnet in self.subnets(held) {
                    *sums.entry((subnet, Resource::ConnectionsInbound)).or_default() += 1;
                }
            }
        }
        sums
    }

    /// The scopes that what somebody owns lies in.
    fn scopes(&self, owner: Owner) -> BTreeSet<String> {
        let (id, stream) = match owner {
            Owner::Connection(id) => (id, None),
            Owner::Stream(id) => (self.streams[&id].connection, Some((id, &self.streams[&id]))),
        };
        let connection = &self.connections[&id];
        let prefix = if connection.allowlisted { "allowlisted_" } else { "" };
        let mut scopes = BTreeSet::from([format!("{prefix}system"), format!("connection#{id}")]);
        scopes.extend(connection.peer.map(|peer| format!("peer {}", PEERS[peer])));
        let waits = stream.map_or(connection.peer.is_none(), |(_, stream)| stream.protocol.is_none());
        scopes.extend(waits.then(|| format!("{prefix}transient")));
        let Some((id, stream)) = stream else { return scopes };
        scopes.insert(format!("stream#{id}"));
        let Some(protocol) = stream.protocol else { return scopes };
        let service = (protocol != "/c").then(|| "service both".to_string());
        for outer in [Some(format!("protocol {protocol}")), service].into_iter().flatten() {
            if let Some(peer) = stream.peer {
                let (kind, name) = outer.split_once(' ').unwrap();
                scopes.insert(format!("{kind}_peer {name} {}", PEERS[peer]));
            }
            scopes.insert(outer);
        }
        scopes
    }

    /// The subnets that a connection counts in.
    fn subnets(&self, held: &Held) -> Vec<String> {
        let Owner::Connection(id) = held.owner else { return Vec::new() };
        let connection = &self.connections[&id];
        let ip = COUNTED.get(connection.remote);
        let ip = ip.filter(|_| connection.role == Role::Listener && !connection.allowlisted);
        let Some(ip) = ip else { return Vec::new() };
        let net = ip.rsplit_once('.').unwrap().0;
        vec![format!("ip {ip}/32"), format!("ip {net}.0/24")]
    }
}

/// A direction, and the total.
fn both(total: Resource, role: Role) -> Vec<(Resource, u64)> {
    let direction = match (total, role) {
        (Resource::Connections, Role::Dialer) => Resource::ConnectionsOutbound,
        (Resource::Connections, _) => Resource::ConnectionsInbound,
        (_, Role::Dialer) => Resource::StreamsOutbound,
        _ => Resource::StreamsInbound,
    };
    vec![(total, 1), (direction, 1)]
}
