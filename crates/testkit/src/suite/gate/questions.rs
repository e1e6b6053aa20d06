//! What gates are asked: every checkpoint for addresses of all kinds, and for what the rules name.

use serde_json::{Map, Value};
use skep_api::{
    Keypair, Multiaddr, PeerId,
    gate::{Census, Checkpoint, Gate, GateCx, Nobody, Verdict},
    security::Role,
};
use std::net::IpAddr;

const ADDRS: [&str; 9] = [
    "/ip4/127.0.0.1/tcp/4001",
    "/ip4/10.0.0.1/tcp/4001",
    "/ip4/192.168.1.7/udp/4001/quic-v1",
    "/ip4/169.254.0.9/tcp/1",
    "/ip4/8.8.8.8/tcp/443",
    "/ip6/::1/tcp/4001",
    "/ip6/fe80::1/tcp/4001",
    "/ip6/2001:db8::1/tcp/4001",
    "/memory/7",
];

/// A question that owns what it shows.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) point: Point,
    /// Whether the node is said to have any number of connections, or none.
    pub(super) crowded: bool,
    peer: PeerId,
    addr: Multiaddr,
    protocol: String,
}

/// A checkpoint, with what is not of the peer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Point {
    PeerDial,
    DialUnknown,
    Dial,
    Link,
    Peer(Role),
    Ready(Role),
    Stream,
    Again(Role),
}

impl Point {
    pub(super) const ALL: [Self; 11] = [
        Self::PeerDial,
        Self::DialUnknown,
        Self::Dial,
        Self::Link,
        Self::Peer(Role::Dialer),
        Self::Peer(Role::Listener),
        Self::Ready(Role::Dialer),
        Self::Ready(Role::Listener),
        Self::Stream,
        Self::Again(Role::Dialer),
        Self::Again(Role::Listener),
    ];
}

impl Question {
    /// A question about some peer at this address.
    pub(super) fn at(point: Point, text: &str) -> Self {
        let protocol = "/skep/test/1.0.0".into();
        Self { point, crowded: false, peer: PeerId::random(), addr: addr(text), protocol }
    }

    pub(super) fn ask(&self, gate: &dyn Gate) -> Verdict {
        let (peer, remote, protocol) = (&self.peer, &self.addr, &*self.protocol);
        let local = addr("/ip4/127.0.0.1/tcp/4001");
        let point = match self.point {
            Point::PeerDial => Checkpoint::PeerDial { peer },
            Point::DialUnknown => Checkpoint::AddrDial { peer: None, addr: remote },
            Point::Dial => Checkpoint::AddrDial { peer: Some(peer), addr: remote },
            Point::Link => Checkpoint::Link { local: &local, remote },
            Point::Peer(role) => Checkpoint::Peer { role, peer, remote },
            Point::Ready(role) => Checkpoint::Ready { role, peer, remote },
            Point::Stream => Checkpoint::Stream { peer, remote, protocol },
            Point::Again(role) => Checkpoint::Again { role, peer, remote },
        };
        let census: &dyn Census = if self.crowded { &Crowd } else { &Nobody };
        gate.check(&point, &GateCx::new(census))
    }
}

/// The census of a node that has as many connections from anywhere as anybody counts.
#[derive(Debug)]
struct Crowd;

impl Census for Crowd {
    fn connections(&self, _: Role, _: IpAddr, _: u8, enough: usize) -> usize {
        enough
    }
    fn handshakes(&self, _: IpAddr, _: u8, enough: usize) -> usize {
        enough
    }
}

/// Every checkpoint for addresses of all kinds, and for the peers, networks and protocols that the rules name; of a node
/// without connections first, then of one with any number.
pub(super) fn questions(table: &Map<String, Value>) -> Vec<Question> {
    let mut words = Vec::new();
    collect_words(table, &mut words);
    let mut addrs: Vec<Multiaddr> = ADDRS.into_iter().map(addr).collect();
    addrs.extend(words.iter().filter_map(|word| address_in(word)));
    let mut peers = vec![Keypair::generate_ed25519().public().to_peer_id()];
    peers.extend(words.iter().filter_map(|word| word.parse::<PeerId>().ok()));
    let mut protocols = vec!["/skep/test/1.0.0"];
    protocols.extend(words.iter().filter(|word| word.starts_with('/')));
    let mut questions = Vec::new();
    for crowded in [false, true] {
        for addr in &addrs {
            for peer in &peers {
                for point in Point::ALL {
                    let asked = if matches!(point, Point::Stream) { protocols.len() } else { 1 };
                    questions.extend(protocols.iter().take(asked).map(|protocol| Question {
                        point,
                        crowded,
                        peer: *peer,
                        addr: addr.clone(),
                        protocol: (*protocol).into(),
                    }));
                }
            }
        }
    }
    questions
}

/// All texts of a table, names of inner keys among them.
fn collect_words<'a>(table: &'a Map<String, Value>, words: &mut Vec<&'a str>) {
    for (key, value) in table {
        words.push(key);
        collect_values(value, words);
    }
}

fn collect_values<'a>(value: &'a Value, words: &mut Vec<&'a str>) {
    match value {
        Value::String(word) => words.push(word),
        Value::Array(values) => values.iter().for_each(|value| collect_values(value, words)),
        Value::Object(table) => collect_words(table, words),
        _ => {}
    }
}

/// An address that a rule such as `10.0.0.0/8`, `::1` or a multiaddr speaks of.
fn address_in(rule: &str) -> Option<Multiaddr> {
    let host = rule.split('/').next().unwrap_or_default();
    match host.parse::<IpAddr>() {
        Ok(ip) => Some(Multiaddr::from(ip)),
        Err(_) => rule.parse().ok(),
    }
}

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}
