//! A connection as protocol handlers see it.

use super::Shared;
use crate::dial::later;
use async_trait::async_trait;
use skep_api::{
    Multiaddr, NodeView, PeerId, PublicKey,
    protocol::{NegotiatedStream, PeerInfo, ProtocolError, Session},
    security::Role,
};
use std::sync::Arc;
use tokio::time::Instant;

/// The session of a connection: what a handler gets.
#[derive(Debug)]
pub(crate) struct ConnSession(pub(crate) Arc<Shared>);

#[async_trait]
impl Session for ConnSession {
    fn id(&self) -> u64 {
        self.0.id
    }

    fn peer(&self) -> PeerId {
        self.0.info.peer
    }

    fn peer_key(&self) -> PublicKey {
        self.0.info.peer_key.clone()
    }

    fn ends(&self) -> (Role, Multiaddr, Multiaddr) {
        let info = &self.0.info;
        (info.role, info.local.clone(), info.remote.clone())
    }

    fn node(&self) -> Arc<dyn NodeView> {
        match self.0.node.upgrade() {
            Some(node) => node,
            None => Arc::new(Gone(self.peer_key())),
        }
    }

    fn set_peer_info(&self, info: PeerInfo) {
        if let Some(node) = self.0.node.upgrade() {
            node.remember_info(&self.0, &info);
        }
        self.0.known.set_info(info);
    }

    async fn open(&self, protocols: &[String]) -> Result<Box<dyn NegotiatedStream>, ProtocolError> {
        let deadline = later(Instant::now(), self.0.stream_timeout());
        Ok(Box::new(self.0.open(protocols, deadline).await?))
    }
}

/// Stands in for a node that was dropped while a handler still ran.
#[derive(Debug)]
struct Gone(PublicKey);

impl NodeView for Gone {
    fn public_key(&self) -> PublicKey {
        self.0.clone()
    }
    fn listen_addrs(&self) -> Vec<Multiaddr> {
        Vec::new()
    }
    fn protocols(&self) -> Vec<String> {
        Vec::new()
    }
}
