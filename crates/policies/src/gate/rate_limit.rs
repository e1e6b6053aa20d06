//! `rate_limit`: so many inbound connections, streams and dials in a second.
//!
//! Inbound connections are paced for each host before a byte is spent on them, streams for each peer and protocol once
//! the protocol is agreed on, and dials in total and for each host that is dialled. A limit is a bucket of points: after
//! a pause a burst passes, then points come back at an even pace. A limit that refuses takes no point, and neither does a
//! connection that is judged again. A host is asked about before all hosts together are.
//!
//! Of hosts and peers so many are remembered, and the one that has not come for longest makes room. While it may still
//! lack points, those that are not remembered begin with a single point, so that nobody gains a burst by being pushed
//! out. Who has more hosts than are remembered is held back by `inbound_total`, and who makes up ever new peer ids by
//! the pace of connections, as each takes one.
//!
//! A reload of the configuration takes the buckets over wherever rate and burst stay what they were.

mod limit;

use super::nets::{Nets, parse_all, parse_net, shown};
use crate::host::{host, ip_of};
use ipnet::IpNet;
use limit::Limit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    Multiaddr, PeerId, PluginConfig, Problems,
    gate::{Checkpoint, Denial, Gate, GateCx, Verdict},
    register_gate,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

register_gate! {
    name: "rate_limit",
    summary: "limits inbound connections per host, streams per peer and protocol, and dials, by the second",
    example: "inbound_per_host = 5\ninbound_burst = 16\ninbound_total = 200\nstreams_per_peer = 50\n\
              streams_burst = 200\ndials = 50\ndials_per_host = 5\nexempt = [\"127.0.0.0/8\", \"::1\"]\n\
              protocols = { \"/ipfs/id/1.0.0\" = { streams = 1, burst = 4 } }",
    config: Config,
    build: |config, cx| {
        RateLimit::new(&config, cx.predecessor::<RateLimit>().as_deref()).map(|gate| Arc::new(gate) as _)
    },
}

/// The keys of `[gate.rate_limit]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Inbound connections that one host, an address of IPv4 or a /56 of IPv6, may begin in a second, 0 (no limit) to
    /// 100000. Default 5; more behind one NAT have to wait.
    pub inbound_per_host: u32,
    /// Of these, how many at once after a pause, 1 to 100000. Default 16.
    pub inbound_burst: u32,
    /// Inbound connections of all hosts in a second, 0 (no limit) to 100000. Default 0: a flood could use them up, and
    /// shut out everybody else.
    pub inbound_total: u32,
    /// Of these, how many at once after a pause, 1 to 100000. Default 256.
    pub inbound_total_burst: u32,
    /// Streams of one protocol that one peer may open in a second, 0 (no limit) to 100000. Default 0.
    pub streams_per_peer: u32,
    /// Of these, how many at once after a pause, 1 to 100000. Default 256.
    pub streams_burst: u32,
    /// Protocols with a limit of their own, as `"/ipfs/id/1.0.0" = { streams = 1, burst = 4 }`; 0 streams are no limit.
    /// Default none; each remembers as many as `peers`.
    pub protocols: BTreeMap<String, StreamRate>,
    /// Addresses that this node may dial in a second, 0 (no limit) to 100000. Default 0; what is refused is not dialled
    /// later by itself.
    pub dials: u32,
    /// Of these, how many at once after a pause, 1 to 100000. Default 256.
    pub dials_burst: u32,
    /// Addresses of one host that this node may dial in a second, 0 (no limit) to 100000. Default 0.
    pub dials_per_host: u32,
    /// Of these, how many at once after a pause, 1 to 100000. Default 16.
    pub dials_per_host_burst: u32,
    /// Hosts whose rate is remembered, 1 to 1000000. Default 4096, 200 bytes each, and as many again for dials.
    pub hosts: u32,
    /// Peers, each with a protocol, whose rate is remembered, 1 to 1000000. Default 4096, 300 bytes each.
    pub peers: u32,
    /// Networks that are not limited, such as `"10.0.0.0/8"`. Default `["127.0.0.0/8", "::1"]`, this host itself; a list
    /// of one's own is in its place.
    pub exempt: Vec<String>,
}

/// How fast one peer may open streams of one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamRate {
    /// Streams in a second, 0 (no limit) to 100000.
    pub streams: u32,
    /// Streams at once after a pause, 1 to 100000.
    pub burst: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            inbound_per_host: 5,
            inbound_burst: 16,
            inbound_total: 0,
            inbound_total_burst: 256,
            streams_per_peer: 0,
            streams_burst: 256,
            protocols: BTreeMap::new(),
            dials: 0,
            dials_burst: 256,
            dials_per_host: 0,
            dials_per_host_burst: 16,
            hosts: 4_096,
            peers: 4_096,
            exempt: vec!["127.0.0.0/8".into(), "::1".into()],
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        self.check(problems);
        parse_all("exempt", &self.exempt, parse_net, problems).for_each(drop);
    }
}

