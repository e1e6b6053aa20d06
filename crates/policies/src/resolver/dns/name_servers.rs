//! Single questions to name servers.

use super::super::lookup::Lookup;
use async_trait::async_trait;
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, RecordType},
    },
};
use skep_api::{
    escape,
    resolver::{ResolveError, ResolveErrorKind},
};
use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::sync::OnceCell;

/// The name servers of the system, or those given.
///
/// The library runs tasks of its own for its sockets; they end when this is dropped.
pub(super) struct NameServers {
    servers: Vec<SocketAddr>,
    per_attempt: Duration,
    attempts: u32,
    // Made on first use: before, the system's configuration may not be there yet, and nothing may be opened.
    resolver: OnceCell<TokioResolver>,
}

impl NameServers {
    /// Asks `servers`, or those of the system if there are none, up to `attempts` times.
    pub(super) fn new(servers: Vec<SocketAddr>, per_attempt: Duration, attempts: u32) -> Self {
        Self { servers, per_attempt, attempts, resolver: OnceCell::new() }
    }

    /// The resolver. A failure to make it is not kept, so a repaired `/etc/resolv.conf` is seen.
    async fn resolver(&self) -> Result<&TokioResolver, ResolveError> {
        self.resolver.get_or_try_init(|| async { self.connect() }).await.map_err(|e| {
            ResolveError::new(ResolveErrorKind::Unavailable, "no usable configuration").with_source(e)
        })
    }

    /// Reads two small files of `/etc`; name servers are not contacted yet.
    fn connect(&self) -> Result<TokioResolver, NetError> {
        let mut builder = if self.servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = self.servers.iter().copied().map(name_server).collect();
            let config = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.timeout = self.per_attempt;
        // The library counts the repetitions.
        options.attempts = usize::try_from(self.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        builder.build()
    }

    /// Asks for the records of one type, and takes those that `pick` knows.
    async fn ask<T>(
        &self,
        name: &str,
        wanted: RecordType,
        pick: fn(&RData) -> Option<T>,
    ) -> Result<Vec<T>, ResolveError> {
        let detail = || format!("{} ({wanted})", escape::remote(name));
        let parsed = Name::from_utf8(name)
            .map_err(|e| ResolveError::new(ResolveErrorKind::NotFound, detail()).with_source(e))?;
        let answer = self.resolver().await?.lookup(parsed, wanted).await;
        let answer = answer.map_err(|e| ResolveError::new(kind_of(&e), detail()).with_source(e))?;
        let found: Vec<_> = answer.answers().iter().filter_map(|record| pick(&record.data)).collect();
        if found.is_empty() {
            Err(ResolveError::new(ResolveErrorKind::NotFound, detail()))
        } else {
            Ok(found)
        }
    }
}

#[async_trait]
impl Lookup for NameServers {
    async fn ipv4(&self, name: &str) -> Result<Vec<Ipv4Addr>, ResolveError> {
        self.ask(name, RecordType::A, |data| if let RData::A(ip) = data { Some(ip.0) } else { None }).await
    }

    async fn ipv6(&self, name: &str) -> Result<Vec<Ipv6Addr>, ResolveError> {
        self.ask(name, RecordType::AAAA, |data| if let RData::AAAA(ip) = data { Some(ip.0) } else { None })
            .await
    }

    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, ResolveError> {
        let joined =
            |data: &RData| if let RData::TXT(txt) = data { Some(txt.txt_data.concat()) } else { None };
        self.ask(name, RecordType::TXT, joined).await
    }
}

impl fmt::Debug for NameServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameServers").field("servers", &self.servers).finish_non_exhaustive()
    }
}

fn name_server(addr: SocketAddr) -> NameServerConfig {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = addr.port();
        connection
    };
    let connections = vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())];
    NameServerConfig::new(addr.ip(), true, connections)
}

/// A name without such records is told apart from a server that cannot say.
fn kind_of(error: &NetError) -> ResolveErrorKind {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none))
            if matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
        {
            ResolveErrorKind::NotFound
        }
        _ => ResolveErrorKind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_configuration_that_cannot_be_read_is_unavailable() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        for error in [NetError::from(missing), NetError::Timeout, NetError::NoConnections] {
            assert_eq!(kind_of(&error), ResolveErrorKind::Unavailable, "{error}");
        }
    }

    #[tokio::test]
    async fn nothing_is_opened_before_the_first_question() {
        let servers = NameServers::new(Vec::new(), Duration::from_secs(1), 1);
        assert!(servers.resolver.get().is_none());
        let no_name = servers.ipv4("a..b").await.unwrap_err();
        assert_eq!(no_name.kind(), ResolveErrorKind::NotFound);
        assert!(servers.resolver.get().is_none());
    }
}
