//! `scoped`: limits on what connections and streams take, in a tree of scopes.
//!
//! A connection lies in the system and in the transient scope until its peer is proven, then in the system and in
//! the scope of its peer. A stream lies in the system, in its connection, in the scope of its peer, and in the
//! transient scope until its protocol is known; then in the scopes of the protocol, of the service the protocol
//! belongs to, and of the peer within both. What is taken is taken in all of them or in none.
//!
//! Connections and streams by direction, memory by priority, and descriptors are counted. Limits that are not set
//! are derived from the memory and the open files there are (`scoped/derive.rs`). Inbound connections are counted by
//! subnet and paced by host besides, before anything is known of who they are.

mod amounts;
mod counts;
mod derive;
mod guards;
mod kind;
mod machine;
mod places;
mod prefixes;
mod rates;
mod report;
mod rules;
mod scopes;
mod tree;

pub use amounts::{AutoBytes, AutoCount, Bytes, BytesLimit, CountLimit};
pub use kind::{Limits, ScopeLimits};
pub use machine::Machine;
pub use prefixes::SubnetLimit;

use amounts::size_text;
use guards::{ConnectionGuard, Shared};
use rules::Rules;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    PluginConfig, Problems, register_resources,
    resources::{ConnectionRequest, ConnectionScope, Limit, LimitExceeded, ResourceManager, Usage},
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex},
};
use tree::Tree;

register_resources! {
    name: "scoped",
    summary: "limits connections, streams, memory and descriptors in a tree of scopes, and inbound ones by address",
    example: "max_memory = \"512MiB\"\nmax_descriptors = 512\ninbound_rate = 5\ntrusted = [\"10.0.0.0/8\"]\n\
              allowlist = [\"192.0.2.0/24\"]\nservices = { identify = [\"/ipfs/id/1.0.0\"] }\n\
              ip4_limits = [{ prefix = 32, connections = 8 }]\n\
              limits = { peer = { streams_inbound = 128 } }",
    config: Config,
    build: |config, _| Scoped::new(&config, &Machine::here()).map(|manager| Arc::new(manager) as _),
}

