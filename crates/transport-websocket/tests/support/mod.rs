//! Transports and raw clients for the tests.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests; each uses some")]

use skep_api::{
    BoxIo, Multiaddr,
    multiaddr::Protocol,
    transport::{Link, Listener, Transport},
};
use skep_transport_websocket::{Config, WebSocketTransport};
use std::{net::SocketAddr, sync::Arc};

pub(crate) fn transport() -> Arc<dyn Transport> {
    Arc::new(WebSocketTransport::new(&Config::default()).unwrap())
}

pub(crate) async fn listen(transport: &dyn Transport, addr: &str) -> (Box<dyn Listener>, Multiaddr) {
    let listener = transport.listen(&addr.parse().unwrap()).await.unwrap();
    let bound = listener.local_addrs().remove(0);
    (listener, bound)
}

/// The socket address within a multiaddr of this host.
pub(crate) fn socket_of(addr: &Multiaddr) -> SocketAddr {
    let port = addr.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    SocketAddr::from(([127, 0, 0, 1], port.unwrap()))
}

pub(crate) fn io_of(link: Link) -> BoxIo {
    match link {
        Link::Raw(link) => link.io,
        other => panic!("a raw link was expected: {other:?}"),
    }
}

/// Bytes that differ by position.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}
