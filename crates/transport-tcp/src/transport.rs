//! The transport: which addresses it serves, and where its work is done.

use crate::{Config, error, listen::TcpListener};
use async_trait::async_trait;
use skep_api::{
    Multiaddr,
    transport::{Link, Listener, RawLink, Transport, TransportCapabilities, TransportError},
};
use skep_tcp_port::{Carrier, Endpoint, Kind, Options, PortListener, Ports, binding, dial};
use std::sync::Arc;

/// Dials and listens on `/ip4/…/tcp/…` and `/ip6/…/tcp/…`.
#[derive(Debug)]
pub struct TcpTransport {
    options: Arc<Options>,
    ports: Arc<Ports>,
}

impl TcpTransport {
    /// A transport with these options that shares its ports with no other; it opens no socket yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with_ports(config, Arc::default())
    }

    /// A transport with these options on a node that has these ports.
    #[must_use]
    pub fn with_ports(config: Config, ports: Arc<Ports>) -> Self {
        Self { options: Arc::new(config.options()), ports }
    }
}

fn parse(addr: &Multiaddr) -> Option<Endpoint> {
    Endpoint::parse(addr, Carrier::Tcp)
}

#[async_trait]
impl Transport for TcpTransport {
    fn supports(&self, addr: &Multiaddr) -> bool {
        parse(addr).is_some()
    }

    fn capabilities(&self) -> TransportCapabilities {
        TransportCapabilities::raw_stream()
    }

    async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError> {
        let endpoint = parse(addr).ok_or_else(|| error::unsupported(addr))?;
        let remote = endpoint.to_multiaddr();
        let dialed = dial(&endpoint, &remote, Kind::Stream, &self.options, &self.ports).await?;
        Ok(Link::Raw(RawLink { io: Box::new(dialed.stream), local: dialed.local.to_multiaddr(), remote }))
    }

    async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
        let endpoint = parse(addr).ok_or_else(|| error::unsupported(addr))?;
        let port = PortListener::bind(&self.ports, &endpoint, Kind::Stream, &self.options);
        let port = port.map_err(|e| binding(addr, e))?;
        Ok(Box::new(TcpListener::new(port, Arc::clone(&self.options))))
    }
}
