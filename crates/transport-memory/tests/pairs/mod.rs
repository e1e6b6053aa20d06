//! Nodes on a hub of their own, links between them, and traffic on these.
#![allow(dead_code, reason = "each test crate uses a part")]

use skep_api::{
    BoxIo, Multiaddr,
    transport::{Link, Listener, Transport},
};
use skep_transport_memory::{Config, MemoryHub, MemoryTransport};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::Instant,
};

/// A hub.
pub(crate) struct Net {
    pub(crate) hub: MemoryHub,
}

/// A node that listens.
pub(crate) struct Party {
    pub(crate) transport: MemoryTransport,
    listener: Box<dyn Listener>,
    pub(crate) addr: Multiaddr,
}

impl Net {
    pub(crate) fn new() -> Self {
        Self { hub: MemoryHub::new() }
    }

    /// A node with a name that listens at a number, a free one for 0.
    pub(crate) async fn node(&self, name: &str, number: u64) -> Party {
        self.configured(Config { name: name.into(), ..Config::default() }, number).await
    }

    pub(crate) async fn configured(&self, config: Config, number: u64) -> Party {
        let transport = MemoryTransport::new(self.hub.clone(), config);
        let listener = listen(&transport, number).await;
        let addr = listener.local_addrs().remove(0);
        Party { transport, listener, addr }
    }
}

async fn listen(transport: &MemoryTransport, number: u64) -> Box<dyn Listener> {
    let addr = format!("/memory/{number}").parse().expect("an address");
    transport.listen(&addr).await.expect("listen")
}

impl Party {
    pub(crate) async fn listen(&self, number: u64) -> Box<dyn Listener> {
        listen(&self.transport, number).await
    }

    /// A new link from another node: its end, and the end of this one.
    pub(crate) async fn link_from(&mut self, dialer: &Self) -> (BoxIo, BoxIo) {
        let dialed = dialer.transport.dial(&self.addr).await.expect("dial");
        let incoming = self.listener.accept().await.expect("accept");
        (stream(dialed), stream(incoming.accept().await.expect("take the link")))
    }
}

fn stream(link: Link) -> BoxIo {
    match link {
        Link::Raw(link) => link.io,
        other => panic!("a raw link was expected: {other:?}"),
    }
}

/// Sends so many bytes, and keeps the link open.
pub(crate) async fn send<W: AsyncWrite + Unpin>(mut io: W, bytes: usize) -> W {
    let text: Vec<u8> = (0..=250).cycle().take(bytes).collect();
    io.write_all(&text).await.expect("write");
    io
}

/// Reads so many bytes.
pub(crate) async fn receive<R: AsyncRead + Unpin>(mut io: R, bytes: usize) -> Vec<u8> {
    let mut heard = vec![0; bytes];
    io.read_exact(&mut heard).await.expect("read");
    heard
}

/// Milliseconds that single bytes take, sent one after the other.
pub(crate) async fn delays(from: &mut BoxIo, to: &mut BoxIo, count: usize) -> Vec<u128> {
    let mut delays = Vec::new();
    for _ in 0..count {
        let sent = Instant::now();
        from.write_u8(1).await.expect("write");
        to.read_u8().await.expect("read");
        delays.push(sent.elapsed().as_millis());
    }
    delays
}
