//! A transport whose links come secured and multiplexed: it does at once what a node does in steps.

use async_trait::async_trait;
use skep_api::{
    Multiaddr, PeerId, address,
    muxer::Muxer,
    security::{Role, SecureCx, Secured, Upgrader, Verifier},
    transport::{
        Incoming, Link, Listener, MuxedLink, Transport, TransportCapabilities, TransportError,
        TransportErrorKind,
    },
};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) upgrade: Arc<dyn Upgrader>,
    pub(super) muxer: Arc<dyn Muxer>,
}

#[derive(Debug)]
struct Listening(Whole, Box<dyn Listener>);

#[derive(Debug)]
struct Knocking(Whole, Box<dyn Incoming>);

impl Whole {
    async fn upgrade(&self, link: Link, role: Role, peer: Option<PeerId>) -> Result<Link, TransportError> {
        let Link::Raw(link) = link else { panic!("the memory transport is raw") };
        let cx = SecureCx::new(role, Verifier::new(peer), Vec::new());
        let secured = self.upgrade.secure(link.io, cx).await.map_err(|e| {
            TransportError::new(TransportErrorKind::Handshake, link.remote.to_string()).with_source(e)
        })?;
        let (mut io, verified, _) = secured.into_parts();
        // The last message of the handshake; the driver is not polled yet.
        let failed = |e| TransportError::from_io(&link.remote, e);
        io.flush().await.map_err(failed)?;
        let muxed = Secured::new(verified, self.muxer.mux(io, role));
        Ok(Link::Muxed(Box::new(MuxedLink { muxed, local: link.local, remote: link.remote })))
    }
}

#[async_trait]
impl Transport for Whole {
    fn supports(&self, addr: &Multiaddr) -> bool {
        self.transport.supports(addr)
    }

    fn capabilities(&self) -> TransportCapabilities {
        TransportCapabilities::muxed()
    }

    async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError> {
        let link = self.transport.dial(addr).await?;
        self.upgrade(link, Role::Dialer, address::peer(addr)).await
    }

    async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
        Ok(Box::new(Listening(self.clone(), self.transport.listen(addr).await?)))
    }
}

#[async_trait]
impl Listener for Listening {
    fn local_addrs(&self) -> Vec<Multiaddr> {
        self.1.local_addrs()
    }

    async fn accept(&mut self) -> Result<Box<dyn Incoming>, TransportError> {
        Ok(Box::new(Knocking(self.0.clone(), self.1.accept().await?)))
    }
}

#[async_trait]
impl Incoming for Knocking {
    fn remote_addr(&self) -> &Multiaddr {
        self.1.remote_addr()
    }

    fn local_addr(&self) -> &Multiaddr {
        self.1.local_addr()
    }

    async fn accept(self: Box<Self>) -> Result<Link, TransportError> {
        let Self(whole, incoming) = *self;
        whole.upgrade(incoming.accept().await?, Role::Listener, None).await
    }

    fn refuse(self: Box<Self>) {
        self.1.refuse();
    }
}
