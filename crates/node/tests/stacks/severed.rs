//! A transport whose links can be broken by the test, as a network does it.

use async_trait::async_trait;
use skep::api::{
    BoxIo, Multiaddr,
    transport::{Incoming, Link, Listener, Transport, TransportCapabilities, TransportError},
};
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A transport around another one.
#[derive(Debug)]
pub(crate) struct Severable {
    inner: Arc<dyn Transport>,
    cut: CancellationToken,
}

impl Severable {
    pub(crate) fn new(inner: Arc<dyn Transport>, cut: CancellationToken) -> Self {
        Self { inner, cut }
    }
}

/// Puts the hand on a link. One that comes with its muxer is cut by dropping its driver.
fn severable(link: Link, cut: &CancellationToken) -> Link {
    match link {
        Link::Raw(mut raw) => {
            raw.io = Box::new(Io { inner: raw.io, cut: Box::pin(cut.clone().cancelled_owned()), is_cut: false });
            Link::Raw(raw)
        }
        link => link,
    }
}

#[async_trait]
impl Transport for Severable {
    fn supports(&self, addr: &Multiaddr) -> bool {
        self.inner.supports(addr)
    }

    fn capabilities(&self) -> TransportCapabilities {
        self.inner.capabilities()
    }

    async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError> {
        Ok(severable(self.inner.dial(addr).await?, &self.cut))
    }

    async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
        Ok(Box::new(SeverableListener { inner: self.inner.listen(addr).await?, cut: self.cut.clone() }))
    }
}

#[derive(Debug)]
struct SeverableListener {
    inner: Box<dyn Listener>,
    cut: CancellationToken,
}

#[async_trait]
impl Listener for SeverableListener {
    fn local_addrs(&self) -> Vec<Multiaddr> {
        self.inner.local_addrs()
    }

    async fn accept(&mut self) -> Result<Box<dyn Incoming>, TransportError> {
        Ok(Box::new(SeverableIncoming { inner: self.inner.accept().await?, cut: self.cut.clone() }))
    }
}
