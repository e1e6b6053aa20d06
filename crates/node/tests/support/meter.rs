//! Counters beside the node's own: the live sockets of its transport, and the guards of a resource manager.

use async_trait::async_trait;
use skep::api::{
    BoxIo, Multiaddr, PeerId,
    gate::{Checkpoint, Denial, Gate, GateCx, Verdict},
    resources::{
        ConnectionRequest, ConnectionScope, Limit, LimitExceeded, MemoryGuard, Priority, ResourceManager,
        StreamScope, Usage,
    },
    security::Role,
    transport::{Incoming, Link, Listener, RawLink, Transport, TransportCapabilities, TransportError},
};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many of something there are. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

/// One of them.
#[derive(Debug)]
pub(crate) struct Counted(Count);

impl Count {
    pub(crate) fn one(&self) -> Counted {
        self.0.fetch_add(1, Ordering::SeqCst);
        Counted(self.clone())
    }

    pub(crate) fn now(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The live sockets of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sockets {
    /// Those that its transport has made: from the start of a dial, or from the moment at which an inbound one is taken,
    /// to the drop of the link.
    made: Count,
    /// Those that were given to it.
    given: Count,
    guards: Guards,
    /// How often there were more sockets than guards when one came or went.
    unguarded: Arc<AtomicUsize>,
}

impl Sockets {
    pub(crate) fn now(&self) -> usize {
        self.made.now() + self.given.now()
    }

    pub(crate) fn unguarded(&self) -> usize {
        self.unguarded.load(Ordering::SeqCst)
    }

    fn make(&self) -> Made {
        let made = Made { _one: self.made.one(), sockets: self.clone() };
        self.check();
        made
    }

    /// Counts the socket of a link that is about to be given to the node.
    pub(crate) fn give(&self, raw: RawLink) -> RawLink {
        let one = self.given.one();
        RawLink { io: Box::new(Socket { io: raw.io, _one: one }), ..raw }
    }

    fn check(&self) {
        // What is given has a guard only once it is taken.
        if self.given.now() == 0 && self.guards.connections.now() < self.made.now() {
            self.unguarded.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A socket of a node's own. It goes before its guard does.
#[derive(Debug)]
struct Made {
    _one: Counted,
    sockets: Sockets,
}

impl Drop for Made {
    fn drop(&mut self) {
        self.sockets.check();
    }
}

/// A transport that counts its sockets.
#[derive(Debug)]
pub(crate) struct Metered<T: ?Sized> {
    pub(crate) sockets: Sockets,
    pub(crate) inner: Arc<T>,
}

impl<T: ?Sized> Metered<T> {
    pub(crate) fn new(inner: Arc<T>, guards: &Guards) -> Arc<Self> {
        Arc::new(Self { sockets: Sockets { guards: guards.clone(), ..Sockets::default() }, inner })
    }
}

/// A link whose socket is counted.
fn counted(link: Link, made: Made) -> Link {
    match link {
        Link::Raw(raw) => Link::Raw(RawLink { io: Box::new(Socket { io: raw.io, _one: made }), ..raw }),
        other => panic!("{other:?}"),
    }
}

struct Socket<C> {
    io: BoxIo,
    _one: C,
}

impl<C> std::fmt::Debug for Socket<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Socket")
    }
}

impl<C: Unpin> AsyncRead for Socket<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<C: Unpin> AsyncWrite for Socket<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Metered<T> {
    fn supports(&self, addr: &Multiaddr) -> bool {
        self.inner.supports(addr)
    }

    fn capabilities(&self) -> TransportCapabilities {
        self.inner.capabilities()
    }

    async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError> {
        let socket = self.sockets.make();
        Ok(counted(self.inner.dial(addr).await?, socket))
    }

    async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
        Ok(Box::new(Door { inner: self.inner.listen(addr).await?, sockets: self.sockets.clone() }))
    }
}

#[derive(Debug)]
struct Door {
    inner: Box<dyn Listener>,
    sockets: Sockets,
}

#[async_trait]
impl Listener for Door {
    fn local_addrs(&self) -> Vec<Multiaddr> {
        self.inner.local_addrs()
    }

    async fn accept(&mut self) -> Result<Box<dyn Incoming>, TransportError> {
        let inner = self.inner.accept().await?;
        Ok(Box::new(Guest { inner, sockets: self.sockets.clone() }))
    }
}

#[derive(Debug)]
struct Guest {
    inner: Box<dyn Incoming>,
    sockets: Sockets,
}

#[async_trait]
impl Incoming for Guest {
    fn remote_addr(&self) -> &Multiaddr {
        self.inner.remote_addr()
    }

    fn local_addr(&self) -> &Multiaddr {
        self.inner.local_addr()
    }

    async fn accept(self: Box<Self>) -> Result<Link, TransportError> {
        let socket = self.sockets.make();
        Ok(counted(self.inner.accept().await?, socket))
    }

    fn refuse(self: Box<Self>) {
        self.inner.refuse();
    }
}

/// A resource manager that counts its guards, and denies what a test wants denied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guards {
    pub(crate) connections: Count,
    pub(crate) streams: Count,
    pub(crate) deny_connections: Arc<AtomicBool>,
    pub(crate) deny_peers: Arc<AtomicBool>,
}

fn grant(denied: &AtomicBool) -> Result<(), LimitExceeded> {
    let full = || LimitExceeded { scope: "test".into(), current: 0, limit: 0, key: "test".into() };
    if denied.load(Ordering::SeqCst) { Err(full()) } else { Ok(()) }
}

impl ResourceManager for Guards {
    fn open_connection(&self, _: &ConnectionRequest<'_>) -> Result<Box<dyn ConnectionScope>, LimitExceeded> {
        grant(&self.deny_connections)?;
        Ok(Box::new(Scope { _one: self.connections.one(), guards: self.clone() }))
    }

