//! How many inbound connections a host may begin in a second.

use super::{Config, derive::TABLE};
use crate::{
    host::host,
    limiter::{Buckets, Rate},
};
use ipnet::IpNet;
use skep_api::resources::{Limit, Resource, Usage};
use std::net::IpAddr;

/// A bucket for each host that has connected of late: an address of IPv4, a /56 of IPv6.
#[derive(Debug)]
pub(super) struct Rates {
    /// `None` where there is no limit.
    hosts: Option<Buckets<IpNet>>,
    max_hosts: usize,
    denied: u64,
}

/// A host that is too fast.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooFast {
    pub(super) host: IpNet,
    pub(super) burst: u64,
}

impl Rates {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            hosts: Rate::new(config.inbound_rate, config.inbound_burst).map(Buckets::new),
            max_hosts: usize::try_from(config.rate_hosts).unwrap_or(usize::MAX),
            denied: 0,
        }
    }

    /// Takes one from the bucket of a host.
    pub(super) fn take(&mut self, ip: IpAddr) -> Result<(), TooFast> {
        let Some(hosts) = &mut self.hosts else { return Ok(()) };
        let host = host(ip);
        let taken = hosts.take(host, self.max_hosts);
        taken.map_err(|too_fast| TooFast { host, burst: too_fast.burst.into() })
    }

    /// Notes a denial; the full path of its key.
    pub(super) fn deny(&mut self) -> String {
        self.denied = self.denied.saturating_add(1);
        format!("{TABLE}.inbound_rate")
    }

    pub(super) fn limits(&self, config: &Config) -> Option<Limit> {
        self.hosts.as_ref().map(|_| Limit {
            scope: "ip4 /32, ip6 /56, per second".into(),
            resource: Resource::Rate,
            limit: Some(config.inbound_rate.into()),
            key: format!("{TABLE}.inbound_rate"),
            why: if config.inbound_rate == Config::default().inbound_rate { "default" } else { "configured" }
                .into(),
        })
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        let hosts = self.hosts.as_ref().filter(|_| self.denied > 0)?;
        Some(Usage {
            scope: "host, at once".into(),
            resource: Resource::Rate,
            current: 0,
            limit: Some(hosts.rate().burst().into()),
            denied: self.denied,
        })
    }

    /// How many hosts are remembered.
    #[cfg(test)]
    pub(super) fn hosts(&self) -> usize {
        self.hosts.as_ref().map_or(0, Buckets::len)
    }
}
