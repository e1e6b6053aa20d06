//! Single questions to name servers, and the answers that are kept.

use super::{
    super::{lookup::Lookup, walk::MAX_RECORDS},
    cache::{Bounds, Cache, Data, Question},
};
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
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The name servers of the system, or those given.
///
/// The library runs tasks of its own for its sockets; they end when this is dropped.
pub(super) struct NameServers {
    servers: Vec<SocketAddr>,
    per_attempt: Duration,
    attempts: u32,
    cache: Cache,
    // Made on first use: before, the system's configuration may not be there yet, and nothing may be opened. Made anew after
    // a failure: the host may have come to another network, with other servers.
    resolver: Mutex<Option<Arc<TokioResolver>>>,
}

impl NameServers {
    /// Asks `servers`, or those of the system if there are none, up to `attempts` times.
    pub(super) fn new(
        servers: Vec<SocketAddr>,
        per_attempt: Duration,
        attempts: u32,
        bounds: Bounds,
    ) -> Self {
        Self { servers, per_attempt, attempts, cache: Cache::new(bounds), resolver: Mutex::default() }
    }

    /// The resolver. A failure to make it is not kept, so a repaired `/etc/resolv.conf` is seen.
    fn resolver(&self) -> Result<Arc<TokioResolver>, ResolveError> {
        let mut resolver = self.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*resolver {
            return Ok(Arc::clone(made));
        }
        let made = self.connect().map(Arc::new).map_err(|e| {
            ResolveError::new(ResolveErrorKind::Unavailable, "no usable configuration").with_source(e)
        })?;
        Ok(Arc::clone(resolver.insert(made)))
    }

    /// Forgets a resolver whose servers gave no answer, unless another has taken its place.
    fn give_up(&self, silent: &Arc<TokioResolver>) {
        let mut resolver = self.resolver.lock().unwrap_or_else(PoisonError::into_inner);
        if resolver.as_ref().is_some_and(|current| Arc::ptr_eq(current, silent)) {
            *resolver = None;
        }
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
        options.cache_size = 0;
        builder.build()
    }

    /// The records of one type, as they are kept or as the servers have them.
    async fn ask(&self, name: &str, wanted: RecordType) -> Result<Vec<Data>, ResolveError> {
        let detail = format!("{} ({wanted})", escape::remote(name));
        let question = match Name::from_utf8(name) {
            Ok(name) => (name, wanted),
            Err(e) => return Err(ResolveError::new(ResolveErrorKind::NotFound, detail).with_source(e)),
        };
        let found = match self.cache.find(&question) {
            Some(kept) => kept,
            None => self.ask_servers(question, &detail).await?,
        };
        if found.is_empty() { Err(ResolveError::new(ResolveErrorKind::NotFound, detail)) } else { Ok(found) }
    }

    /// Asks the servers and keeps what they say.
    async fn ask_servers(&self, question: Question, detail: &str) -> Result<Vec<Data>, ResolveError> {
        let (name, wanted) = question.clone();
        let resolver = self.resolver()?;
        let answer = match resolver.lookup(name, wanted).await {
            Ok(answer) => answer,
            Err(error) => {
                if kind_of(&error) == ResolveErrorKind::Unavailable {
                    self.give_up(&resolver);
                }
                if let Some(ttl) = negative_ttl(&error) {
                    self.cache.keep(question, &[], ttl);
                }
                return Err(ResolveError::new(kind_of(&error), detail).with_source(error));
            }
        };
        let records = answer.answers();
        let found: Vec<_> =
            records.iter().filter_map(|record| data(wanted, &record.data)).take(MAX_RECORDS).collect();
        if !found.is_empty() {
            // Of those that lead from one name to another as well.
            let ttl = records.iter().map(|record| record.ttl).min().unwrap_or(0);
            self.cache.keep(question, &found, Duration::from_secs(ttl.into()));
        }
        Ok(found)
    }
}

#[async_trait]
impl Lookup for NameServers {
    async fn ipv4(&self, name: &str) -> Result<Vec<Ipv4Addr>, ResolveError> {
        let found = self.ask(name, RecordType::A).await?;
        Ok(found
            .into_iter()
            .filter_map(|data| if let Data::V4(ip) = data { Some(ip) } else { None })
            .collect())
    }

    async fn ipv6(&self, name: &str) -> Result<Vec<Ipv6Addr>, ResolveError> {
        let found = self.ask(name, RecordType::AAAA).await?;
        Ok(found
            .into_iter()
            .filter_map(|data| if let Data::V6(ip) = data { Some(ip) } else { None })
            .collect())
    }

    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, ResolveError> {
        let found = self.ask(name, RecordType::TXT).await?;
        Ok(found
            .into_iter()
            .filter_map(|data| if let Data::Txt(text) = data { Some(text) } else { None })
            .collect())
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

/// What a record of the wanted type says. Others are in an answer too, such as those from one name to another.
fn data(wanted: RecordType, data: &RData) -> Option<Data> {
    match (wanted, data) {
        (RecordType::A, RData::A(ip)) => Some(Data::V4(ip.0)),
        (RecordType::AAAA, RData::AAAA(ip)) => Some(Data::V6(ip.0)),
        (RecordType::TXT, RData::TXT(txt)) => Some(Data::Txt(txt.txt_data.concat())),
        _ => None,
    }
}

/// How long it holds that there are no such records, if the server says so.
fn negative_ttl(error: &NetError) -> Option<Duration> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) if kind_of(error) == ResolveErrorKind::NotFound => {
            none.negative_ttl.map(|ttl| Duration::from_secs(ttl.into()))
        }
        _ => None,
    }
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
    async fn servers_that_do_not_answer_are_looked_for_anew() {
        let bounds = Bounds { size: 1, max_ttl: Duration::ZERO, max_negative_ttl: Duration::ZERO };
        let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let servers = NameServers::new(vec![gone], Duration::from_millis(100), 1, bounds);
        let error = servers.ipv4("a.test").await.unwrap_err();
        assert_eq!(error.kind(), ResolveErrorKind::Unavailable);
        assert!(servers.resolver.lock().unwrap().is_none());
    }

    #[tokio::test]
    async fn nothing_is_opened_before_the_first_question() {
        let bounds = Bounds { size: 1, max_ttl: Duration::ZERO, max_negative_ttl: Duration::ZERO };
        let servers = NameServers::new(Vec::new(), Duration::from_secs(1), 1, bounds);
        assert!(servers.resolver.lock().unwrap().is_none());
        let no_name = servers.ipv4("a..b").await.unwrap_err();
        assert_eq!(no_name.kind(), ResolveErrorKind::NotFound);
        assert!(servers.resolver.lock().unwrap().is_none());
    }
}
