//! A transport within one object: `/memory/n`.

use async_trait::async_trait;
use futures::FutureExt;
use skep_api::{
    BoxIo, Multiaddr,
    multiaddr::Protocol,
    security::Role,
    transport::{
        Incoming, Link, Listener, RawLink, Transport, TransportCapabilities, TransportError,
        TransportErrorKind,
    },
};
use skep_testkit::{DuplexConfig, wiretap};
use std::{
    collections::BTreeMap,
    io::{self, Cursor},
    mem::forget,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    sync::{mpsc, oneshot},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    ForeignAddressesAreRefused,
    EveryDiallerHasOneAddress,
    DroppedDialGoesOn,
    PortZeroIsReported,
    ErrorsHaveNoAddress,
    PeerSuffixIsUnsupported,
    AcceptYieldsWithTheConnection,
    AcceptEndsAfterDeadConnections,
    ListenerKeepsItsAddress,
    RefusalSaysWhy,
    RefusalLeavesTheStreamOpen,
    DropLeavesTheStreamOpen,
    AByteFarBehindIsChanged,
    ShutdownIsNotPassedOn,
    MoreThanThirtyTwoAreLost,
}
use Fault as F;

#[derive(Clone, Debug)]
pub(crate) struct Memory {
    fault: Fault,
    hub: Arc<Mutex<Hub>>,
}

#[derive(Debug, Default)]
struct Hub {
    bound: BTreeMap<u64, mpsc::Sender<Knock>>,
    last: u64,
}

#[derive(Debug)]
struct Knock {
    io: BoxIo,
    remote: Multiaddr,
}

impl Memory {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault, hub: Arc::default() }
    }

    fn port(&self, addr: &Multiaddr) -> Result<u64, TransportError> {
        let parts: Vec<_> = addr.iter().collect();
        let ignores = self.fault != F::PeerSuffixIsUnsupported;
        match parts.as_slice() {
            [Protocol::Memory(port)] => Ok(*port),
            [Protocol::Memory(port), Protocol::P2p(_)] if ignores => Ok(*port),
            _ => Err(self.error(TransportErrorKind::Unsupported, addr)),
        }
    }

    fn error(&self, kind: TransportErrorKind, addr: &Multiaddr) -> TransportError {
        match self.fault {
            F::ErrorsHaveNoAddress => TransportError::new(kind, ""),
            F::ForeignAddressesAreRefused if kind == TransportErrorKind::Unsupported => {
                TransportError::new(TransportErrorKind::Refused, addr.to_string())
            }
            _ => TransportError::new(kind, addr.to_string()),
        }
    }

    async fn connect(self, addr: Multiaddr) -> Result<Link, TransportError> {
        let port = self.port(&addr)?;
        let (door, local) = {
            let mut hub = self.hub.lock().unwrap();
            hub.last += 1;
            (hub.bound.get(&port).cloned(), hub.last)
        };
        let refused = || self.error(TransportErrorKind::Refused, &addr);
        let door = door.ok_or_else(refused)?;
        tokio::task::yield_now().await;
        let (a, b, wire) = wiretap(DuplexConfig::default());
        if self.fault == F::AByteFarBehindIsChanged {
            wire.flip(Role::Dialer, 700_000, 1);
        }
        let local = memory(if self.fault == F::EveryDiallerHasOneAddress { 1 } else { local });
        let (a, b): (BoxIo, BoxIo) = match self.fault {
            F::ShutdownIsNotPassedOn => (Box::new(NoShutdown(a)), Box::new(NoShutdown(b))),
            _ => (a, b),
        };
        let remote = if self.fault == F::EveryDiallerHasOneAddress { memory(2) } else { local.clone() };
        let knock = Knock { io: b, remote };
        match self.fault {
            F::MoreThanThirtyTwoAreLost => drop(door.try_send(knock)),
            _ => door.send(knock).await.map_err(|_| refused())?,
        }
        Ok(Link::Raw(RawLink { io: a, local, remote: memory(port) }))
    }
}

