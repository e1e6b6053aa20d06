//! Two connected nodes of any three layers, with a hand on the link between them.
#![allow(dead_code, reason = "each test binary uses a part of it")]

mod severed;

use async_trait::async_trait;
use severed::Severable;
use skep::{
    Swarm, SwarmBuilder, SwarmConn,
    api::{
        CloseReason, Code, ConfigSection, Keypair, Plugin,
        multiaddr::Protocol,
        plugin::layer,
        protocol::{InboundStream, NegotiatedStream, ProtocolError, ProtocolHandler},
    },
    swarm::events::Event,
};
use skep_testkit::{
    harness::{Broken, During, broken},
    suite::streams::{Connected, Stream, StreamEnd},
};
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

pub(crate) const PROTOCOL: &str = "/test/streams/1";

/// What a node is made of, and where it listens.
#[derive(Clone, Copy)]
pub(crate) struct Layers {
    pub(crate) transport: Plugin<layer::Transport>,
    pub(crate) security: Plugin<layer::Security>,
    pub(crate) muxer: Plugin<layer::Muxer>,
    pub(crate) listen: &'static str,
}

/// A fresh pair of nodes with one connection, as the scripts need it.
pub(crate) async fn connect(layers: Layers) -> Result<Connected, Broken> {
    let (dialer, listener, cut) = pair(layers).await?;
    Ok(Connected { dialer, listener, cut: Arc::new(move || cut.cancel()) })
}

/// A fresh pair of nodes with one connection: the dialler's end, the listener's, and what cuts it.
pub(crate) async fn pair(layers: Layers) -> Result<(Arc<NodeEnd>, Arc<NodeEnd>, CancellationToken), Broken> {
    let cut = CancellationToken::new();
    let (dialer, opened_by_listener) = node(layers, &cut);
    let (listener, opened_by_dialer) = node(layers, &cut);
    let mut events = listener.events();
    let listen = layers.listen.parse().during("the address to listen on")?;
    let addrs = listener.listen(&listen).await.during("listen")?;
    let Some(addr) = addrs.first() else { return broken("no address to dial") };
    let addr = addr.clone().with(Protocol::P2p(listener.peer_id()));
    let conn = dialer.dial_addr(&addr).await.during("dial")?;
    while !matches!(events.next().await, Some(Event::Connected { .. }) | None) {}
    let Some(accepted) = listener.connection(&dialer.peer_id()) else { return broken("no connection came") };
    let end = |node, conn, inbound| Arc::new(NodeEnd { _node: node, conn, inbound: Mutex::new(inbound) });
    Ok((end(dialer, conn, opened_by_listener), end(listener, accepted, opened_by_dialer), cut))
}

fn node(layers: Layers, cut: &CancellationToken) -> (Swarm, mpsc::Receiver<Stream>) {
    let builder = SwarmBuilder::new(Keypair::generate_ed25519());
    let cx = builder.build_cx().clone();
    let section = |name: &str| ConfigSection::empty(name);
    let transport =
        (layers.transport.build)(&section("transport"), &cx).expect("a transport by its defaults");
    let security =
        (layers.security.build)(&section("security"), &cx).expect("a security layer by its defaults");
    let muxer = (layers.muxer.build)(&section("muxer"), &cx).expect("a muxer by its defaults");
    let (sender, inbound) = mpsc::channel(64);
    let node = builder
        .transport(layers.transport.name, Arc::new(Severable::new(transport, cut.clone())))
        .security(layers.security.name, security)
        .muxer(layers.muxer.name, muxer)
        .protocol("hand-over", Arc::new(HandOver(sender)))
        .build()
        .expect("a node of three layers");
    (node, inbound)
}

/// Gives the streams that peers open to the test.
#[derive(Debug)]
struct HandOver(mpsc::Sender<Box<dyn NegotiatedStream>>);

#[async_trait]
impl ProtocolHandler for HandOver {
    fn protocols(&self) -> Vec<String> {
        vec![PROTOCOL.into()]
    }

    async fn serve(&self, inbound: InboundStream) -> Result<(), ProtocolError> {
        let _ = self.0.send(inbound.stream).await;
        Ok(())
    }
}

/// A node and its end of the connection.
pub(crate) struct NodeEnd {
    _node: Swarm,
    pub(crate) conn: SwarmConn,
    inbound: Mutex<mpsc::Receiver<Stream>>,
}

#[async_trait]
impl StreamEnd for NodeEnd {
    async fn open(&self) -> Result<Stream, Broken> {
        Ok(Box::new(self.conn.open_stream(&[PROTOCOL.into()]).await.during("open a stream")?))
    }

    async fn accept(&self) -> Result<Stream, Broken> {
        match self.inbound.lock().await.recv().await {
            Some(stream) => Ok(stream),
            None => broken("the node is gone"),
        }
    }

    async fn close(&self, code: Code) {
        self.conn.close(code).await;
    }

    async fn closed(&self) -> CloseReason {
        self.conn.closed().await
    }

    fn num_streams(&self) -> usize {
        self.conn.num_streams()
    }
}
