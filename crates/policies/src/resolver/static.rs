//! `static`: resolves the names of a table in the profile, and no others.
//!
//! It asks nobody: for tests, for networks without a name server, and for nodes that must not look up names
//! that peers tell them. The rules and limits are those of `dns`, see `resolver/walk.rs`.

mod table;

use super::{lookup::Lookup, walk};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    Multiaddr, PluginConfig, Problems, escape, register_resolver,
    resolver::{ResolveError, ResolveErrorKind, Resolver},
};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};
use table::Table;

register_resolver! {
    name: "static",
    summary: "resolves the names of a table in the profile and asks nobody",
    example: "hosts = { \"node1.test\" = [\"10.0.0.1\", \"2001:db8::1\"] }\n\
              dnsaddr = { \"boot.test\" = [\"/dns4/node1.test/tcp/4001\"] }",
    config: Config,
    build: |config, _| Static::new(&config).map(|resolver| Arc::new(resolver) as _),
}

/// A bound that is never reached: every answer is at hand.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The keys of `[resolver.static]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The IP addresses of names, as `"node1.test" = ["10.0.0.1", "2001:db8::1"]`, up to 100 for each. Default
    /// none.
    #[serde(deserialize_with = "table::entries")]
    pub hosts: BTreeMap<String, Vec<String>>,
    /// The addresses behind `/dnsaddr` names, as `"boot.test" = ["/ip4/10.0.0.1/tcp/4001"]`, up to 100 for each.
    /// Default none.
    #[serde(deserialize_with = "table::entries")]
    pub dnsaddr: BTreeMap<String, Vec<String>>,
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        if let Err(found) = Static::new(self) {
            *problems = found;
        }
    }
}

/// The resolver.
#[derive(Debug)]
pub struct Static {
    table: Table,
}

impl Static {
    /// Understands all entries of a configuration.
    ///
    /// # Errors
    /// Every entry that has no usable name or no usable address.
    pub fn new(config: &Config) -> Result<Self, Problems> {
        Ok(Self { table: Table::new(&config.hosts, &config.dnsaddr)? })
    }
}

#[async_trait]
impl Resolver for Static {
    async fn resolve(&self, addr: &Multiaddr) -> Result<Vec<Multiaddr>, ResolveError> {
        walk::resolve(&self.table, addr, TIMEOUT).await
    }
}

#[async_trait]
impl Lookup for Table {
    async fn ipv4(&self, name: &str) -> Result<Vec<Ipv4Addr>, ResolveError> {
        self.ips(name)
            .filter(|host| !host.v4.is_empty())
            .map_or_else(|| missing(name, "IPv4 address"), |host| Ok(host.v4.clone()))
    }

    async fn ipv6(&self, name: &str) -> Result<Vec<Ipv6Addr>, ResolveError> {
        self.ips(name)
            .filter(|host| !host.v6.is_empty())
            .map_or_else(|| missing(name, "IPv6 address"), |host| Ok(host.v6.clone()))
    }

    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, ResolveError> {
        self.records(name).map_or_else(|| missing(name, "dnsaddr entry"), |records| Ok(records.to_vec()))
    }
}

fn missing<T>(name: &str, what: &str) -> Result<T, ResolveError> {
    let detail = format!("{} has no {what} in the table", escape::remote(name));
    Err(ResolveError::new(ResolveErrorKind::NotFound, detail))
}

#[cfg(test)]
mod tests;