    fn usage(&self, _: usize) -> Vec<Usage> {
        Vec::new()
    }

    fn limits(&self) -> Vec<Limit> {
        Vec::new()
    }
}

#[derive(Debug)]
struct Scope {
    _one: Counted,
    guards: Guards,
}

impl ConnectionScope for Scope {
    fn set_peer(&mut self, _: &PeerId) -> Result<(), LimitExceeded> {
        grant(&self.guards.deny_peers)
    }

    fn open_stream(&self, _: Role) -> Result<Box<dyn StreamScope>, LimitExceeded> {
        Ok(Box::new(Stream { _one: self.guards.streams.one() }))
    }

    fn reserve(&self, bytes: u64, _: Priority) -> Result<Box<dyn MemoryGuard>, LimitExceeded> {
        Ok(Box::new(Memory(bytes)))
    }
}

#[derive(Debug)]
struct Stream {
    _one: Counted,
}

impl StreamScope for Stream {
    fn set_protocol(&mut self, _: &str) -> Result<(), LimitExceeded> {
        Ok(())
    }

    fn reserve(&self, bytes: u64, _: Priority) -> Result<Box<dyn MemoryGuard>, LimitExceeded> {
        Ok(Box::new(Memory(bytes)))
    }
}

#[derive(Debug)]
struct Memory(u64);

impl MemoryGuard for Memory {
    fn bytes(&self) -> u64 {
        self.0
    }
}

/// A gate that denies at the checkpoint of this name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Closed(pub(crate) Arc<Mutex<Option<&'static str>>>);

impl Gate for Closed {
    fn check(&self, point: &Checkpoint<'_>, _cx: &GateCx<'_>) -> Verdict {
        match *self.0.lock().unwrap() {
            Some(name) if name == point.name() => Verdict::Deny(Denial::new("test", "as the test wants")),
            _ => Verdict::Allow,
        }
    }
}
