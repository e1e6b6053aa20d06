//! The transport: which addresses it serves, and where its work is done.

use crate::{Config, address::Address, config::Settings, dial::dial, error, listen::WsListener};
use async_trait::async_trait;
use skep_api::{
    Multiaddr,
    transport::{Link, Listener, Transport, TransportCapabilities, TransportError},
};
use skep_tcp_port::{PortListener, Ports, binding};
use std::sync::Arc;

/// Dials and listens on `/ip4|ip6/…/tcp/…/ws`, and with `/wss` or `/tls/ws`.
#[derive(Debug)]
pub struct WebSocketTransport {
    settings: Arc<Settings>,
    ports: Arc<Ports>,
}

impl WebSocketTransport {
    /// A transport with these options that shares its ports with no other; it opens no socket yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self::with_ports(config, Arc::default())
    }

    /// A transport with these options on a node that has these ports.
    #[must_use]
    pub fn with_ports(config: &Config, ports: Arc<Ports>) -> Self {
        Self { settings: Arc::new(Settings::of(config)), ports }
    }
}

#[async_trait]
impl Transport for WebSocketTransport {
    fn supports(&self, addr: &Multiaddr) -> bool {
        Address::parse(addr).is_some()
    }

    fn capabilities(&self) -> TransportCapabilities {
        // A raw stream without half-close, which WebSocket does not have.
        TransportCapabilities::default()
    }

    async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError> {
        let address = Address::parse(addr).ok_or_else(|| error::unsupported(addr))?;
        Ok(Link::Raw(dial(&address, &self.settings, &self.ports).await?))
    }

    async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
        let address = Address::parse(addr).ok_or_else(|| error::unsupported(addr))?;
        let port = PortListener::bind(&self.ports, &address.endpoint, address.kind(), &self.settings.tcp);
        let port = port.map_err(|e| binding(addr, e))?;
        Ok(Box::new(WsListener::new(port, address, Arc::clone(&self.settings))))
    }
}
