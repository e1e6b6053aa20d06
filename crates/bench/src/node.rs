//! A node with the stack that is measured and nothing else.

use crate::{
    Failure,
    protocol::{Bench, PROTOCOL},
    stack::Stack,
};
use skep::{
    DialOptions, NetStream, Swarm, SwarmBuilder, SwarmConn,
    api::{Code, ConfigSection, Multiaddr, multiaddr::Protocol},
};
use std::{net::Ipv4Addr, sync::Arc};

/// A fresh node with its own identity.
pub(crate) fn build(stack: &Stack) -> Result<Swarm, Failure> {
    Ok(builder(stack)?.build()?)
}

/// A node that also answers pings, and tells and learns who is at the other end.
pub(crate) fn social(stack: &Stack, peerstore: bool) -> Result<Swarm, Failure> {
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
pub(crate) fn builder(stack: &Stack) -> Result<SwarmBuilder, Failure> {
    Ok(stack.builder()?.protocol("bench", Arc::new(Bench)))
}

/// Listens on a free port of the loopback interface.
pub(crate) async fn listen(swarm: &Swarm, stack: &Stack) -> Result<Multiaddr, Failure> {
    let anywhere = stack.spec().listen_addr(Ipv4Addr::LOCALHOST.into());
    let addrs = swarm.listen(&anywhere.parse()?).await?;
    let addr = addrs.into_iter().next().unwrap_or_else(Multiaddr::empty);
    Ok(addr.with(Protocol::P2p(swarm.peer_id())))
}

/// Refuses a stack whose nodes have to be in one process.
pub(crate) fn between_processes(stack: &Stack) -> Result<(), Failure> {
    if stack.spec().joins_processes() {
        Ok(())
    } else {
        Err(Failure::OneProcess { stack: stack.to_string() })
    }
}

/// A client node and the address that it dials.
#[derive(Debug)]
pub(crate) struct Client {
    swarm: Swarm,
    addr: Multiaddr,
}

impl Client {
    pub(crate) fn new(stack: &Stack, addr: &str) -> Result<Self, Failure> {
        Ok(Self { swarm: build(stack)?, addr: addr.parse()? })
    }

    /// A client that serves ping and identify, too.
    pub(crate) fn social(stack: &Stack, addr: &str) -> Result<Self, Failure> {
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
