//! Admission: a permit and the gates' consent, without which no link exists.

use crate::{
    error::{AttemptError, Cause, Stage},
    permits::Permit,
    stack::{Named, Stack},
};
use skep_api::{
    Multiaddr, PeerId,
    gate::{Checkpoint, Gate, Verdict},
    transport::{Incoming, Link, Transport, TransportError},
};

/// Something that a gate let pass and that holds a connection permit. Only this file makes one.
#[derive(Debug)]
pub(crate) struct Admitted<T> {
    inner: T,
    permit: Permit,
}

/// An address that may be dialled, with the transport that serves it.
#[derive(Debug)]
pub(crate) struct Target {
    addr: Multiaddr,
    pub(crate) transport: Named<dyn Transport>,
}

/// Asks the gates whether `addr` may be dialled, and finds its transport.
pub(crate) fn dial(
    stack: &Stack,
    peer: Option<&PeerId>,
    addr: &Multiaddr,
    permit: Permit,
) -> Result<Admitted<Target>, AttemptError> {
    ask(&stack.gates, &Checkpoint::Dial { peer, addr })?;
    let Some(transport) = stack.transports.iter().find(|t| t.object.supports(addr)) else {
        let names: Vec<_> = stack.transports.iter().map(|t| t.name.as_str()).collect();
        return Err(AttemptError::new(Stage::Filter, "", Cause::NoTransport(names.join(", "))));
    };
    Ok(Admitted { inner: Target { addr: addr.clone(), transport: transport.clone() }, permit })
}

impl Admitted<Target> {
    pub(crate) async fn connect(self) -> Result<Admitted<Link>, AttemptError> {
        let Target { addr, transport } = self.inner;
        let link = transport
            .object
            .dial(&addr)
            .await
            .map_err(|e| AttemptError::new(Stage::Connect, &transport.name, Cause::Transport(e)))?;
        Ok(Admitted { inner: link, permit: self.permit })
    }
}

/// Asks the gates about an inbound connection. A denied one is refused before a byte is spent on it.
pub(crate) fn link(
    gates: &[Named<dyn Gate>],
    incoming: Box<dyn Incoming>,
    permit: Permit,
) -> Result<Admitted<Box<dyn Incoming>>, AttemptError> {
    let point = Checkpoint::Link { local: incoming.local_addr(), remote: incoming.remote_addr() };
    match ask(gates, &point) {
        Ok(()) => Ok(Admitted { inner: incoming, permit }),
        Err(denied) => {
            incoming.refuse();
            Err(denied)
        }
    }
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

/// Asks every gate in order; the first denial ends it.
pub(crate) fn ask(gates: &[Named<dyn Gate>], point: &Checkpoint<'_>) -> Result<(), AttemptError> {
    for gate in gates {
        if let Verdict::Deny(denial) = gate.object.check(point) {
            let cause = Cause::Denied { checkpoint: point.name(), denial };
            return Err(AttemptError::new(Stage::Gate, &gate.name, cause));
        }
    }
    Ok(())
}
