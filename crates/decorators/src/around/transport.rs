//! Around transports: dials, listeners, and the links that come of them.

use super::{
    Around, Conn, Ends, Hooks, Operation, muxer,
    operation::{done, run},
    security::rewrapped,
    tapped::Tapped,
};
use async_trait::async_trait;
use skep_api::{
    Multiaddr,
    security::Role,
    transport::{
        Incoming, Link, Listener, MuxedLink, RawLink, Transport, TransportCapabilities, TransportError,
    },
};
use std::sync::Arc;

#[async_trait]
impl<H: Hooks> Transport for Around<H, dyn Transport> {
    fn supports(&self, addr: &Multiaddr) -> bool {
        self.inner.supports(addr)
    }

    fn capabilities(&self) -> TransportCapabilities {
        self.inner.capabilities()
    }

    async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError> {
        let link = run(&*self.hooks, Operation::Dial, addr, self.inner.dial(addr)).await?;
        Ok(tapped(&self.hooks, link, Role::Dialer))
    }

    async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
        let inner = run(&*self.hooks, Operation::Listen, addr, self.inner.listen(addr)).await?;
        Ok(Box::new(Listening { hooks: Arc::clone(&self.hooks), inner, bound: addr.clone() }))
    }

    fn check_listen(&self, addr: &Multiaddr) -> Result<(), TransportError> {
        self.inner.check_listen(addr)
    }
}

#[derive(Debug)]
struct Listening<H> {
    hooks: Arc<H>,
    inner: Box<dyn Listener>,
    bound: Multiaddr,
}

#[async_trait]
impl<H: Hooks> Listener for Listening<H> {
    fn local_addrs(&self) -> Vec<Multiaddr> {
        self.inner.local_addrs()
    }

    async fn accept(&mut self) -> Result<Box<dyn Incoming>, TransportError> {
        let result = self.inner.accept().await;
        done(&*self.hooks, Operation::Accept, &self.bound, &result);
        Ok(Box::new(Knocking { hooks: Arc::clone(&self.hooks), inner: result? }))
    }
}

#[derive(Debug)]
struct Knocking<H> {
    hooks: Arc<H>,
    inner: Box<dyn Incoming>,
}

#[async_trait]
impl<H: Hooks> Incoming for Knocking<H> {
    fn remote_addr(&self) -> &Multiaddr {
        self.inner.remote_addr()
    }

    fn local_addr(&self) -> &Multiaddr {
        self.inner.local_addr()
    }

    async fn accept(self: Box<Self>) -> Result<Link, TransportError> {
        let Self { hooks, inner } = *self;
        let remote = inner.remote_addr().clone();
        let link = run(&*hooks, Operation::Take, &remote, inner.accept()).await?;
        Ok(tapped(&hooks, link, Role::Listener))
    }

    fn refuse(self: Box<Self>) {
        done::<_, _, TransportError>(&*self.hooks, Operation::Refuse, self.inner.remote_addr(), &Ok(()));
        self.inner.refuse();
    }
}

fn tapped<H: Hooks>(hooks: &Arc<H>, link: Link, role: Role) -> Link {
    match link {
        Link::Raw(RawLink { io, local, remote }) => {
            let conn = hooks.connection(&Ends { role, addrs: Some((&local, &remote)), peer: None });
            Link::Raw(RawLink { io: Box::new(Tapped::new(io, conn.tap(None))), local, remote })
        }
        Link::Muxed(link) => {
            let MuxedLink { muxed, local, remote } = *link;
            let peer = Some(muxed.verified().peer());
            let conn = hooks.connection(&Ends { role, addrs: Some((&local, &remote)), peer });
            let muxed = rewrapped(muxed, |muxed| muxer::tapped(hooks, conn, muxed));
            Link::Muxed(Box::new(MuxedLink { muxed, local, remote }))
        }
        other => other,
    }
}
