//! Where connections come from: networks that are trusted, peers and networks that are on the list of the allowed.

use super::Config;
use crate::gate::nets::{Nets, canonical, parse_net, parse_peer};
use ipnet::IpNet;
use skep_api::{
    Multiaddr, PeerId, Problems,
    address::{self, Scope},
};
use std::net::IpAddr;

/// What is said about places.
#[derive(Clone, Debug)]
pub(super) struct Places {
    trusted: Nets,
    limit_loopback: bool,
    allowed: Vec<Allowed>,
}

/// One entry of the list: a network, a peer, or a peer in a network.
#[derive(Clone, Copy, Debug)]
struct Allowed {
    net: Option<IpNet>,
    peer: Option<PeerId>,
}

impl Places {
    pub(super) fn new(config: &Config, problems: &mut Problems) -> Self {
        let mut trusted = Vec::new();
        for (at, text) in config.trusted.iter().enumerate() {
            match parse_net(text) {
                Ok(net) => trusted.push(net),
                Err((problem, help)) => problems.add(&format!("trusted[{at}]"), problem, help),
            }
        }
        let mut allowed = Vec::new();
        for (at, text) in config.allowlist.iter().enumerate() {
            match Allowed::parse(text) {
                Ok(entry) => allowed.push(entry),
                Err((problem, help)) => problems.add(&format!("allowlist[{at}]"), problem, help),
            }
        }
        Self { trusted: Nets::new(trusted), limit_loopback: config.limit_loopback, allowed }
    }

    /// Whether there is a list.
    pub(super) fn has_allowlist(&self) -> bool {
        !self.allowed.is_empty()
    }

    /// Whether a connection may begin among the allowed; who it is, is proven later.
    pub(super) fn may_be_allowed(&self, ip: Option<IpAddr>, expected: Option<&PeerId>) -> bool {
        self.allowed.iter().any(|entry| match (entry.peer, expected) {
            (Some(peer), Some(expected)) => peer == *expected && entry.holds(ip),
            // Of a peer that is expected nowhere nothing is known before the handshake.
            (Some(_), None) => entry.net.is_some() && entry.holds(ip),
            (None, _) => entry.holds(ip),
        })
    }

    /// Whether this peer, from this place, is allowed.
    pub(super) fn is_allowed(&self, ip: Option<IpAddr>, peer: &PeerId) -> bool {
        self.allowed.iter().any(|entry| entry.peer.is_none_or(|allowed| allowed == *peer) && entry.holds(ip))
    }

    /// Whether connections from there are counted by address and paced.
    pub(super) fn is_counted(&self, ip: IpAddr) -> bool {
        let exempt = !self.limit_loopback && address::ip_scope(ip) == Scope::Loopback;
        !exempt && self.trusted.find(ip).is_none()
    }
}

impl Allowed {
    fn parse(text: &str) -> Result<Self, (String, String)> {
        let (net, peer) = match text.split_once("/p2p/") {
            Some(("", peer)) => (None, Some(parse_peer(peer)?)),
            Some((net, peer)) => (Some(parse_net(net)?), Some(parse_peer(peer)?)),
            None => (Some(parse_net(text).map_err(|(problem, help)| (problem, format!("{help}; or with a peer, \"10.0.0.0/8/p2p/12D3KooW…\"; or the peer alone, \"/p2p/12D3KooW…\"")))?), None),
        };
        Ok(Self { net: net.map(|net| canonical(net.trunc())), peer })
    }

    fn holds(&self, ip: Option<IpAddr>) -> bool {
        match (self.net, ip) {
            (None, _) => true,
            (Some(net), Some(ip)) => net.contains(&ip),
            (Some(_), None) => false,
        }
    }
}

/// The IP at the other end, unmapped. What comes through a relay is not at the relay's address.
pub(super) fn ip_of(remote: &Multiaddr) -> Option<IpAddr> {
    address::ip(remote).filter(|_| !address::is_relayed(remote)).map(|ip| ip.to_canonical())
}
