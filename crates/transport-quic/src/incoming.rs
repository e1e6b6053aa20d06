//! Connections that came in and are not accepted yet.

use crate::{
    address::multiaddr_of,
    conn,
    endpoints::Socket,
    error,
    transport::Node,
    tuning::{ALPN, server_of_one},
};
use async_trait::async_trait;
use skep_api::{
    Multiaddr,
    security::Verifier,
    transport::{Incoming, Link, TransportError, TransportErrorKind},
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::time;

/// How many connections of one listener come from addresses that nobody proved.
#[derive(Debug)]
pub(crate) struct Load {
    unproved: Arc<AtomicU32>,
    threshold: u32,
}

/// Counts one of them until its handshake is over.
#[derive(Debug)]
struct Unproved(Arc<AtomicU32>);

impl Drop for Unproved {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A connection in line.
#[derive(Debug)]
pub(crate) struct Knock {
    incoming: quinn::Incoming,
    unproved: Option<Unproved>,
}

impl Load {
    pub(crate) fn new(threshold: u32) -> Self {
        Self { unproved: Arc::default(), threshold }
    }

    /// Lets a newcomer in line. One whose address is in doubt while many are is told to prove it, and forgotten: it
    /// comes back with the proof (RFC 9000, section 8.1.2).
    pub(crate) fn admit(&self, incoming: quinn::Incoming) -> Option<Knock> {
        if incoming.remote_address_validated() {
            return Some(Knock { incoming, unproved: None });
        }
        if self.unproved.load(Ordering::Acquire) >= self.threshold {
            // Whose address is not proved can always be told so.
            drop(incoming.retry());
            return None;
        }
        self.unproved.fetch_add(1, Ordering::AcqRel);
        Some(Knock { incoming, unproved: Some(Unproved(Arc::clone(&self.unproved))) })
    }
}

impl Knock {
    /// Forgets it without an answer.
    pub(crate) fn ignore(self) {
        self.incoming.ignore();
    }
}

/// A connection that a peer wants. Dropping it tells the peer that it is refused.
#[derive(Debug)]
pub(crate) struct QuicIncoming {
    knock: Knock,
    node: Arc<Node>,
    socket: Arc<Socket>,
    local: Multiaddr,
    remote: Multiaddr,
}

impl QuicIncoming {
    pub(crate) fn new(knock: Knock, node: Arc<Node>, socket: Arc<Socket>) -> Self {
        let peer = knock.incoming.remote_address();
        let local = multiaddr_of(local_end(socket.addr, &knock.incoming));
        Self { knock, node, socket, local, remote: multiaddr_of(peer) }
    }
}

/// Which address the peer wrote to. On a wildcard the system says, with each datagram.
fn local_end(bound: SocketAddr, incoming: &quinn::Incoming) -> SocketAddr {
    match incoming.local_ip() {
        Some(ip) if bound.ip().is_unspecified() => {
            let mut local = SocketAddr::new(ip.to_canonical(), bound.port());
            if let (SocketAddr::V6(local), SocketAddr::V6(peer)) = (&mut local, incoming.remote_address())
                && local.ip().is_unicast_link_local()
            {
                // Both ends of a link are on the same interface.
                local.set_scope_id(peer.scope_id());
            }
            local
        }
        _ => bound,
    }
}

#[async_trait]
impl Incoming for QuicIncoming {
    fn remote_addr(&self) -> &Multiaddr {
        &self.remote
    }

    fn local_addr(&self) -> &Multiaddr {
        &self.local
    }

    async fn accept(self: Box<Self>) -> Result<Link, TransportError> {
        let Self { knock, node, socket, local, remote } = *self;
        // The address is in doubt until the handshake is over.
        let Knock { incoming, unproved: _unproved } = knock;
        let (tls, outcome) = skep_tls::server_config(&node.identity, Verifier::new(None), &[ALPN.to_vec()]);
        let server = server_of_one(&node.server, tls)
            .map_err(|e| TransportError::new(TransportErrorKind::Other, remote.to_string()).with_source(e))?;
        let connecting = incoming.accept_with(server).map_err(|e| error::handshake(&remote, e, &outcome))?;
        let limit = node.tuning.config().handshake_timeout;
        match time::timeout(limit.0, connecting).await {
            Ok(Ok(quic)) => conn::link(quic, &node, &outcome, socket, (local, remote)),
            Ok(Err(e)) => Err(error::handshake(&remote, e, &outcome)),
            Err(elapsed) => Err(error::too_slow(&remote, limit, elapsed)),
        }
    }

    fn refuse(self: Box<Self>) {
        self.knock.incoming.refuse();
    }
}
