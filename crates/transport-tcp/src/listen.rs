//! Bound addresses and the connections that come in.

use async_trait::async_trait;
use skep_api::{
    Multiaddr,
    transport::{Incoming, Link, Listener, RawLink, TransportError},
};
use skep_tcp_port::{Accepted, Endpoint, Options, PortListener, closed, connection, endpoint};
use std::sync::Arc;

/// A listening socket.
#[derive(Debug)]
pub(crate) struct TcpListener {
    port: PortListener,
    options: Arc<Options>,
}

impl TcpListener {
    pub(crate) fn new(port: PortListener, options: Arc<Options>) -> Self {
        Self { port, options }
    }
}

#[async_trait]
impl Listener for TcpListener {
    fn local_addrs(&self) -> Vec<Multiaddr> {
        self.port.endpoints().iter().map(Endpoint::to_multiaddr).collect()
    }

    async fn accept(&mut self) -> Result<Box<dyn Incoming>, TransportError> {
        let accepted = self.port.accept().await;
        let accepted = accepted.map_err(|e| closed(&self.port.endpoint().to_multiaddr(), e))?;
        let addr_of = |socket| endpoint(socket).to_multiaddr();
        let (local, remote) = (addr_of(accepted.local), addr_of(accepted.remote));
        Ok(Box::new(TcpIncoming { accepted, local, remote, options: Arc::clone(&self.options) }))
    }
}

/// An accepted socket of which nothing was read or set.
#[derive(Debug)]
struct TcpIncoming {
    /// Resets the connection when dropped.
    accepted: Accepted,
    local: Multiaddr,
    remote: Multiaddr,
    options: Arc<Options>,
}

#[async_trait]
impl Incoming for TcpIncoming {
    fn remote_addr(&self) -> &Multiaddr {
        &self.remote
    }

    fn local_addr(&self) -> &Multiaddr {
        &self.local
    }

    async fn accept(self: Box<Self>) -> Result<Link, TransportError> {
        let Self { accepted, local, remote, options } = *self;
        let stream = accepted.take(&options).map_err(|e| connection(&remote, e))?;
        Ok(Link::Raw(RawLink { io: Box::new(stream), local, remote }))
    }

    fn refuse(self: Box<Self>) {}
}
