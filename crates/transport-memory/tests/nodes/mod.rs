//! Two nodes on a hub of their own, and a link between them.

use skep_api::{
    BoxIo, Multiaddr,
    transport::{Link, Listener, Transport},
};
use skep_transport_memory::{Config, MemoryHub, MemoryTransport};

/// A dialler, and a listener that it can reach.
pub(crate) struct Nodes {
    pub(crate) dialer: MemoryTransport,
    pub(crate) listener: Box<dyn Listener>,
    pub(crate) addr: Multiaddr,
}

impl Nodes {
    pub(crate) async fn new(dialer: Config, listener: Config) -> Self {
        let hub = MemoryHub::new();
        let dialer = MemoryTransport::new(hub.clone(), dialer);
        let addr: Multiaddr = "/memory/0".parse().expect("a multiaddr");
        let listener = MemoryTransport::new(hub, listener).listen(&addr).await.expect("listen");
        let addr = listener.local_addrs().remove(0);
        Self { dialer, listener, addr }
    }

    /// The dialler's end of a new link, and the listener's.
    pub(crate) async fn link(&mut self) -> (BoxIo, BoxIo) {
        let dialed = self.dialer.dial(&self.addr).await.expect("dial");
        let incoming = self.listener.accept().await.expect("accept");
        (stream(dialed), stream(incoming.accept().await.expect("take the link")))
    }
}

pub(crate) fn stream(link: Link) -> BoxIo {
    match link {
        Link::Raw(link) => link.io,
        other => panic!("a raw link was expected: {other:?}"),
    }
}
