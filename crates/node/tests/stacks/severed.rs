//! A transport whose links can be broken by the test, as a network does it.

use async_trait::async_trait;
use skep::api::{
    BoxIo, CloseReason, Multiaddr,
    security::Secured,
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

/// Puts the hand on a link.
fn severable(link: Link, cut: &CancellationToken) -> Link {
    match link {
        Link::Raw(mut raw) => {
            let wait = Box::pin(cut.clone().cancelled_owned());
            raw.io = Box::new(Io { inner: raw.io, cut: cut.clone(), wait });
            Link::Raw(raw)
        }
        Link::Muxed(mut link) => {
            let (mut muxed, verified, early) = link.muxed.into_parts();
            let (driver, cut) = (muxed.driver, cut.clone());
            muxed.driver = Box::pin(async move {
                let lost = CloseReason::Lost { what: "the link was cut".into() };
                // Dropping the driver is the muxer's own way to be cut off.
                cut.run_until_cancelled_owned(driver).await.unwrap_or(lost)
            });
            link.muxed = Secured::new(verified, muxed).with_early_muxer(early);
            Link::Muxed(link)
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

#[derive(Debug)]
struct SeverableIncoming {
    inner: Box<dyn Incoming>,
    cut: CancellationToken,
}

#[async_trait]
impl Incoming for SeverableIncoming {
    fn remote_addr(&self) -> &Multiaddr {
        self.inner.remote_addr()
    }

    fn local_addr(&self) -> &Multiaddr {
        self.inner.local_addr()
    }

    async fn accept(self: Box<Self>) -> Result<Link, TransportError> {
        Ok(severable(self.inner.accept().await?, &self.cut))
    }

    fn refuse(self: Box<Self>) {
        self.inner.refuse();
    }
}

/// A byte stream that fails in both directions once it is cut.
struct Io {
    inner: BoxIo,
    cut: CancellationToken,
    /// Wakes whoever reads, which the muxer does all the time.
    wait: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Io {
    fn check(&self) -> io::Result<()> {
        if self.cut.is_cancelled() { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        // Polled to be woken.
        let _ = self.wait.as_mut().poll(cx);
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
