//! The transport: which addresses it serves, and where its work is done.

use crate::{Config, dial, endpoint::Endpoint, error, listen::TcpListener, reuse::ListeningPorts};
use async_trait::async_trait;
use skep_api::{
    Multiaddr,
    transport::{Link, Listener, RawLink, Transport, TransportCapabilities, TransportError},
};
use std::sync::Arc;

/// Dials and listens on `/ip4/…/tcp/…` and `/ip6/…/tcp/…`.
#[derive(Debug)]
pub struct TcpTransport {
    config: Arc<Config>,
    ports: ListeningPorts,
}

impl TcpTransport {
    /// A transport with these options; it opens no socket yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config: Arc::new(config), ports: ListeningPorts::default() }
    }
}

#[async_trait]
impl Transport for TcpTransport {
    fn supports(&self, addr: &Multiaddr) -> bool {
        Endpoint::parse(addr).is_some()
    }

    fn capabilities(&self) -> TransportCapabilities {
        TransportCapabilities::raw_stream()
    }

    async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError> {
        let endpoint = Endpoint::parse(addr).ok_or_else(|| error::unsupported(addr))?;
        let dialed = dial::dial(&endpoint, &self.config, &self.ports).await?;
        Ok(Link::Raw(RawLink {
            io: Box::new(dialed.stream),
            local: dialed.local,
            remote: endpoint.to_multiaddr(),
        }))
    }

    async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
        let endpoint = Endpoint::parse(addr).ok_or_else(|| error::unsupported(addr))?;
        let listener = TcpListener::bind(&endpoint, Arc::clone(&self.config), &self.ports);
        Ok(Box::new(listener.map_err(|e| error::binding(addr, e))?))
    }
}
