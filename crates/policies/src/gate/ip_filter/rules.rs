//! The rules of the filter, as they are listed and as they are asked.

use crate::gate::nets::{Nets, canonical, shown};
use ipnet::IpNet;
use skep_api::{
    PeerId,
    address::{self, Scope},
    gate::Denial,
};
use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
};

/// What is allowed and denied. The fields are the keys of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rules {
    /// Networks that alone may connect; all may when there are none.
    pub allow: BTreeSet<IpNet>,
    /// Networks that may not connect.
    pub deny: BTreeSet<IpNet>,
    /// Peers that alone may connect; all may when there are none.
    pub allow_peers: HashSet<PeerId>,
    /// Peers that may not connect.
    pub deny_peers: HashSet<PeerId>,
    /// Whether private and link-local addresses may connect and be dialled.
    pub allow_private_addresses: bool,
    /// Whether addresses of this host may connect and be dialled.
    pub allow_loopback_addresses: bool,
}

/// Rules in the order in which they are found fast.
#[derive(Debug)]
pub(super) struct Ruling {
    rules: Rules,
    allow: Nets,
    deny: Nets,
}

impl Ruling {
    pub(super) fn new(mut rules: Rules) -> Self {
        for list in [&mut rules.allow, &mut rules.deny] {
            *list = list.iter().map(|net| canonical(*net)).collect();
        }
        let (allow, deny) = (rules.allow.iter().copied(), rules.deny.iter().copied());
        let (allow, deny) = (Nets::new(allow), Nets::new(deny));
        Self { rules, allow, deny }
    }

    /// The rules as they were listed, in canonical form.
    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What is against an address or the peer there.
    pub(super) fn denial(&self, ip: Option<IpAddr>, peer: Option<PeerId>) -> Option<Denial> {
        if let Some(denial) = ip.and_then(|ip| self.denied_ip(ip)) {
            return Some(denial);
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
    pub(super) fn peer_denial(&self, peer: Option<PeerId>) -> Option<Denial> {
        self.denied_peer(peer).or_else(|| self.unlisted_peer(peer))
    }

    fn denied_ip(&self, ip: IpAddr) -> Option<Denial> {
        if let Some(net) = self.deny.find(ip) {
            let reason = format!("{ip} is in a denied network");
            return Some(Denial::new(format!("deny = {}", shown(net)), reason));
        }
        let rules = &self.rules;
        let (allowed, key, what) = match address::ip_scope(ip) {
            Scope::Private => (rules.allow_private_addresses, "allow_private_addresses", "a private address"),
            Scope::LinkLocal => {
                (rules.allow_private_addresses, "allow_private_addresses", "a link-local address")
            }
            // Who dials the unspecified address reaches the host itself.
            _ if ip.is_loopback() || ip.is_unspecified() => {
                (rules.allow_loopback_addresses, "allow_loopback_addresses", "an address of this host itself")
            }
            _ => return None,
        };
        (!allowed).then(|| Denial::new(format!("{key} = false"), format!("{ip} is {what}")))
    }

    fn denied_peer(&self, peer: Option<PeerId>) -> Option<Denial> {
        let peer = peer.filter(|peer| self.rules.deny_peers.contains(peer))?;
        Some(Denial::new(format!("deny_peers = {peer}"), "the peer is denied"))
    }

    fn unlisted_peer(&self, peer: Option<PeerId>) -> Option<Denial> {
        let allowed = &self.rules.allow_peers;
        let peer = peer.filter(|peer| !allowed.is_empty() && !allowed.contains(peer))?;
        Some(Denial::new("allow_peers", format!("{peer} is not an allowed peer")))
    }
}
