//! Admission: a permit and the gates' consent, without which no link exists.

use crate::{
    error::{AttemptError, Cause, Stage},
    permits::Permit,
    stack::{Named, Stack},
    swarm::Inner,
};
use skep_api::{
    Multiaddr, PeerId, address,
    gate::Checkpoint,
    multiaddr::Protocol,
    resources::ConnectionRequest,
    security::{Role, SecurityError},
    transport::{Incoming, Link, Transport, TransportError, TransportErrorKind},
};
use std::time::Duration;

/// Something that a gate let pass and that holds a connection permit. Only this file makes one.
#[derive(Debug)]
pub(crate) struct Admitted<T> {
    inner: T,
    permit: Permit,
}

/// An address with the transport that serves it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    addr: Multiaddr,
    transport: Named<dyn Transport>,
}

/// A target that the gates let dial. Only [`Target::approve`] makes one.
#[derive(Clone, Debug)]
pub(crate) struct Approved(Target);

/// Finds the transport of `addr`.
pub(crate) fn find(stack: &Stack, addr: &Multiaddr) -> Result<Target, AttemptError> {
    let Some(transport) = stack.transports.iter().find(|t| t.object.supports(addr)) else {
        let names: Vec<_> = stack.transports.iter().map(|t| t.name.as_str()).collect();
        return Err(AttemptError::new(Stage::Filter, "", Cause::NoTransport(names.join(", "))));
    };
    Ok(Target { addr: addr.clone(), transport: transport.clone() })
}

impl Target {
    /// Asks the gates whether it may be dialled.
    pub(crate) fn approve(self, node: &Inner, peer: Option<&PeerId>) -> Result<Approved, AttemptError> {
        node.ask(&Checkpoint::AddrDial { peer, addr: &self.addr }, None)?;
        Ok(Approved(self))
    }
}

impl Approved {
    /// The plugin that will dial it.
    pub(crate) fn transport(&self) -> &str {
        &self.0.transport.name
    }

    pub(crate) fn addr(&self) -> &Multiaddr {
        &self.0.addr
    }

    /// Whether the link has a socket of its own; those of a muxed transport share one.
    pub(crate) fn has_descriptor(&self) -> bool {
        !self.0.transport.object.capabilities().muxed
    }

    pub(crate) fn admit(self, permit: Permit) -> Admitted<Self> {
        Admitted { inner: self, permit }
    }
}

impl Admitted<Approved> {
    /// Connects within `limit`. Dropping the future closes the socket and gives the permit back.
    pub(crate) async fn connect(
        self,
        expected: Option<PeerId>,
        limit: Duration,
    ) -> Result<Admitted<Link>, AttemptError> {
        let Approved(Target { addr, transport }) = self.inner;
        // A transport that secures its links itself is told who has to answer.
        let addr = match expected {
            Some(peer) if transport.object.capabilities().muxed => {
                address::without_peer(&addr).with(Protocol::P2p(peer))
            }
            _ => addr,
        };
        match tokio::time::timeout(limit, transport.object.dial(&addr)).await {
            Ok(Ok(link)) => Ok(Admitted { inner: link, permit: self.permit }),
            Ok(Err(e)) => Err(failed(&transport.name, e)),
            Err(_) => Err(AttemptError::new(Stage::Connect, &transport.name, Cause::TimedOut(limit))),
        }
    }
}

/// A dial or an accept that failed. Where the transport secures its links, that may be its handshake.
pub(crate) fn failed(transport: &str, error: TransportError) -> AttemptError {
    let (kind, detail) = (error.kind(), error.detail().to_string());
    if kind != TransportErrorKind::Handshake {
        return AttemptError::new(Stage::Connect, transport, Cause::Transport(error));
    }
    match error.into_source().map(|source| source.downcast::<SecurityError>()) {
        Some(Ok(error)) => AttemptError::new(Stage::Security, transport, Cause::Security(*error)),
        source => {
            let error = TransportError::new(kind, detail);
            let error = match source {
                Some(Err(source)) => error.with_source(source),
                _ => error,
            };
            AttemptError::new(Stage::Connect, transport, Cause::Transport(error))
        }
    }
}

/// Asks the gates about an inbound connection, then the resource manager. A denied one is refused before a byte is spent
/// on it.
pub(crate) fn link(
    node: &Inner,
    incoming: Box<dyn Incoming>,
    has_descriptor: bool,
    mut permit: Permit,
) -> Result<Admitted<Box<dyn Incoming>>, AttemptError> {
    let (local, remote) = (incoming.local_addr(), incoming.remote_addr());
    let mut request = ConnectionRequest::new(Role::Listener, remote);
    request.descriptor = has_descriptor;
    let admitted = node
        .ask_in_turn(&Checkpoint::Link { local, remote }, &mut permit)
        .and_then(|()| node.grant(&mut permit, &request));
    match admitted {
        Ok(()) => Ok(Admitted { inner: incoming, permit }),
        Err(denied) => {
            incoming.refuse();
            Err(denied)
        }
    }
}

/// A link that was made elsewhere, after the gates were asked about it.
pub(crate) fn given(link: Link, permit: Permit) -> Admitted<Link> {
    Admitted { inner: link, permit }
}

impl Admitted<Box<dyn Incoming>> {
    pub(crate) async fn accept(self) -> Result<Admitted<Link>, TransportError> {
        let link = self.inner.accept().await?;
        Ok(Admitted { inner: link, permit: self.permit })
    }
}

impl Admitted<Link> {
    pub(crate) fn into_parts(self) -> (Link, Permit) {
        (self.inner, self.permit)
    }
}
