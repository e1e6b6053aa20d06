//! `ip_filter`: allows and denies by network and by peer.
//!
//! Denying rules are asked first. A list of allowed networks or peers is exclusive for what it covers: with
//! `allow` set, only those networks pass, at every checkpoint; with `allow_peers` set, only those peers pass,
//! at every checkpoint where the peer is known.
//!
//! What is judged is the address at the head of the multiaddr, so of a relayed connection
//! (`/ip4/…/p2p-circuit`) the relay's. An address without an IP at its head (`/memory/…`, a name that was not
//! resolved) is in no network: `deny` does not touch it, and a non-empty `allow` refuses it. An IPv4 address
//! in IPv6 clothes (`::ffff:10.0.0.1`) is judged as IPv4.

use super::nets::{Nets, parse_net, parse_peer, shown};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    PeerId, PluginConfig, Problems, address,
    gate::{Checkpoint, Denial, Gate, GateCx, Verdict},
    register_gate,
};
use std::{collections::HashSet, net::IpAddr, sync::Arc};

register_gate! {
    name: "ip_filter",
    summary: "allows and denies by network and by peer id; what denies wins",
    example: "deny = [\"10.0.0.0/8\", \"2001:db8::/32\", \"192.0.2.7\"]\nallow = []\n\
              allow_peers = []\ndeny_peers = []",
    config: Config,
    build: |config, _| IpFilter::new(&config).map(|gate| Arc::new(gate) as _),
}

/// The keys of `[gate.ip_filter]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Networks that alone may connect, such as `"10.0.0.0/8"` or `"2001:db8::1"`. Default none: all may.
    pub allow: Vec<String>,
    /// Networks that may not connect, such as `"10.0.0.0/8"`; wins over `allow`. Default none.
    pub deny: Vec<String>,
    /// Peer ids that alone may connect, such as `"12D3KooW…"`. Default none: all may.
    pub allow_peers: Vec<String>,
    /// Peer ids that may not connect; wins over `allow_peers`. Default none.
    pub deny_peers: Vec<String>,
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        if let Err(found) = IpFilter::new(self) {
            *problems = found;
        }
    }
}

/// The gate.
#[derive(Clone, Debug)]
pub struct IpFilter {
    allow: Nets,
    deny: Nets,
    allow_peers: HashSet<PeerId>,
    deny_peers: HashSet<PeerId>,
}

impl IpFilter {
    /// Understands all rules of a configuration.
    ///
    /// # Errors
    /// Every rule that is no network or no peer id.
    pub fn new(config: &Config) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let gate = Self {
            allow: Nets::new(parse_all("allow", &config.allow, parse_net, &mut problems)),
            deny: Nets::new(parse_all("deny", &config.deny, parse_net, &mut problems)),
            allow_peers: parse_all("allow_peers", &config.allow_peers, parse_peer, &mut problems).collect(),
            deny_peers: parse_all("deny_peers", &config.deny_peers, parse_peer, &mut problems).collect(),
        };
        if problems.is_empty() { Ok(gate) } else { Err(problems) }
    }

    /// What is against an address or the peer there.
    fn denial(&self, ip: Option<IpAddr>, peer: Option<PeerId>) -> Option<Denial> {
        if let Some((ip, net)) = ip.and_then(|ip| Some((ip, self.deny.find(ip)?))) {
            return Some(Denial::new(
                format!("deny = {}", shown(net)),
                format!("{ip} is in a denied network"),
            ));
        }
        if let Some(denial) = self.denied_peer(peer) {
            return Some(denial);
        }
        if !self.allow.is_empty() {
            match ip {
                Some(ip) if self.allow.find(ip).is_some() => {}
                Some(ip) => return Some(Denial::new("allow", format!("{ip} is in no allowed network"))),
                None => {
                    let reason = "the address has no IP, and only some networks are allowed";
                    return Some(Denial::new("allow", reason));
                }
            }
        }
        self.unlisted_peer(peer)
    }

    /// What is against a peer, wherever it is.
    fn peer_denial(&self, peer: Option<PeerId>) -> Option<Denial> {
        self.denied_peer(peer).or_else(|| self.unlisted_peer(peer))
    }

    fn denied_peer(&self, peer: Option<PeerId>) -> Option<Denial> {
        let peer = peer.filter(|peer| self.deny_peers.contains(peer))?;
        Some(Denial::new(format!("deny_peers = {peer}"), "the peer is denied"))
    }

    fn unlisted_peer(&self, peer: Option<PeerId>) -> Option<Denial> {
        let peer = peer.filter(|peer| !self.allow_peers.is_empty() && !self.allow_peers.contains(peer))?;
        Some(Denial::new("allow_peers", format!("{peer} is not an allowed peer")))
    }
}

impl Gate for IpFilter {
    fn check(&self, point: &Checkpoint<'_>, _cx: &GateCx<'_>) -> Verdict {
        let (peer, remote) = match point {
            // The connection that it comes on has been judged.
            Checkpoint::Stream { .. } => return Verdict::Allow,
            // The peer that a dial is about, when the address alone says so.
            Checkpoint::AddrDial { peer: None, addr } => (address::peer(addr), Some(*addr)),
            _ => (point.peer().copied(), point.remote()),
        };
        let denial = remote.map_or_else(
            || self.peer_denial(peer),
            // The IP that the bytes go to: what follows a name or a relay is that one's business.
            |remote| self.denial(address::ip(remote).map(|ip| ip.to_canonical()), peer),
        );
        denial.map_or(Verdict::Allow, Verdict::Deny)
    }
}

/// Reads the entries of one key; those that do not parse are noted with their place.
fn parse_all<'a, T>(
    key: &'a str,
    entries: &'a [String],
    parse: fn(&str) -> Result<T, (String, String)>,
    problems: &'a mut Problems,
) -> impl Iterator<Item = T> {
    entries.iter().enumerate().filter_map(move |(at, entry)| {
        parse(entry).map_err(|(problem, help)| problems.add(&format!("{key}[{at}]"), problem, help)).ok()
    })
}

#[cfg(test)]
mod tests;