/// The keys of `[resources.scoped]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Memory that connections and streams may reserve, such as `"512MiB"`. Default `"auto"`: an eighth of what the
    /// machine, or the control group, has. Most other limits grow with it.
    pub max_memory: AutoBytes,
    /// File descriptors that connections may have. Default `"auto"`: half of what the process may open (`ulimit -n`).
    pub max_descriptors: AutoCount,
    /// What each connection is charged, in bytes. Default `"32KiB"`: its task, its socket, and what security and
    /// muxer keep at rest.
    pub connection_memory: Bytes,
    /// What each stream is charged, in bytes. Default `"16KiB"`: its state and what waits in its buffers.
    pub stream_memory: Bytes,
    /// Inbound connections from one subnet of IPv4, the longest prefix first. Default
    /// `[{ prefix = 32, connections = 8 }]`; `[]` for no limit.
    pub ip4_limits: Vec<SubnetLimit>,
    /// The same for IPv6. Default `[{ prefix = 56, connections = 8 }, { prefix = 48, connections = 64 }]`.
    pub ip6_limits: Vec<SubnetLimit>,
    /// Inbound connections that one host, an address of IPv4 or a /56 of IPv6, may begin in a second, 0 (no limit) to
    /// 100000. Default 5.
    pub inbound_rate: u32,
    /// Of these, how many at once after a pause, 1 to 100000. Default 16.
    pub inbound_burst: u32,
    /// Hosts whose rate is remembered, 1 to 1000000. Default 4096, 200 bytes each; the longest unseen go.
    pub rate_hosts: u32,
    /// Whether this host itself is counted by address and paced. Default false.
    pub limit_loopback: bool,
    /// Networks that are not counted by address and not paced, such as `"10.0.0.0/8"`. Default none; all other
    /// limits apply to them.
    pub trusted: Vec<String>,
    /// Networks and peers that have limits of their own, such as `"192.0.2.0/24"`, `"/p2p/12D3KooW…"` or
    /// `"192.0.2.7/p2p/12D3KooW…"`. Default none; what they take comes on top.
    pub allowlist: Vec<String>,
    /// Protocols that share the limits of a service, as `name = ["/protocol/1.0.0"]`. Default none.
    pub services: BTreeMap<String, Vec<String>>,
    /// Limits set by hand, as `peer = { streams_inbound = 128 }`; a number or `"unlimited"`. Default none: all are
    /// derived.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        let subnet = |prefix, connections| SubnetLimit { prefix, connections };
        Self {
            max_memory: AutoBytes(None),
            max_descriptors: AutoCount(None),
            connection_memory: Bytes(Some(32 << 10)),
            stream_memory: Bytes(Some(16 << 10)),
            ip4_limits: vec![subnet(32, 8)],
            ip6_limits: vec![subnet(56, 8), subnet(48, 64)],
            inbound_rate: 5,
            inbound_burst: 16,
            rate_hosts: 4_096,
            limit_loopback: false,
            trusted: Vec::new(),
            allowlist: Vec::new(),
            services: BTreeMap::new(),
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Notes what contradicts itself, on whatever machine.
    fn check(&self, problems: &mut Problems) {
        prefixes::validate("ip4_limits", 32, &self.ip4_limits, problems);
        prefixes::validate("ip6_limits", 128, &self.ip6_limits, problems);
        problems.range("inbound_rate", self.inbound_rate.into(), 0..=100_000);
        problems.range("inbound_burst", self.inbound_burst.into(), 1..=100_000);
        problems.range("rate_hosts", self.rate_hosts.into(), 1..=1_000_000);
        let charge = [self.connection_memory.0, self.stream_memory.0];
        let charge = charge.into_iter().flatten().fold(0, u64::saturating_add);
        if self.max_memory.0.is_some_and(|most| most < charge) {
            let problem =
                format!("{} has no room for one connection", size_text(self.max_memory.0.unwrap_or(0)));
            let help = format!(
                "allowed: {} or more, which is `connection_memory` and `stream_memory`",
                size_text(charge)
            );
            problems.add("max_memory", problem, help);
        }
        let mut owners = HashMap::new();
        for (service, protocols) in &self.services {
            for (at, protocol) in protocols.iter().enumerate() {
                if let Some(owner) = owners.insert(protocol, service) {
                    let problem = format!("\"{protocol}\" belongs to `{owner}` already");
                    problems.add(&format!("services.{service}[{at}]"), problem, "a protocol has one service");
                }
            }
        }
        self.limits.validate(problems);
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        if let Err(found) = Rules::new(self, &Machine::default()) {
            *problems = found;
        }
    }
}

/// The manager.
pub struct Scoped(Arc<Shared>);

impl Scoped {
    /// A manager for a machine with so much memory and so many open files.
    ///
    /// # Errors
    /// Everything in the configuration that is not understood or contradicts itself.
    pub fn new(config: &Config, machine: &Machine) -> Result<Self, Problems> {
        let rules = Rules::new(config, machine)?;
        let tree = Mutex::new(Tree::new(&rules));
        Ok(Self(Arc::new(Shared { rules, tree })))
    }
}

impl ResourceManager for Scoped {
    fn open_connection(
        &self,
        request: &ConnectionRequest<'_>,
    ) -> Result<Box<dyn ConnectionScope>, LimitExceeded> {
        ConnectionGuard::open(&self.0, request).map(|guard| Box::new(guard) as _)
    }

    fn usage(&self, max: usize) -> Vec<Usage> {
        self.0.to_give().usage(&self.0.rules, max)
    }

    fn limits(&self) -> Vec<Limit> {
        self.0.to_give().limits(&self.0.rules)
    }
}

impl fmt::Debug for Scoped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scoped").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
