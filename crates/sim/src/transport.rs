//! The in-process transport with a [`Net`] in between, which can swallow everything.

use crate::net::{Net, Origin, node_at, number_in};
use async_trait::async_trait;
use skep::{
    api::{
        BoxIo, Multiaddr,
        transport::{
            Incoming, Link, Listener, RawLink, Transport, TransportCapabilities, TransportError,
            TransportErrorKind,
        },
    },
    transport_memory::MemoryTransport,
};
use std::{
    future::pending,
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The transport of one node.
#[derive(Debug)]
pub(crate) struct SimTransport {
    inner: MemoryTransport,
    net: Net,
    node: usize,
}

impl SimTransport {
    pub(crate) fn new(inner: MemoryTransport, net: Net, node: usize) -> Self {
        Self { inner, net, node }
    }
}

#[async_trait]
impl Transport for SimTransport {
    fn supports(&self, addr: &Multiaddr) -> bool {
        self.inner.supports(addr)
    }

    fn capabilities(&self) -> TransportCapabilities {
        self.inner.capabilities()
    }

    async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError> {
        let (net, from) = (&self.net, self.node);
        let origin = net.dial(from);
        let mut under_way = UnderWay { net, from, reached: false };
        let Some(to) = node_at(addr) else {
            return Err(TransportError::new(TransportErrorKind::AddressUnavailable, addr.to_string()));
        };
        if !net.is_open(from, to) {
            return pending().await;
        }
        let RawLink { io, local, remote } = raw(self.inner.dial(addr).await?)?;
        let number = number_in(&local).unwrap_or_default();
        net.enter(number, origin);
        if !net.carries(origin, to) {
            net.keep_silent(io);
            return pending().await;
        }
        under_way.reached = true;
        let far = Far::Dialled { origin, to, number };
        let io: BoxIo = Box::new(Wire { io, net: net.clone(), far });
        Ok(Link::Raw(RawLink { io, local, remote }))
    }

    async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
        let inner = self.inner.listen(addr).await?;
        Ok(Box::new(SimListener { inner, net: self.net.clone(), node: self.node }))
    }
}

/// Counts a dial that ends without a link, also when it is given up.
struct UnderWay<'a> {
    net: &'a Net,
    from: usize,
    reached: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.reached {
            self.net.failed(self.from);
        }
    }
}

fn raw(link: Link) -> Result<RawLink, TransportError> {
    match link {
        Link::Raw(raw) => Ok(raw),
        other => Err(TransportError::new(TransportErrorKind::Other, format!("{} is muxed", other.remote()))),
    }
}

#[derive(Debug)]
struct SimListener {
    inner: Box<dyn Listener>,
    net: Net,
    node: usize,
}

#[async_trait]
impl Listener for SimListener {
    fn local_addrs(&self) -> Vec<Multiaddr> {
        self.inner.local_addrs()
    }

    async fn accept(&mut self) -> Result<Box<dyn Incoming>, TransportError> {
        let inner = self.inner.accept().await?;
        Ok(Box::new(SimIncoming { inner, net: self.net.clone(), node: self.node }))
    }
}

#[derive(Debug)]
struct SimIncoming {
    inner: Box<dyn Incoming>,
    net: Net,
    node: usize,
}

#[async_trait]
impl Incoming for SimIncoming {
    fn remote_addr(&self) -> &Multiaddr {
        self.inner.remote_addr()
    }

    fn local_addr(&self) -> &Multiaddr {
        self.inner.local_addr()
    }

    async fn accept(self: Box<Self>) -> Result<Link, TransportError> {
        let Self { inner, net, node } = *self;
        let RawLink { io, local, remote } = raw(inner.accept().await?)?;
        let far = Far::Accepted { number: number_in(&remote).unwrap_or_default(), node };
        Ok(Link::Raw(RawLink { io: Box::new(Wire { io, net, far }), local, remote }))
    }

    fn refuse(self: Box<Self>) {
        self.inner.refuse();
    }
}

/// One end of a link.
struct Wire {
    io: BoxIo,
    net: Net,
    far: Far,
}

/// What an end knows of its link.
enum Far {
    Dialled {
        origin: Origin,
        to: usize,
        number: u64,
    },
    /// The dial is not answered yet, so that nobody can have cut the link for good.
    Accepted {
        number: u64,
        node: usize,
    },
    Known {
        origin: Origin,
        node: usize,
    },
}

impl Wire {
    fn carries(&mut self) -> bool {
        if let Far::Accepted { number, node } = self.far
            && let Some(origin) = self.net.take_origin(number)
        {
            self.far = Far::Known { origin, node };
        }
        match self.far {
            Far::Dialled { origin, to: node, .. } | Far::Known { origin, node } => {
                self.net.carries(origin, node)
            }
            Far::Accepted { node, .. } => !self.net.is_lost(node),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The end of a link that is cut is not heard of: the other end does not read any more.
        if let Far::Dialled { number, .. } = self.far {
            self.net.leave(number);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.carries() { Pin::new(&mut self.io).poll_read(cx, buf) } else { Poll::Pending }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.carries() { Pin::new(&mut self.io).poll_write(cx, buf) } else { Poll::Ready(Ok(buf.len())) }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.carries() { Pin::new(&mut self.io).poll_flush(cx) } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.carries() { Pin::new(&mut self.io).poll_shutdown(cx) } else { Poll::Ready(Ok(())) }
    }
}

#[cfg(test)]
mod tests;
