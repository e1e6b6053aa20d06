//! Inbound connections by address and by subnet.

use super::{Config, derive::TABLE};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    Problems,
    resources::{Limit, Resource, Usage},
};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

/// A limit of the connections from each subnet of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubnetLimit {
    /// The length of the subnet's prefix in bits: 32 is one address of IPv4.
    pub prefix: u8,
    /// Inbound connections from one subnet.
    pub connections: u32,
}

/// A rule of the configuration.
#[derive(Clone, Copy, Debug)]
struct Rule {
    v6: bool,
    /// Its place in the list of its family.
    at: usize,
    prefix: u8,
    limit: u64,
}

/// A subnet that is full.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full {
    pub(super) net: IpNet,
    pub(super) current: u64,
    pub(super) limit: u64,
    rule: usize,
}

/// Counts the inbound connections of each subnet that has one.
#[derive(Debug)]
pub(super) struct Prefixes {
    rules: Vec<Rule>,
    held: HashMap<IpNet, u64>,
    /// Denials by the place of the rule.
    denied: BTreeMap<usize, u64>,
}

impl Prefixes {
    pub(super) fn new(config: &Config) -> Self {
        let family = |v6: bool, limits: &[SubnetLimit]| {
            let rule = move |(at, limit): (usize, &SubnetLimit)| Rule {
                v6,
                at,
                prefix: limit.prefix,
                limit: limit.connections.into(),
            };
            limits.iter().enumerate().map(rule).collect::<Vec<_>>()
        };
        let rules = [family(false, &config.ip4_limits), family(true, &config.ip6_limits)].concat();
        Self { rules, held: HashMap::new(), denied: BTreeMap::new() }
    }

    /// The first subnet of an address that has no room.
    pub(super) fn full(&self, ip: IpAddr) -> Option<Full> {
        self.rules.iter().enumerate().find_map(|(n, rule)| {
            let net = rule.net(ip)?;
            let current = self.held.get(&net).copied().unwrap_or(0);
            (current >= rule.limit).then_some(Full { net, current, limit: rule.limit, rule: n })
        })
    }

    pub(super) fn add(&mut self, ip: IpAddr) {
        let Self { rules, held, .. } = self;
        for net in rules.iter().filter_map(|rule| rule.net(ip)) {
            let count = held.entry(net).or_default();
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn remove(&mut self, ip: IpAddr) {
        let Self { rules, held, .. } = self;
        for net in rules.iter().filter_map(|rule| rule.net(ip)) {
            if let Some(count) = held.get_mut(&net) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    held.remove(&net);
                }
            }
        }
    }

    /// Notes a denial; the full path of its key.
    pub(super) fn deny(&mut self, full: &Full) -> String {
        let denied = self.denied.entry(full.rule).or_default();
        *denied = denied.saturating_add(1);
        self.rules.get(full.rule).map(Rule::key).unwrap_or_default()
    }

    pub(super) fn limits(&self) -> impl Iterator<Item = Limit> {
        let defaults = Config::default();
        self.rules.iter().map(move |rule| {
            let default = if rule.v6 { &defaults.ip6_limits } else { &defaults.ip4_limits };
            let is_default =
                default.iter().any(|d| d.prefix == rule.prefix && u64::from(d.connections) == rule.limit);
            Limit {
                scope: rule.scope(),
                resource: Resource::ConnectionsInbound,
                limit: Some(rule.limit),
                key: rule.key(),
                why: if is_default { "default" } else { "configured" }.into(),
            }
        })
    }

    /// A row for each rule that has denied something.
    pub(super) fn denials(&self) -> impl Iterator<Item = Usage> {
        self.denied.iter().filter_map(|(n, denied)| {
            let rule = self.rules.get(*n)?;
            Some(Usage {
                scope: rule.scope(),
                resource: Resource::ConnectionsInbound,
                current: 0,
                limit: Some(rule.limit),
                denied: *denied,
            })
        })
    }

    /// A row for each subnet that has connections, the fullest first.
    pub(super) fn usage(&self, max: usize) -> Vec<Usage> {
        if max == 0 {
            return Vec::new();
        }
        let mut held: Vec<_> = self.held.iter().collect();
        held.sort_by_key(|(net, count)| (std::cmp::Reverse(**count), **net));
        held.truncate(max);
        let row = |(net, count): (&IpNet, &u64)| Usage {
            scope: format!("ip {net}"),
            resource: Resource::ConnectionsInbound,
            current: *count,
            limit: self.rules.iter().find(|rule| rule.net(net.addr()) == Some(*net)).map(|rule| rule.limit),
            denied: 0,
        };
        held.into_iter().map(row).collect()
    }
}

impl Rule {
    fn net(&self, ip: IpAddr) -> Option<IpNet> {
        (self.v6 == ip.is_ipv6()).then(|| IpNet::new(ip, self.prefix).ok().map(|net| net.trunc())).flatten()
    }

    fn scope(&self) -> String {
        format!("ip{} /{}", if self.v6 { 6 } else { 4 }, self.prefix)
    }

    fn key(&self) -> String {
        format!("{TABLE}.ip{}_limits[{}].connections", if self.v6 { 6 } else { 4 }, self.at)
    }
}

/// Notes what cannot work: lengths out of range, and a wider subnet that has less room than one within it.
pub(super) fn validate(key: &str, most: u8, limits: &[SubnetLimit], problems: &mut Problems) {
    for (at, limit) in limits.iter().enumerate() {
        problems.range(&format!("{key}[{at}].prefix"), limit.prefix.into(), 1..=most.into());
        let before = at.checked_sub(1).and_then(|before| limits.get(before));
        let Some(before) = before else { continue };
        if limit.prefix >= before.prefix {
            let problem = format!("/{} comes after /{}", limit.prefix, before.prefix);
            let help = "from the longest prefix to the shortest, each once";
            problems.add(&format!("{key}[{at}].prefix"), problem, help);
        } else if limit.connections < before.connections {
            let problem = format!(
                "{} for a /{} is below the {} for a /{} within it",
                limit.connections, limit.prefix, before.connections, before.prefix
            );
            let help = format!("allowed: {} or more", before.connections);
            problems.add(&format!("{key}[{at}].connections"), problem, help);
        }
    }
}
