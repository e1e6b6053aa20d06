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
//!
//! The rules can be changed while the node runs, on the object: see [`IpFilter`].

mod rules;

pub use ipnet::IpNet;
pub use rules::Rules;

use super::nets::{canonical, parse_all, parse_net, parse_peer};
use rules::Ruling;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    PeerId, PluginConfig, Problems, address,
    gate::{Checkpoint, Gate, GateCx, Verdict},
    register_gate,
};
use std::{
    mem,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
};

register_gate! {
    name: "ip_filter",
    summary: "allows and denies by network and by peer id; what denies wins",
    example: "deny = [\"10.0.0.0/8\", \"2001:db8::/32\", \"192.0.2.7\"]\nallow = []\n\
              allow_peers = []\ndeny_peers = []\nallow_private_addresses = true\nallow_loopback_addresses = true",
    config: Config,
    build: |config, _| IpFilter::new(&config).map(|gate| Arc::new(gate) as _),
}

/// The keys of `[gate.ip_filter]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Whether private and link-local addresses may connect and be dialled: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16,
    /// 100.64.0.0/10, 169.254.0.0/16, fc00::/7 and fe80::/10. Default true; false wins over `allow`, and cuts off the
    /// node's own network.
    pub allow_private_addresses: bool,
    /// Whether addresses of this host itself may connect and be dialled: 127.0.0.0/8, ::1, and 0.0.0.0 and ::, which
    /// lead there. Default true; false wins over `allow`, and cuts off a proxy on the same machine.
    pub allow_loopback_addresses: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            deny: Vec::new(),
            allow_peers: Vec::new(),
            deny_peers: Vec::new(),
            allow_private_addresses: true,
            allow_loopback_addresses: true,
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        if let Err(found) = IpFilter::new(self) {
            *problems = found;
        }
    }
}

/// The gate, whose rules can be changed while it is asked.
///
/// A node's gates are [`Any`](std::any::Any), so that its filter is found by downcasting. A change is in force for
/// every question asked after the method has returned; a connection that stands is asked about only when the node
/// judges its connections again ([`Checkpoint::Again`]). A change copies the rules and puts them in order anew, which
/// takes time with their number; [`IpFilter::set_rules`] does so once for many. Questions do not wait for that.
///
/// Changes are lost when the configuration is reloaded, as when the node is restarted: a reload makes a new filter,
/// with the rules of the configuration alone. They are not taken over from the filter before, so that what the
/// configuration says is what holds, and no rule lives on that is written nowhere.
#[derive(Debug)]
pub struct IpFilter {
    ruling: RwLock<Ruling>,
    /// Held while rules are put in order, so that of two changes none is lost.
    changing: Mutex<()>,
}

impl IpFilter {
    /// Understands all rules of a configuration.
    ///
    /// # Errors
    /// Every rule that is no network or no peer id.
    pub fn new(config: &Config) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let rules = Rules {
            allow: parse_all("allow", &config.allow, parse_net, &mut problems).collect(),
            deny: parse_all("deny", &config.deny, parse_net, &mut problems).collect(),
            allow_peers: parse_all("allow_peers", &config.allow_peers, parse_peer, &mut problems).collect(),
            deny_peers: parse_all("deny_peers", &config.deny_peers, parse_peer, &mut problems).collect(),
            allow_private_addresses: config.allow_private_addresses,
            allow_loopback_addresses: config.allow_loopback_addresses,
        };
        let filter = Self { ruling: RwLock::new(Ruling::new(rules)), changing: Mutex::new(()) };
        if problems.is_empty() { Ok(filter) } else { Err(problems) }
    }

    /// The rules that are in force, as they were listed.
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.ruling().rules().clone()
    }

    /// Puts these rules in the place of all others.
    pub fn set_rules(&self, rules: Rules) {
        self.change(|current| {
            *current = rules;
            true
        });
    }

    /// Allows a network; whether that is new. The first one shuts out all others.
    pub fn add_allow(&self, net: IpNet) -> bool {
        self.change(|rules| rules.allow.insert(canonical(net)))
    }

    /// Takes a network back that is listed as given here; whether it was. Without the last one, all are allowed.
    pub fn remove_allow(&self, net: IpNet) -> bool {
        self.change(|rules| rules.allow.remove(&canonical(net)))
    }

    /// Denies a network; whether that is new.
    pub fn add_deny(&self, net: IpNet) -> bool {
        self.change(|rules| rules.deny.insert(canonical(net)))
    }

    /// Takes a network back that is listed as given here; whether it was. One within it that is listed stays denied.
    pub fn remove_deny(&self, net: IpNet) -> bool {
        self.change(|rules| rules.deny.remove(&canonical(net)))
    }

    /// Allows a peer; whether that is new. The first one shuts out all others.
    pub fn add_allow_peer(&self, peer: PeerId) -> bool {
        self.change(|rules| rules.allow_peers.insert(peer))
    }

    /// Takes a peer back; whether it was listed. Without the last one, all are allowed.
    pub fn remove_allow_peer(&self, peer: &PeerId) -> bool {
        self.change(|rules| rules.allow_peers.remove(peer))
    }

    /// Denies a peer; whether that is new.
    pub fn add_deny_peer(&self, peer: PeerId) -> bool {
        self.change(|rules| rules.deny_peers.insert(peer))
    }

    /// Takes a peer back; whether it was listed.
    pub fn remove_deny_peer(&self, peer: &PeerId) -> bool {
        self.change(|rules| rules.deny_peers.remove(peer))
    }

    fn change(&self, change: impl FnOnce(&mut Rules) -> bool) -> bool {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rules = self.rules();
        if !change(&mut rules) {
            return false;
        }
        let ruling = Ruling::new(rules);
        let before = mem::replace(&mut *self.ruling.write().unwrap_or_else(PoisonError::into_inner), ruling);
        // Freeing many rules takes a while, too.
        drop((changing, before));
        true
    }

    fn ruling(&self) -> RwLockReadGuard<'_, Ruling> {
        self.ruling.read().unwrap_or_else(PoisonError::into_inner)
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
        let ruling = self.ruling();
        let denial = remote.map_or_else(
            || ruling.peer_denial(peer),
            // The IP that the bytes go to: what follows a name or a relay is that one's business.
            |remote| ruling.denial(address::ip(remote).map(|ip| ip.to_canonical()), peer),
        );
        denial.map_or(Verdict::Allow, Verdict::Deny)
    }
}

#[cfg(test)]
mod tests;
