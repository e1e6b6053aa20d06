//! How nodes find each other here, in place of a DHT: each asks one of its peers now and then for others.
//!
//! The answer holds peers that the answering node has been connected to itself. What it has only heard of is not passed on:
//! news of nodes that are gone would go round for ever.

use async_trait::async_trait;
use skep::api::{
    Multiaddr, PeerId, address,
    multiaddr::Protocol,
    peerstore::{PeerStore, Ttl},
    protocol::{InboundStream, ProtocolError, ProtocolHandler},
    random::Random,
    service::{NodeControl, Service},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

/// The protocol id. The answer is one address a line, each with `/p2p/…`.
const PROTOCOL: &str = "/sim/peers/1";
/// Peers in one answer.
const MOST: usize = 16;
/// Bytes of one answer.
const MAX_ANSWER: u64 = 4_096;
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a node asks that has enough peers, on average.
const CONTENT: Duration = Duration::from_secs(60);
/// How often one asks that has not.
const IN_NEED: Duration = Duration::from_secs(5);

/// Answers with some of the peers of the store.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) store: Arc<dyn PeerStore>,
    pub(crate) random: Random,
}

impl Peers {
    fn answer(&self, asking: &PeerId) -> String {
        let mut peers = self.store.peers();
        peers.retain(|peer| peer != asking);
        self.random.shuffle(&mut peers);
        let known = peers.into_iter().filter_map(|peer| {
            let met = |ttl| matches!(ttl, Ttl::Connected | Ttl::RecentlyConnected | Ttl::For(_));
            let addr = self.store.addrs(&peer).into_iter().find(|known| met(known.ttl))?.addr;
            Some(format!("{}\n", addr.with(Protocol::P2p(peer))))
        });
        known.take(MOST).collect()
    }
}

#[async_trait]
impl ProtocolHandler for Peers {
    fn protocols(&self) -> Vec<String> {
        vec![PROTOCOL.into()]
    }

    async fn serve(&self, inbound: InboundStream) -> Result<(), ProtocolError> {
        let mut stream = inbound.stream;
        stream.write_all(self.answer(&inbound.session.peer()).as_bytes()).await?;
        stream.shutdown().await?;
        Ok(())
    }
}

/// Asks, and puts what it hears into the peer store.
#[derive(Debug)]
pub(crate) struct AskForPeers {
    /// Fewer connected peers are too few.
    pub(crate) enough: usize,
    pub(crate) random: Random,
}

#[async_trait]
impl Service for AskForPeers {
    async fn run(&self, node: Arc<dyn NodeControl>) {
        loop {
            let wait = if node.connected_peers() < self.enough { IN_NEED } else { CONTENT };
            sleep(wait.mul_f64(0.5 + self.random.unit())).await;
            let mut connections = node.connections();
            connections.sort_unstable_by_key(|connection| connection.id);
            let Some(asked) = connections.get(self.random.below(connections.len())) else { continue };
            // Who does not answer is asked again some time, if it is still connected then.
            if let Ok(Ok(answer)) = timeout(PATIENCE, ask(&*node, asked.id)).await {
                learn(&*node, &answer);
            }
        }
    }
}

async fn ask(node: &dyn NodeControl, connection: u64) -> Result<String, ProtocolError> {
    let stream = node.open(connection, &[PROTOCOL.into()]).await?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer).await?;
    Ok(answer)
}

fn learn(node: &dyn NodeControl, answer: &str) {
    let Some(store) = node.peerstore() else { return };
    for (peer, addr) in answer.lines().take(MOST).filter_map(read) {
        if peer != node.local_peer() {
            store.add_addrs(&peer, &[addr], Ttl::Temporary);
        }
    }
}

fn read(line: &str) -> Option<(PeerId, Multiaddr)> {
    let addr: Multiaddr = line.parse().ok()?;
    Some((address::peer(&addr)?, addr))
}
