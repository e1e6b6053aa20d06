//! Outbound connections.

use crate::{
    address::{Address, multiaddr_of},
    conn, error,
    transport::Node,
    tuning::ALPN,
};
use skep_api::{
    Multiaddr,
    security::Verifier,
    transport::{Link, TransportError, TransportErrorKind},
};
use skep_ip_endpoint::source_for;
use std::net::SocketAddr;
use tokio::time;

/// The library wants a name; none is sent, for the certificate proves the peer (libp2p specs, tls).
const NO_NAME: &str = "libp2p";

/// Connects to an address within the time that the configuration gives.
pub(crate) async fn dial(node: &Node, address: &Address) -> Result<Link, TransportError> {
    let remote = address.to_multiaddr();
    let from_io = |e| TransportError::from_io(&remote, e);
    let target = address.endpoint.to_destination().map_err(from_io)?;
    let source = source_for(target).map_err(from_io)?;
    let socket = node.endpoints.dial(source.ip()).map_err(from_io)?;
    let local = multiaddr_of(local_end(socket.addr, source));

    let (tls, outcome) =
        skep_tls::client_config(&node.identity, Verifier::new(address.peer), &[ALPN.to_vec()]);
    let client = node.tuning.client(tls).map_err(|e| own_fault(&remote).with_source(e))?;
    let connecting = socket.endpoint.connect_with(client, target, NO_NAME);
    let connecting = connecting.map_err(|e| error::connect(&remote, e))?;
    // The handshake ends with the future, and with it what the peer is told.
    let limit = node.tuning.config().handshake_timeout;
    match time::timeout(limit.0, connecting).await {
        Ok(Ok(quic)) => conn::link(quic, node, &outcome, socket, (local, remote)),
        Ok(Err(e)) => Err(error::handshake(&remote, e, &outcome)),
        Err(elapsed) => Err(error::too_slow(&remote, limit, elapsed)),
    }
}

/// This end of a connection: a socket on a wildcard has as many addresses as the host.
fn local_end(bound: SocketAddr, source: SocketAddr) -> SocketAddr {
    let mut local = if bound.ip().is_unspecified() { source } else { bound };
    local.set_port(bound.port());
    local
}

fn own_fault(addr: &Multiaddr) -> TransportError {
    TransportError::new(TransportErrorKind::Other, addr.to_string())
}
