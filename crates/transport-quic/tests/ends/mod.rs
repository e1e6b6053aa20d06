//! Two nodes with this transport, and connections between them.
#![allow(clippy::expect_used, dead_code, reason = "helpers of tests, of which each program uses some")]

use skep_api::{
    ConfigSection, Multiaddr,
    multiaddr::Protocol,
    muxer::Muxed,
    transport::{Link, Listener, MuxedLink, Transport},
};
use std::{net::SocketAddr, sync::Arc};

/// A transport of a node of its own, with these keys.
pub(crate) fn transport(table: &str) -> Arc<dyn Transport> {
    let table = toml::from_str(table).expect("TOML");
    let section = ConfigSection::from_table("transport.quic", table);
    let built = (skep_transport_quic::PLUGIN.build)(&section, &skep_testkit::build_cx());
    built.unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn loopback() -> Multiaddr {
    "/ip4/127.0.0.1/udp/0/quic-v1".parse().expect("a multiaddr")
}

pub(crate) async fn listen(transport: &Arc<dyn Transport>) -> (Box<dyn Listener>, Multiaddr) {
    let listener = transport.listen(&loopback()).await.expect("listen");
    let addr = listener.local_addrs().remove(0);
    (listener, addr)
}

pub(crate) fn socket_of(addr: &Multiaddr) -> SocketAddr {
    let mut parts = addr.iter();
    match (parts.next(), parts.next()) {
        (Some(Protocol::Ip4(ip)), Some(Protocol::Udp(port))) => (ip, port).into(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn multiaddr_of(addr: SocketAddr) -> Multiaddr {
    Multiaddr::from(addr.ip()).with(Protocol::Udp(addr.port())).with(Protocol::QuicV1)
}

pub(crate) fn muxed(link: Link) -> MuxedLink {
    match link {
        Link::Muxed(link) => *link,
        other => panic!("{other:?}"),
    }
}

/// The connection of a link, its driver not started.
pub(crate) fn connection(link: Link) -> Muxed {
    muxed(link).muxed.into_parts().0
}

/// Dials an address and accepts on the listener behind it.
pub(crate) async fn connect_at(
    dialer: &Arc<dyn Transport>,
    listener: &mut Box<dyn Listener>,
    addr: &Multiaddr,
) -> (Link, Link) {
    let accept = async { listener.accept().await.expect("accept").accept().await.expect("take") };
    let (dialed, accepted) = tokio::join!(dialer.dial(addr), accept);
    (dialed.expect("dial"), accepted)
}
