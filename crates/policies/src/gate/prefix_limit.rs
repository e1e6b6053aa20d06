//! `prefix_limit`: so many connections from, and to, the addresses of one prefix.
//!
//! A prefix stands for whoever holds its addresses: /32 for an address of IPv4, /56 or /48 for the IPv6 network of a
//! customer. What is counted are the connections that the node has, complete or in their handshake; this
//! gate itself remembers nothing. Inbound ones are judged when they arrive, before a byte is spent on them, outbound ones when an
//! address is dialled, and both once more when they are complete, as others may have come meanwhile. When a node judges
//! its connections again, after a limit was lowered, the newest of too many go.
//!
//! An IPv4 address in IPv6 clothes (`::ffff:192.0.2.7`) is one of IPv4. What has no IP at its head (`/memory/…`) and
//! what comes through a relay is in no prefix.

use super::nets::{Nets, parse_all, parse_net, shown};
use crate::host::{host, ip_of};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    Code, PluginConfig, Problems,
    gate::{Checkpoint, Denial, Gate, GateCx, Verdict},
    register_gate,
    security::Role,
};
use std::{net::IpAddr, sync::Arc};

register_gate! {
    name: "prefix_limit",
    summary: "limits the connections from and to the addresses of one prefix, and the handshakes of one host",
    example: "inbound_v4 = [{ bits = 32, max = 8 }, { bits = 24, max = 32 }]\n\
              inbound_v6 = [{ bits = 56, max = 8 }, { bits = 48, max = 32 }]\n\
              outbound_v4 = [{ bits = 24, max = 32 }]\noutbound_v6 = [{ bits = 48, max = 32 }]\n\
              handshakes = 8\nexempt = [\"127.0.0.0/8\", \"::1\", \"10.0.0.0/8\"]",
    config: Config,
    build: |config, _| PrefixLimit::new(&config).map(|gate| Arc::new(gate) as _),
}

/// The keys of `[gate.prefix_limit]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Inbound connections from one prefix of IPv4, as `{ bits = 32, max = 8 }`, the longest prefix first. Default
    /// `[{ bits = 32, max = 32 }, { bits = 24, max = 128 }]`; `[]` for no limit. More behind one NAT are denied.
    pub inbound_v4: Vec<PrefixMax>,
    /// Inbound connections from one prefix of IPv6, as `{ bits = 56, max = 8 }`, the longest prefix first. Default
    /// `[{ bits = 56, max = 32 }, { bits = 48, max = 128 }]`; `[]` for no limit. A cluster is often one /56.
    pub inbound_v6: Vec<PrefixMax>,
    /// Outbound connections to one prefix of IPv4, as `{ bits = 24, max = 32 }`. Default none: no limit.
    pub outbound_v4: Vec<PrefixMax>,
    /// Outbound connections to one prefix of IPv6, as `{ bits = 48, max = 32 }`. Default none: no limit.
    pub outbound_v6: Vec<PrefixMax>,
    /// Inbound connections of one host, an address of IPv4 or a /56 of IPv6, that may be in their handshake at a time,
    /// 0 (no limit) to 100000. Default 8.
    pub handshakes: u32,
    /// Networks that are not limited, such as `"10.0.0.0/8"`. Default `["127.0.0.0/8", "::1"]`, this host itself; a list
    /// of one's own is in its place.
    pub exempt: Vec<String>,
}

/// The most connections of each prefix of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrefixMax {
    /// The length of the prefix in bits, from 1 to 32 for IPv4, to 128 for IPv6.
    pub bits: u8,
    /// Connections, 1 to 1000000.
    pub max: u32,
}

impl Default for Config {
    fn default() -> Self {
        let prefix = |bits, max| PrefixMax { bits, max };
        Self {
            inbound_v4: vec![prefix(32, 32), prefix(24, 128)],
            inbound_v6: vec![prefix(56, 32), prefix(48, 128)],
            outbound_v4: Vec::new(),
            outbound_v6: Vec::new(),
            handshakes: 8,
            exempt: vec!["127.0.0.0/8".into(), "::1".into()],
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        if let Err(found) = PrefixLimit::new(self) {
            *problems = found;
        }
    }
}

/// The gate.
#[derive(Clone, Debug)]
pub struct PrefixLimit {
    rules: Config,
    exempt: Nets,
}

impl PrefixLimit {
    /// Understands the limits of a configuration.
    ///
    /// # Errors
    /// Limits out of range or out of order, and every exemption that is no network.
    pub fn new(config: &Config) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        for (key, most_bits, limits) in [
            ("inbound_v4", 32, &config.inbound_v4),
            ("inbound_v6", 128, &config.inbound_v6),
            ("outbound_v4", 32, &config.outbound_v4),
            ("outbound_v6", 128, &config.outbound_v6),
        ] {
            check(key, most_bits, limits, &mut problems);
        }
        problems.range("handshakes", config.handshakes.into(), 0..=100_000);
        let exempt = Nets::new(parse_all("exempt", &config.exempt, parse_net, &mut problems));
        let gate = Self { rules: config.clone(), exempt };
        if problems.is_empty() { Ok(gate) } else { Err(problems) }
    }

