//! The transport: which addresses it serves, and where its work is done.

use crate::{Config, address::Address, config::Settings, dial::dial, error, listen::WsListener};
use async_trait::async_trait;
use skep_api::{
    Multiaddr, Problems,
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
    /// A transport with these options that shares its ports with no other. It reads the files that they name, and opens no
    /// socket.
    ///
    /// # Errors
    /// Files that cannot be used.
    pub fn new(config: &Config) -> Result<Self, Problems> {
        Self::with_ports(config, Arc::default())
    }

    /// A transport with these options on a node that has these ports.
    ///
    /// # Errors
    /// Files that cannot be used.
    pub fn with_ports(config: &Config, ports: Arc<Ports>) -> Result<Self, Problems> {
        Ok(Self { settings: Arc::new(Settings::of(config)?), ports })
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
        self.check_listen(addr)?;
        let port = PortListener::bind(&self.ports, &address.endpoint, address.kind(), &self.settings.tcp);
        let port = port.map_err(|e| binding(addr, e))?;
        Ok(Box::new(WsListener::new(port, address, Arc::clone(&self.settings))))
    }

    fn check_listen(&self, addr: &Multiaddr) -> Result<(), TransportError> {
        let address = Address::parse(addr).ok_or_else(|| error::unsupported(addr))?;
        if address.tls && !self.settings.tls.can_listen() { Err(error::no_certificate(addr)) } else { Ok(()) }
    }
}
