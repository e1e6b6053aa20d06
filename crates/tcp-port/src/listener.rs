//! What a transport gets for a port.

use crate::{
    accepted::Accepted,
    endpoint::Endpoint,
    interfaces,
    kind::Kind,
    ports::{Ports, Slot},
};
use std::{future::poll_fn, io, net::SocketAddr, sync::Arc};

/// A transport's share of a bound port. Dropping it leaves the other transports on the port; the last one to be
/// dropped frees the address.
#[derive(Debug)]
pub struct PortListener {
    slot: Slot,
    endpoint: Endpoint,
    expansion: Expansion,
}

/// The addresses that a listener can be dialled on.
#[derive(Debug)]
enum Expansion {
    /// The one it is bound to.
    Bound,
    /// Those of all interfaces. They are asked for again each time, for interfaces come and go; the addresses
    /// kept here, of the time of the bind, stand in when the system gives none.
    Wildcard { socket: SocketAddr, at_bind: Vec<Endpoint> },
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
        let bound = slot.bound();
        let expansion = if bound.ip().is_unspecified() {
            Expansion::Wildcard { socket: bound, at_bind: expand(bound)? }
        } else {
            Expansion::Bound
        };
        // The zone stays as the caller wrote it, by name.
        Ok(Self { slot, endpoint: endpoint.with_port(bound.port()), expansion })
    }

    /// The endpoints that can be dialled, port resolved and wildcard expanded.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        match &self.expansion {
            Expansion::Bound => vec![self.endpoint.clone()],
            Expansion::Wildcard { socket, at_bind } => expand(*socket).unwrap_or_else(|_| at_bind.clone()),
        }
    }

    /// The endpoint that was bound, port resolved.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The next connection of this listener's kind. Cancel-safe.
    ///
    /// # Errors
    /// When the socket is dead. Whatever passes, such as a lack of file descriptors, is waited for.
    pub async fn accept(&mut self) -> io::Result<Accepted> {
        poll_fn(|cx| self.slot.poll_accept(cx)).await
    }
}

fn expand(wildcard: SocketAddr) -> io::Result<Vec<Endpoint>> {
    let ips = interfaces::addresses(wildcard.is_ipv6())?;
    Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, wildcard.port()).into()).collect())
}
