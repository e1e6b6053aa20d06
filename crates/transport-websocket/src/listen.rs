//! Bound addresses and the connections that come in.

use crate::{
    address::Address,
    config::Settings,
    error::{self, UpgradeError},
    frame::Role,
    stream::WsStream,
    upgrade,
};
use async_trait::async_trait;
use skep_api::{
    BoxIo, Multiaddr,
    transport::{Incoming, Link, Listener, RawLink, TransportError},
};
use skep_tcp_port::{Accepted, Endpoint, PortListener, closed, connection, endpoint};
use std::sync::Arc;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

/// A listening port, and the form of its addresses.
#[derive(Debug)]
pub(crate) struct WsListener {
    port: PortListener,
    address: Arc<Address>,
    settings: Arc<Settings>,
}

impl WsListener {
    pub(crate) fn new(port: PortListener, address: Address, settings: Arc<Settings>) -> Self {
        Self { port, address: Arc::new(address), settings }
    }

    /// An address of this listener, with the name if it has one.
    fn own_addr(&self, endpoint: Endpoint) -> Multiaddr {
        Address { endpoint, ..Address::clone(&self.address) }.to_multiaddr()
    }
}

#[async_trait]
impl Listener for WsListener {
    fn local_addrs(&self) -> Vec<Multiaddr> {
        self.port.endpoints().into_iter().map(|endpoint| self.own_addr(endpoint)).collect()
    }

    async fn accept(&mut self) -> Result<Box<dyn Incoming>, TransportError> {
        let accepted = self.port.accept().await;
        let accepted = accepted.map_err(|e| closed(&self.address.at(self.port.endpoint()), e))?;
        Ok(Box::new(WsIncoming {
            local: self.own_addr(endpoint(accepted.local)),
            remote: self.address.at(&endpoint(accepted.remote)),
            accepted,
            address: Arc::clone(&self.address),
            settings: Arc::clone(&self.settings),
        }))
    }
}

/// An accepted socket of which nothing was read.
#[derive(Debug)]
struct WsIncoming {
    /// Resets the connection when dropped.
    accepted: Accepted,
    local: Multiaddr,
    remote: Multiaddr,
    address: Arc<Address>,
    settings: Arc<Settings>,
}

#[async_trait]
impl Incoming for WsIncoming {
    fn remote_addr(&self) -> &Multiaddr {
        &self.remote
    }

    fn local_addr(&self) -> &Multiaddr {
        &self.local
    }

    async fn accept(self: Box<Self>) -> Result<Link, TransportError> {
        let Self { accepted, local, remote, address, settings } = *self;
        let tcp = accepted.take(&settings.tcp).map_err(|e| connection(&remote, e))?;
        let limit = settings.handshake_timeout;
        let upgraded = timeout(limit.0, upgrade_from(tcp, &address, &settings)).await;
        let io = upgraded.map_err(|_| error::too_slow(&remote, limit))?;
        let io = io.map_err(|e| error::upgrade(&remote, e))?;
        Ok(Link::Raw(RawLink { io, local, remote }))
    }

    fn refuse(self: Box<Self>) {}
}

async fn upgrade_from(tcp: TcpStream, address: &Address, settings: &Settings) -> Result<BoxIo, UpgradeError> {
    if address.tls {
        let tls = settings.tls.accept(Box::new(tcp)).await?;
        over(tls, address, settings).await
    } else {
        over(tcp, address, settings).await
    }
}

async fn over<S>(mut io: S, address: &Address, settings: &Settings) -> Result<BoxIo, UpgradeError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let received = upgrade::answer(&mut io, address.path.path(), settings.max_header_bytes).await?;
    Ok(Box::new(WsStream::new(io, Role::Server, received)))
}
