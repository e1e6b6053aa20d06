//! How many inbound connections a host may begin in a second.

use super::{Config, derive::TABLE};
use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use ipnet::IpNet;
use lru::LruCache;
use skep_api::resources::{Limit, Resource, Usage};
use std::{net::IpAddr, num::NonZeroU32, time::Duration};
use tokio::time::Instant;

type Limiter = RateLimiter<NotKeyed, InMemoryState, NodeClock, NoOpMiddleware<Duration>>;

/// A bucket for each host that has connected of late: an address of IPv4, a /56 of IPv6.
pub(super) struct Rates {
    quota: Option<Quota>,
    burst: u64,
    clock: NodeClock,
    /// The host unseen for longest makes room. Whoever has more hosts than there are places could push one out, but
    /// has as many buckets anyway.
    hosts: LruCache<IpNet, Limiter>,
    max_hosts: usize,
    denied: u64,
}

/// `tokio::time`, so that tests can pause it.
#[derive(Clone, Copy, Debug)]
struct NodeClock(Instant);

impl Clock for NodeClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A host that is too fast.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooFast {
    pub(super) host: IpNet,
    pub(super) burst: u64,
}

impl Rates {
    pub(super) fn new(config: &Config) -> Self {
        let burst = NonZeroU32::new(config.inbound_burst).unwrap_or(NonZeroU32::MIN);
        let quota =
            NonZeroU32::new(config.inbound_rate).map(|rate| Quota::per_second(rate).allow_burst(burst));
        Self {
            quota,
            burst: burst.get().into(),
            clock: NodeClock(Instant::now()),
            hosts: LruCache::unbounded(),
            max_hosts: usize::try_from(config.rate_hosts).unwrap_or(usize::MAX),
            denied: 0,
        }
    }

    /// Takes one from the bucket of a host.
    pub(super) fn take(&mut self, ip: IpAddr) -> Result<(), TooFast> {
        let Some(quota) = self.quota else { return Ok(()) };
        let Some(host) = host(ip) else { return Ok(()) };
        let clock = self.clock;
        let limiter = self.hosts.get_or_insert(host, || RateLimiter::direct_with_clock(quota, clock));
        let passed = limiter.check().is_ok();
        if self.hosts.len() > self.max_hosts {
            self.hosts.pop_lru();
        }
        if passed { Ok(()) } else { Err(TooFast { host, burst: self.burst }) }
    }

    /// Notes a denial; the full path of its key.
    pub(super) fn deny(&mut self) -> String {
        self.denied = self.denied.saturating_add(1);
        format!("{TABLE}.inbound_rate")
    }

    pub(super) fn limits(&self, config: &Config) -> Option<Limit> {
        self.quota.map(|_| Limit {
            scope: "ip4 /32, ip6 /56, per second".into(),
            resource: Resource::Rate,
            limit: Some(config.inbound_rate.into()),
            key: format!("{TABLE}.inbound_rate"),
            why: if config.inbound_rate == Config::default().inbound_rate { "default" } else { "configured" }
                .into(),
        })
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        (self.denied > 0).then(|| Usage {
            scope: "host, at once".into(),
            resource: Resource::Rate,
            current: 0,
            limit: Some(self.burst),
            denied: self.denied,
        })
    }

    /// How many hosts are remembered.
    #[cfg(test)]
    pub(super) fn hosts(&self) -> usize {
        self.hosts.len()
    }
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rates").field("hosts", &self.hosts.len()).finish_non_exhaustive()
    }
}

fn host(ip: IpAddr) -> Option<IpNet> {
    IpNet::new(ip, if ip.is_ipv4() { 32 } else { 56 }).ok().map(|net| net.trunc())
}