pub(crate) fn memory(port: u64) -> Multiaddr {
    Protocol::Memory(port).into()
}

#[async_trait]
impl Transport for Memory {
    fn supports(&self, addr: &Multiaddr) -> bool {
        self.port(addr).is_ok()
    }

    fn capabilities(&self) -> TransportCapabilities {
        TransportCapabilities::raw_stream()
    }

    async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError> {
        let connect = self.clone().connect(addr.clone());
        if self.fault != F::DroppedDialGoesOn {
            return connect.await;
        }
        let (sender, receiver) = oneshot::channel();
        tokio::spawn(async move {
            if let Err(unwanted) = sender.send(connect.await) {
                forget(unwanted);
            }
        });
        receiver.await.unwrap()
    }

    async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
        let mut port = self.port(addr)?;
        let mut hub = self.hub.lock().unwrap();
        if port == 0 {
            hub.last += 1;
            port = hub.last;
        }
        if hub.bound.contains_key(&port) {
            return Err(self.error(TransportErrorKind::AddressInUse, addr));
        }
        let (sender, queue) = mpsc::channel(if self.fault == F::MoreThanThirtyTwoAreLost { 32 } else { 64 });
        hub.bound.insert(port, sender);
        Ok(Box::new(Bound { memory: self.clone(), port, queue, dead: 0 }))
    }
}

#[derive(Debug)]
struct Bound {
    memory: Memory,
    port: u64,
    queue: mpsc::Receiver<Knock>,
    dead: usize,
}

#[async_trait]
impl Listener for Bound {
    fn local_addrs(&self) -> Vec<Multiaddr> {
        match self.memory.fault {
            F::PortZeroIsReported => vec![memory(self.port), memory(0)],
            _ => vec![memory(self.port)],
        }
    }

    async fn accept(&mut self) -> Result<Box<dyn Incoming>, TransportError> {
        let mut knock = self.queue.recv().await.unwrap();
        let fault = self.memory.fault;
        if fault == F::AcceptYieldsWithTheConnection {
            tokio::task::yield_now().await;
        }
        if fault == F::AcceptEndsAfterDeadConnections {
            let mut first = [0];
            match knock.io.read(&mut first).now_or_never() {
                Some(Ok(1)) => {
                    let (read, write) = tokio::io::split(knock.io);
                    knock.io = Box::new(tokio::io::join(Cursor::new(first).chain(read), write));
                }
                Some(_) => self.dead += 1,
                None => {}
            }
            if self.dead > 8 {
                return Err(TransportError::new(TransportErrorKind::Closed, ""));
            }
        }
        let local = memory(self.port);
        Ok(Box::new(Waiting { io: Some(knock.io), local, remote: knock.remote, fault }))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if self.memory.fault != F::ListenerKeepsItsAddress {
            self.memory.hub.lock().unwrap().bound.remove(&self.port);
        }
    }
}

#[derive(Debug)]
struct Waiting {
    io: Option<BoxIo>,
    local: Multiaddr,
    remote: Multiaddr,
    fault: Fault,
}

#[async_trait]
impl Incoming for Waiting {
    fn remote_addr(&self) -> &Multiaddr {
        &self.remote
    }

    fn local_addr(&self) -> &Multiaddr {
        &self.local
    }

    async fn accept(mut self: Box<Self>) -> Result<Link, TransportError> {
        let io = self.io.take().unwrap();
        Ok(Link::Raw(RawLink { io, local: self.local.clone(), remote: self.remote.clone() }))
    }

    fn refuse(mut self: Box<Self>) {
        let mut io = self.io.take().unwrap();
        match self.fault {
            F::RefusalSaysWhy => drop(io.write_all(b"full").now_or_never()),
            F::RefusalLeavesTheStreamOpen => forget(io),
            _ => {}
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.fault == F::DropLeavesTheStreamOpen {
            forget(self.io.take());
        }
    }
}

/// Keeps the end of its sending side to itself.
struct NoShutdown(BoxIo);

impl AsyncRead for NoShutdown {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for NoShutdown {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
