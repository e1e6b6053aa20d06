//! `dns`: resolves `/dns`, `/dns4`, `/dns6` and `/dnsaddr`.
//!
//! The names of `/dns…` become IP addresses in place. `/dnsaddr/<name>` becomes the addresses in the TXT
//! records of `_dnsaddr.<name>` (multiformats, protocols/DNSADDR.md); what follows it, such as `/p2p/<id>`,
//! is no part of the result but chooses the records that end in it.
//!
//! Answers are kept for as long as they say, within bounds, so that a name that is dialled often is asked for once.
//! Records are written by strangers, so everything that they can ask for is bounded, see `resolver/walk.rs`.

mod cache;
mod name_servers;

use super::walk;
use async_trait::async_trait;
use cache::Bounds;
use name_servers::NameServers;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    Multiaddr, PluginConfig, Problems,
    config::DurationText,
    register_resolver,
    resolver::{ResolveError, Resolver},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

register_resolver! {
    name: "dns",
    summary: "resolves /dns, /dns4, /dns6 and /dnsaddr by the system's or by given name servers",
    example: "nameservers = [\"192.0.2.53:53\"]\ntimeout = \"10s\"\nattempts = 2\ncache_size = 256",
    config: Config,
    build: |config, _| Ok(Arc::new(Dns::new(&config))),
}

const DNS_PORT: u16 = 53;
const MAX_NAMESERVERS: usize = 16;
const MAX_CACHE_SIZE: u64 = 65_536;
const MAX_TTL: DurationText = DurationText::secs(86_400);
const MAX_NEGATIVE_TTL: DurationText = DurationText::secs(3_600);

/// The keys of `[resolver.dns]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name servers to ask, as `"ip:port"` or `"ip"`, at most 16. Default none: those of the system.
    pub nameservers: Vec<String>,
    /// How long one address may take to resolve, at most `"5m"`. Default `"10s"`; a dial waits for it.
    pub timeout: DurationText,
    /// How often a question without an answer is asked, 1 to 10. Default 2; they share `timeout`.
    pub attempts: u8,
    /// Answers that are kept, 0 to 65536. Default 256; each takes up to 16 KiB, most less than one. 0 keeps none.
    pub cache_size: u32,
    /// Longest time for which records are kept, whatever they say, up to `"24h"`. Default `"1h"`; a peer that moves is
    /// not found for that long.
    pub max_ttl: DurationText,
    /// Longest time for which it is kept that a name has no such records, up to `"1h"`. Default `"1m"`; a new name
    /// is not found for that long.
    pub max_negative_ttl: DurationText,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            nameservers: Vec::new(),
            timeout: DurationText::secs(10),
            attempts: 2,
            cache_size: 256,
            max_ttl: DurationText::secs(3_600),
            max_negative_ttl: DurationText::secs(60),
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        for (at, text) in self.nameservers.iter().enumerate().filter(|(_, text)| parse_server(text).is_none())
        {
            let help = "an IP address with a port, such as \"192.0.2.53:53\" or \"[2001:db8::53]:53\"";
            problems.add(
                &format!("nameservers[{at}]"),
                format!("\"{text}\" is not the address of a name server"),
                help,
            );
        }
        if self.nameservers.len() > MAX_NAMESERVERS {
            let problem = format!("{} name servers are too many", self.nameservers.len());
            problems.add("nameservers", problem, format!("allowed: up to {MAX_NAMESERVERS}"));
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(300)).contains(&self.timeout.0) {
            problems.add("timeout", format!("{} is out of range", self.timeout), "allowed: 1ms to 5m");
        }
        problems.range("attempts", self.attempts.into(), 1..=10);
        problems.range("cache_size", self.cache_size.into(), 0..=MAX_CACHE_SIZE);
        for (key, ttl, most) in [
            ("max_ttl", self.max_ttl, MAX_TTL),
            ("max_negative_ttl", self.max_negative_ttl, MAX_NEGATIVE_TTL),
        ] {
            if ttl > most {
                problems.add(key, format!("{ttl} is out of range"), format!("allowed: 0s to {most}"));
            }
        }
    }
}

/// The address of a name server; the port may be left out.
fn parse_server(text: &str) -> Option<SocketAddr> {
    let with_default_port = || text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, DNS_PORT));
    text.parse().ok().or_else(with_default_port).filter(|server: &SocketAddr| server.port() != 0)
}

/// The resolver.
#[derive(Debug)]
pub struct Dns {
    servers: NameServers,
    timeout: Duration,
}

impl Dns {
    /// A resolver that reads no file and opens no socket before it is first asked.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let servers = config.nameservers.iter().filter_map(|text| parse_server(text)).collect();
        let attempts = u32::from(config.attempts.max(1));
        let per_attempt = config.timeout.0.checked_div(attempts).unwrap_or(config.timeout.0);
        let bounds = Bounds {
            size: usize::try_from(config.cache_size).unwrap_or(usize::MAX),
            max_ttl: config.max_ttl.0,
            max_negative_ttl: config.max_negative_ttl.0,
        };
        Self { servers: NameServers::new(servers, per_attempt, attempts, bounds), timeout: config.timeout.0 }
    }
}

#[async_trait]
impl Resolver for Dns {
    async fn resolve(&self, addr: &Multiaddr) -> Result<Vec<Multiaddr>, ResolveError> {
        walk::resolve(&self.servers, addr, self.timeout).await
    }
}
