//! Honest nodes, made as any node is, whose only handler counts its calls.

use async_trait::async_trait;
use skep::{
    Swarm, SwarmBuilder, SwarmConn,
    api::{
        ConfigSection, Keypair, Multiaddr, Plugin,
        multiaddr::Protocol,
        plugin::layer,
        protocol::{InboundStream, ProtocolError, ProtocolHandler},
    },
    swarm::events::Events,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The protocol that honest nodes serve.
pub(crate) const PROTOCOL: &str = "/test/served/1";
/// What they say on each of its streams.
pub(crate) const ANSWER: &[u8] = b"you are served";

/// What a node is made of, and where it listens.
#[derive(Clone, Copy)]
pub(crate) struct Layers {
    pub(crate) transport: Plugin<layer::Transport>,
    /// None where the transport brings its own security and multiplexer.
    pub(crate) upgrades: Option<(Plugin<layer::Security>, Plugin<layer::Muxer>)>,
    pub(crate) listen: &'static str,
}

/// A node, and how often its handler ran.
pub(crate) struct Honest {
    pub(crate) node: Swarm,
    pub(crate) events: Events,
    served: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Counting(Arc<AtomicUsize>);

#[async_trait]
impl ProtocolHandler for Counting {
    fn protocols(&self) -> Vec<String> {
        vec![PROTOCOL.into()]
    }

    async fn serve(&self, inbound: InboundStream) -> Result<(), ProtocolError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let mut stream = inbound.stream;
        // Whoever asks has ended its side then, and is not told to stop.
        stream.read_to_end(&mut Vec::new()).await?;
        stream.write_all(ANSWER).await?;
        stream.shutdown().await?;
        Ok(())
    }
}

impl Honest {
    pub(crate) fn new(layers: Layers, identity: Keypair) -> Self {
        let builder = SwarmBuilder::new(identity);
        let cx = builder.build_cx().clone();
        let section = |name: &str| ConfigSection::empty(name);
        let served = Arc::new(AtomicUsize::new(0));
        let transport = (layers.transport.build)(&section("transport"), &cx).unwrap();
        let mut builder = builder
            .transport(layers.transport.name, transport)
            .protocol("counting", Arc::new(Counting(Arc::clone(&served))));
        if let Some((security, muxer)) = layers.upgrades {
            builder = builder
                .security(security.name, (security.build)(&section("security"), &cx).unwrap())
                .muxer(muxer.name, (muxer.build)(&section("muxer"), &cx).unwrap());
        }
        let node = builder.build().unwrap();
        Self { events: node.events(), node, served }
    }

    /// How often its handler ran.
    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }

    /// Listens, and gives the address with the peer id.
    pub(crate) async fn listen(&self, layers: Layers) -> Multiaddr {
        let bound = self.node.listen(&layers.listen.parse().unwrap()).await.unwrap();
        bound[0].clone().with(Protocol::P2p(self.node.peer_id()))
    }
}

/// Opens a stream and hears the answer.
pub(crate) async fn is_served(conn: &SwarmConn) {
    let mut stream = conn.open_stream(&[PROTOCOL.into()]).await.unwrap();
    stream.finish().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, ANSWER);
}
