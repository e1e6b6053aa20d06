//! A transport whose links come secured and multiplexed, within one object: `/memory/n`.

use super::{
    muxer::{self, Frames},
    transport::{self, Memory},
};
use async_trait::async_trait;
use skep_api::{
    Keypair, Multiaddr, PeerId,
    multiaddr::Protocol,
    muxer::Muxer,
    security::{Evidence, Role, Secured, Verified, Verifier},
    transport::{
        Incoming, Link, Listener, MuxedLink, RawLink, Transport, TransportCapabilities, TransportError,
        TransportErrorKind,
    },
};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    AnyPeerWillDo,
    TheListenerIsToldFirst,
    TheVerdictIsLost,
}
use Fault as F;

/// Links of the raw double on which each end says who it is, the listener first, and the dialler has the last word.
#[derive(Debug)]
pub(crate) struct Secure {
    fault: Fault,
    raw: Memory,
    key: Arc<Keypair>,
}

const READY: u8 = b'.';

impl Secure {
    pub(crate) fn new(fault: Fault) -> Self {
        let raw = Memory::new(transport::Fault::Nothing);
        Self { fault, raw, key: Arc::new(Keypair::generate_ed25519()) }
    }
}

/// All nodes of this double have one key.
fn prove(key: &Keypair, expected: Option<PeerId>) -> Result<Verified, skep_api::security::SecurityError> {
    let evidence = Evidence {
        identity_key: &key.public().encode_protobuf(),
        message: b"me",
        signature: &key.sign(b"me").unwrap(),
    };
    Verifier::new(expected).verify(evidence)
}

fn muxed(link: RawLink, role: Role, verified: Verified) -> Link {
    let muxed = Frames(muxer::Fault::Nothing).mux(link.io, role);
    let muxed = Secured::new(verified, muxed);
    Link::Muxed(Box::new(MuxedLink { muxed, local: link.local, remote: link.remote }))
}

fn raw(link: Link) -> RawLink {
    match link {
        Link::Raw(link) => link,
        other => panic!("{other:?}"),
    }
}

#[async_trait]
impl Transport for Secure {
    fn supports(&self, addr: &Multiaddr) -> bool {
        self.raw.supports(addr)
    }

    fn capabilities(&self) -> TransportCapabilities {
        TransportCapabilities::muxed()
    }

    async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError> {
        let mut link = raw(self.raw.dial(addr).await?);
        let gone = |e| TransportError::from_io(addr, e);
        link.io.read_u8().await.map_err(gone)?;
        if self.fault == F::TheListenerIsToldFirst {
            link.io.write_u8(READY).await.map_err(gone)?;
        }
        let expected = match addr.iter().last() {
            Some(Protocol::P2p(peer)) if self.fault != F::AnyPeerWillDo => Some(peer),
            _ => None,
        };
        let verified = prove(&self.key, expected).map_err(|verdict| {
            let error = TransportError::new(TransportErrorKind::Handshake, addr.to_string());
            if self.fault == F::TheVerdictIsLost { error } else { error.with_source(verdict) }
        })?;
        if self.fault != F::TheListenerIsToldFirst {
            link.io.write_u8(READY).await.map_err(gone)?;
        }
        Ok(muxed(link, Role::Dialer, verified))
    }

    async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
        let inner = self.raw.listen(addr).await?;
        Ok(Box::new(Bound { inner, key: Arc::clone(&self.key) }))
    }
}

#[derive(Debug)]
struct Bound {
    inner: Box<dyn Listener>,
    key: Arc<Keypair>,
}

#[async_trait]
impl Listener for Bound {
    fn local_addrs(&self) -> Vec<Multiaddr> {
        self.inner.local_addrs()
    }

    async fn accept(&mut self) -> Result<Box<dyn Incoming>, TransportError> {
        let inner = self.inner.accept().await?;
        Ok(Box::new(Waiting { inner, key: Arc::clone(&self.key) }))
    }
}

#[derive(Debug)]
struct Waiting {
    inner: Box<dyn Incoming>,
    key: Arc<Keypair>,
}

#[async_trait]
impl Incoming for Waiting {
    fn remote_addr(&self) -> &Multiaddr {
        self.inner.remote_addr()
    }

    fn local_addr(&self) -> &Multiaddr {
        self.inner.local_addr()
    }

    async fn accept(self: Box<Self>) -> Result<Link, TransportError> {
        let Self { inner, key } = *self;
        let mut link = raw(inner.accept().await?);
        let remote = link.remote.clone();
        let gone = |e| TransportError::from_io(&remote, e);
        link.io.write_u8(READY).await.map_err(gone)?;
        link.io.read_u8().await.map_err(gone)?;
        Ok(muxed(link, Role::Listener, prove(&key, None).unwrap()))
    }

    fn refuse(self: Box<Self>) {
        self.inner.refuse();
    }
}
