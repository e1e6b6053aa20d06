//! What a transport gets for a port.

use crate::{
    accepted::Accepted,
    kind::Kind,
    ports::{Ports, Slot},
};
use skep_ip_endpoint::{Bound, Endpoint};
use std::{future::poll_fn, io, sync::Arc};

/// A transport's share of a bound port. Dropping it leaves the other transports on the port; the last one to be
/// dropped frees the address.
#[derive(Debug)]
pub struct PortListener {
    slot: Slot,
    bound: Bound,
}

impl PortListener {
    /// Binds an endpoint for connections of one kind, or joins the transports of other kinds on it.
    ///
    /// # Errors
    /// The system's; `AddrInUse` also when a transport of this node has this kind there.
    pub fn bind(
        ports: &Arc<Ports>,
        endpoint: &Endpoint,
        kind: Kind,
        options: &crate::Options,
    ) -> io::Result<Self> {
        let slot = ports.take(endpoint, kind, options)?;
        let bound = Bound::new(endpoint, slot.bound())?;
        Ok(Self { slot, bound })
    }

    /// The endpoints that can be dialled, port resolved and wildcard expanded.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.bound.endpoints()
    }

    /// The endpoint that was bound, port resolved.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        self.bound.endpoint()
    }

    /// The next connection of this listener's kind. Cancel-safe.
    ///
    /// # Errors
    /// When the socket is dead. Whatever passes, such as a lack of file descriptors, is waited for.
    pub async fn accept(&mut self) -> io::Result<Accepted> {
        poll_fn(|cx| self.slot.poll_accept(cx)).await
    }
}
