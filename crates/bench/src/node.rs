//! A node with the stack that is measured and nothing else.

use crate::{
    Failure,
    protocol::{Bench, PROTOCOL},
};
use skep::{
    DialOptions, NetStream, Swarm, SwarmBuilder, SwarmConn,
    api::{Code, ConfigSection, Keypair, Multiaddr, metrics::Sink},
    swarm::Settings,
};
use std::sync::Arc;

/// The stacks that `--stack` takes; the last one counts for a sink of metrics.
pub(crate) const STACKS: [&str; 2] = ["tcp-noise-yamux", METERED];
const METERED: &str = "tcp-noise-yamux-metrics";

/// A fresh node with its own identity.
pub(crate) fn build(stack: &str) -> Result<Swarm, Failure> {
    Ok(builder(stack)?.build()?)
}

/// A node that also answers pings, and tells and learns who is at the other end.
pub(crate) fn social(stack: &str, peerstore: bool) -> Result<Swarm, Failure> {
    let mut builder = builder(stack)?;
    let cx = builder.build_cx().clone();
    let section = |path: &str| ConfigSection::empty(path);
    let ping = (skep::protocols::ping::PLUGIN.build)(&section("protocol.ping"), &cx)?;
    let identify = (skep::protocols::identify::PLUGIN.build)(&section("protocol.identify"), &cx)?;
    if peerstore {
        let store = (skep::policies::peerstore::memory::PLUGIN.build)(&section("peerstore.memory"), &cx)?;
        builder = builder.peerstore("memory", store);
    }
    Ok(builder.protocol("ping", ping).protocol("identify", identify).build()?)
}

/// The same, for more to be added.
pub(crate) fn builder(stack: &str) -> Result<SwarmBuilder, Failure> {
    if !STACKS.contains(&stack) {
        return Err(Failure::Stack { asked: stack.into() });
    }
    let sink = if stack == METERED { Sink::new() } else { Sink::default() };
    let builder = SwarmBuilder::new(Keypair::generate_ed25519()).metrics(sink);
    let cx = builder.build_cx().clone();
    let section = |path: &str| ConfigSection::empty(path);
    // The benchmark opens more of both than a node on the default profile would let one peer have.
    let settings = Settings { max_connections: 100_000, max_inbound_streams: 100_000, ..Settings::default() };
    Ok(builder
        .settings(settings)
        .transport("tcp", (skep::transport_tcp::PLUGIN.build)(&section("transport.tcp"), &cx)?)
        .security("noise", (skep::security_noise::PLUGIN.build)(&section("security.noise"), &cx)?)
        .muxer("yamux", (skep::muxer_yamux::PLUGIN.build)(&section("muxer.yamux"), &cx)?)
        .protocol("bench", Arc::new(Bench)))
}

/// A client node and the address that it dials.
#[derive(Debug)]
pub(crate) struct Client {
    swarm: Swarm,
    addr: Multiaddr,
}

impl Client {
    pub(crate) fn new(stack: &str, addr: &str) -> Result<Self, Failure> {
        Ok(Self { swarm: build(stack)?, addr: addr.parse()? })
    }

    /// A client that serves ping and identify, too.
    pub(crate) fn social(stack: &str, addr: &str) -> Result<Self, Failure> {
        Ok(Self { swarm: social(stack, false)?, addr: addr.parse()? })
    }

    pub(crate) async fn connect(&self) -> Result<SwarmConn, Failure> {
        Ok(self.swarm.dial_addr_with(&self.addr, DialOptions::default().always()).await?.connection)
    }
}

/// Opens a stream for the benchmark's protocol.
pub(crate) async fn open(conn: &SwarmConn) -> Result<NetStream, Failure> {
    Ok(conn.open_stream(&[PROTOCOL.into()]).await?)
}

/// Closes a connection and waits until it is gone on this side.
pub(crate) async fn close(conn: SwarmConn) {
    conn.close(Code::NONE).await;
}
