//! Nodes for tests, composed by hand.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod lively;
pub(crate) mod meter;
pub(crate) mod sim;
pub(crate) mod strangers;

use async_trait::async_trait;
use skep::{
    Swarm, SwarmBuilder,
    api::{
        Code, ConfigSection, Keypair, Multiaddr,
        multiaddr::Protocol,
        muxer::Muxer,
        protocol::{InboundStream, ProtocolError, ProtocolHandler},
    },
    swarm::{
        Settings,
        events::{Event, Events},
    },
};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Echoes until the end of the stream.
pub(crate) const ECHO: &str = "/test/echo/1";
/// Writes for ever.
pub(crate) const FLOOD: &str = "/test/flood/1";
/// Panics at once.
pub(crate) const PANIC: &str = "/test/panic/1";
/// Resets after one byte, with code 77.
pub(crate) const RESET: &str = "/test/reset/1";

#[derive(Debug)]
struct Tests;

#[async_trait]
impl ProtocolHandler for Tests {
    fn protocols(&self) -> Vec<String> {
        [ECHO, FLOOD, PANIC, RESET].map(String::from).to_vec()
    }

    async fn serve(&self, inbound: InboundStream) -> Result<(), ProtocolError> {
        let mut stream = inbound.stream;
        let mut buf = vec![0x55; 64 * 1024];
        match inbound.protocol.as_str() {
            PANIC => panic!("on purpose"),
            RESET => {
                stream.read_u8().await?;
                stream.reset(Code(77));
            }
            FLOOD => loop {
                stream.write_all(&buf).await?;
            },
            _ => {
                loop {
                    let n = stream.read(&mut buf).await?;
                    if n == 0 {
                        break;
                    }
                    stream.write_all(&buf[..n]).await?;
                    stream.flush().await?;
                }
                stream.shutdown().await?;
            }
        }
        Ok(())
    }
}

/// A builder with noise, yamux and the protocols above, but no transport yet.
pub(crate) fn layers() -> SwarmBuilder {
    layers_with(SwarmBuilder::new(Keypair::generate_ed25519()))
}

/// The same over a builder that has no layers yet.
pub(crate) fn layers_with(builder: SwarmBuilder) -> SwarmBuilder {
    layers_of(builder, |yamux| yamux)
}

/// The same with something around the muxer.
pub(crate) fn layers_around(around: impl FnOnce(Arc<dyn Muxer>) -> Arc<dyn Muxer>) -> SwarmBuilder {
    layers_of(SwarmBuilder::new(Keypair::generate_ed25519()), around)
}

fn layers_of(builder: SwarmBuilder, around: impl FnOnce(Arc<dyn Muxer>) -> Arc<dyn Muxer>) -> SwarmBuilder {
    let cx = builder.build_cx().clone();
    let section = |path: &str| ConfigSection::empty(path);
    builder
        .security("noise", (skep::security_noise::PLUGIN.build)(&section("security.noise"), &cx).unwrap())
        .muxer("yamux", around((skep::muxer_yamux::PLUGIN.build)(&section("muxer.yamux"), &cx).unwrap()))
        // The `libp2p` crate answers no pings of a peer that does not answer its own.
        .protocol("ping", (skep::protocols::ping::PLUGIN.build)(&section("protocol.ping"), &cx).unwrap())
        .protocol("tests", Arc::new(Tests))
}

/// The transport `tcp` by its defaults.
pub(crate) fn with_tcp(builder: SwarmBuilder) -> SwarmBuilder {
    let cx = builder.build_cx().clone();
    builder.transport(
        "tcp",
        (skep::transport_tcp::PLUGIN.build)(&ConfigSection::empty("transport.tcp"), &cx).unwrap(),
    )
}

/// A node on TCP.
pub(crate) fn tcp_node() -> Swarm {
    with_tcp(layers()).build().unwrap()
}

/// A node on links within the process.
pub(crate) fn memory_node() -> Swarm {
    let builder = layers();
    let cx = builder.build_cx().clone();
    let section = ConfigSection::empty("transport.memory");
    let memory = (skep::transport_memory::PLUGIN.build)(&section, &cx).unwrap();
    builder.transport("memory", memory).build().unwrap()
}

/// Serves the protocols above on a node that was made otherwise.
pub(crate) fn serve_tests(node: &Swarm) {
    node.add_handler(Arc::new(Tests)).unwrap();
}

/// A node on TCP with settings.
pub(crate) fn tcp_node_with(settings: Settings) -> Swarm {
    with_tcp(layers()).settings(settings).build().unwrap()
}

/// Listens and gives the address with the peer id.
pub(crate) async fn listen(swarm: &Swarm, addr: &str) -> Multiaddr {
    let addrs = swarm.listen(&addr.parse().unwrap()).await.unwrap();
    addrs[0].clone().with(Protocol::P2p(swarm.peer_id()))
}

/// The next event that `pick` takes.
pub(crate) async fn event<T>(events: &mut Events, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    loop {
        if let Some(found) = pick(events.next().await.expect("the node goes on")) {
            return found;
        }
    }
}

/// Opens an echo stream and checks one round.
pub(crate) async fn echo_works(conn: &skep::SwarmConn) {
    let mut stream = conn.open_stream(&[ECHO.into()]).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.finish().await.unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, b"hello");
}

/// A number that whoever runs a test by hand may give in the environment.
pub(crate) fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
}