impl Config {
    fn check(&self, problems: &mut Problems) {
        let Self { inbound_per_host, inbound_burst, inbound_total, inbound_total_burst, .. } = *self;
        let Self { streams_per_peer, streams_burst, dials, dials_burst, .. } = *self;
        for (key, rate, burst_key, burst) in [
            ("inbound_per_host", inbound_per_host, "inbound_burst", inbound_burst),
            ("inbound_total", inbound_total, "inbound_total_burst", inbound_total_burst),
            ("streams_per_peer", streams_per_peer, "streams_burst", streams_burst),
            ("dials", dials, "dials_burst", dials_burst),
            ("dials_per_host", self.dials_per_host, "dials_per_host_burst", self.dials_per_host_burst),
        ] {
            problems.range(key, rate.into(), 0..=100_000);
            problems.range(burst_key, burst.into(), 1..=100_000);
        }
        for (protocol, rate) in &self.protocols {
            let path = format!("protocols.\"{protocol}\"");
            if !protocol.starts_with('/') {
                let problem = format!("\"{protocol}\" is not the id of a protocol");
                problems.add(&path, problem, "an id begins with a slash, such as \"/ipfs/id/1.0.0\"");
            }
            problems.range(&format!("{path}.streams"), rate.streams.into(), 0..=100_000);
            problems.range(&format!("{path}.burst"), rate.burst.into(), 1..=100_000);
        }
        problems.range("hosts", self.hosts.into(), 1..=1_000_000);
        problems.range("peers", self.peers.into(), 1..=1_000_000);
    }
}

/// The gate.
#[derive(Debug)]
pub struct RateLimit {
    exempt: Nets,
    inbound_per_host: Limit<IpNet>,
    inbound_total: Limit<()>,
    streams_per_peer: Limit<(PeerId, Box<str>)>,
    protocols: HashMap<String, Limit<PeerId>>,
    dials: Limit<()>,
    dials_per_host: Limit<IpNet>,
}

impl RateLimit {
    /// Understands the limits of a configuration, and takes over from the gate before what it knows of those that stay
    /// as they are. That gate can still be asked: both have these buckets.
    ///
    /// # Errors
    /// Numbers out of range, what is no id of a protocol, and every exemption that is no network.
    pub fn new(config: &Config, before: Option<&Self>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        config.check(&mut problems);
        let exempt = Nets::new(parse_all("exempt", &config.exempt, parse_net, &mut problems));
        if !problems.is_empty() {
            return Err(problems);
        }
        let Config { hosts, peers, .. } = *config;
        let inbound_per_host =
            Limit::new("inbound_per_host", config.inbound_per_host, config.inbound_burst, hosts);
        let inbound_total = Limit::new("inbound_total", config.inbound_total, config.inbound_total_burst, 1);
        let streams_per_peer =
            Limit::new("streams_per_peer", config.streams_per_peer, config.streams_burst, peers);
        let dials = Limit::new("dials", config.dials, config.dials_burst, 1);
        let dials_per_host =
            Limit::new("dials_per_host", config.dials_per_host, config.dials_per_host_burst, hosts);
        let protocols = config.protocols.iter().map(|(protocol, rate)| {
            let limit = Limit::of_protocol(protocol, *rate, peers);
            (protocol.clone(), limit.after(before.and_then(|before| before.protocols.get(protocol))))
        });
        Ok(Self {
            exempt,
            inbound_per_host: inbound_per_host.after(before.map(|before| &before.inbound_per_host)),
            inbound_total: inbound_total.after(before.map(|before| &before.inbound_total)),
            streams_per_peer: streams_per_peer.after(before.map(|before| &before.streams_per_peer)),
            protocols: protocols.collect(),
            dials: dials.after(before.map(|before| &before.dials)),
            dials_per_host: dials_per_host.after(before.map(|before| &before.dials_per_host)),
        })
    }

    /// The host comes first, so that one that is too fast takes nothing from all others.
    fn connects(&self, remote: &Multiaddr) -> Result<(), Denial> {
        if let Some(host) = ip_of(remote).map(host) {
            self.inbound_per_host.take(|| host, || format!("inbound connections of {}", shown(host)))?;
        }
        self.inbound_total.take(|| (), || "inbound connections".into())
    }

    fn dials(&self, addr: &Multiaddr) -> Result<(), Denial> {
        if let Some(host) = ip_of(addr).map(host) {
            self.dials_per_host.take(|| host, || format!("dials of {}", shown(host)))?;
        }
        self.dials.take(|| (), || "dials".into())
    }

    fn opens(&self, peer: &PeerId, protocol: &str) -> Result<(), Denial> {
        let scope = || format!("streams of {protocol} by {peer}");
        match self.protocols.get(protocol) {
            Some(limit) => limit.take(|| *peer, scope),
            None => self.streams_per_peer.take(|| (*peer, protocol.into()), scope),
        }
    }

    fn is_exempt(&self, remote: &Multiaddr) -> bool {
        ip_of(remote).is_some_and(|ip| self.exempt.find(ip).is_some())
    }
}

impl Gate for RateLimit {
    fn check(&self, point: &Checkpoint<'_>, _cx: &GateCx<'_>) -> Verdict {
        if point.remote().is_none_or(|remote| self.is_exempt(remote)) {
            return Verdict::Allow;
        }
        let taken = match point {
            Checkpoint::Link { remote, .. } => self.connects(remote),
            Checkpoint::AddrDial { addr, .. } => self.dials(addr),
            Checkpoint::Stream { peer, protocol, .. } => self.opens(peer, protocol),
            _ => Ok(()),
        };
        taken.map_or_else(Verdict::Deny, |()| Verdict::Allow)
    }
}

#[cfg(test)]
mod tests;