    /// What is against one more connection of this direction.
    fn full_prefix(&self, role: Role, ip: IpAddr, cx: &GateCx<'_>) -> Option<Denial> {
        let rules = &self.rules;
        let (key, side, limits) = match (role, ip) {
            (Role::Listener, IpAddr::V4(_)) => ("inbound_v4", "inbound", &rules.inbound_v4),
            (Role::Listener, IpAddr::V6(_)) => ("inbound_v6", "inbound", &rules.inbound_v6),
            (Role::Dialer, IpAddr::V4(_)) => ("outbound_v4", "outbound", &rules.outbound_v4),
            (Role::Dialer, IpAddr::V6(_)) => ("outbound_v6", "outbound", &rules.outbound_v6),
        };
        limits.iter().find_map(|&PrefixMax { bits, max }| {
            let most = usize::try_from(max).unwrap_or(usize::MAX);
            let current = cx.census.connections(role, ip, bits, most);
            let net = IpNet::new(ip, bits).ok().filter(|_| current >= most)?;
            Some(denial(key, net, current, most, &format!("{side} connections")))
        })
    }

    /// What is against one more handshake.
    fn full_host(&self, ip: IpAddr, cx: &GateCx<'_>) -> Option<Denial> {
        let most = usize::try_from(self.rules.handshakes).unwrap_or(usize::MAX);
        let host = host(ip);
        if most == 0 {
            return None;
        }
        let current = cx.census.handshakes(ip, host.prefix_len(), most);
        (current >= most).then(|| denial("handshakes", host, current, most, "inbound handshakes under way"))
    }
}

impl Gate for PrefixLimit {
    fn check(&self, point: &Checkpoint<'_>, cx: &GateCx<'_>) -> Verdict {
        let (role, begins) = match *point {
            Checkpoint::Link { .. } => (Role::Listener, true),
            Checkpoint::AddrDial { .. } => (Role::Dialer, false),
            Checkpoint::Ready { role, .. } | Checkpoint::Again { role, .. } => (role, false),
            _ => return Verdict::Allow,
        };
        let ip = point.remote().and_then(ip_of).filter(|ip| self.exempt.find(*ip).is_none());
        let Some(ip) = ip else { return Verdict::Allow };
        let denial = self.full_prefix(role, ip, cx);
        let denial = denial.or_else(|| if begins { self.full_host(ip, cx) } else { None });
        denial.map_or(Verdict::Allow, Verdict::Deny)
    }
}

fn denial(key: &str, net: IpNet, current: usize, most: usize, what: &str) -> Denial {
    let net = shown(net.trunc());
    let reason = format!("{net} has {current} of {most} {what}");
    Denial::new(format!("{key} = {net}"), reason).with_code(Code::RESOURCE_LIMIT)
}

/// Notes what cannot work: numbers out of range, and a wider prefix that has less room than one within it.
fn check(key: &str, most_bits: u8, limits: &[PrefixMax], problems: &mut Problems) {
    for (at, limit) in limits.iter().enumerate() {
        problems.range(&format!("{key}[{at}].bits"), limit.bits.into(), 1..=most_bits.into());
        problems.range(&format!("{key}[{at}].max"), limit.max.into(), 1..=1_000_000);
        let before = at.checked_sub(1).and_then(|before| limits.get(before));
        let Some(before) = before else { continue };
        if limit.bits >= before.bits {
            let problem = format!("/{} comes after /{}", limit.bits, before.bits);
            let help = "from the longest prefix to the shortest, each once";
            problems.add(&format!("{key}[{at}].bits"), problem, help);
        } else if limit.max < before.max {
            let problem = format!(
                "{} for a /{} is below the {} for a /{} within it",
                limit.max, limit.bits, before.max, before.bits
            );
            problems.add(&format!("{key}[{at}].max"), problem, format!("allowed: {} or more", before.max));
        }
    }
}

#[cfg(test)]
mod tests;
