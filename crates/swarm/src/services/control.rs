//! The node as its services see it.

use super::changes::Watch;
use crate::{
    connection::{ConnSession, SwarmConn},
    dial::{DialError, DialOptions, Target},
    events::EventKinds,
    swarm::Inner,
};
use async_trait::async_trait;
use skep_api::{
    CloseReason, Code, Multiaddr, NodeView, PeerId, PublicKey, Side, TaskScope,
    peerstore::PeerStore,
    protocol::{NegotiatedStream, ProtocolError, ProtocolErrorKind, Session},
    selector::ConnectionView,
    service::{Changes, DialFailed, DialManner, DialPriority, NodeControl},
    tags::Tags,
};
use std::sync::{Arc, PoisonError, Weak};

/// A handle that does not keep the node from being dropped.
#[derive(Debug)]
pub(super) struct Control {
    node: Weak<Inner>,
    key: PublicKey,
    local_peer: PeerId,
    tags: Arc<dyn Tags>,
    tasks: TaskScope,
}

impl Control {
    pub(super) fn new(node: &Arc<Inner>) -> Self {
        Self {
            node: Arc::downgrade(node),
            key: node.public_key(),
            local_peer: node.local_peer,
            tags: Arc::new(node.tags.clone()),
            tasks: node.tasks.scope(),
        }
    }

    fn ask<T>(&self, question: impl FnOnce(&Inner) -> T) -> Option<T> {
        self.node.upgrade().map(|node| question(&node))
    }

    fn find(&self, id: u64) -> Option<SwarmConn> {
        self.ask(|node| node.all().into_iter().find(|conn| conn.id() == id)).flatten()
    }
}

impl NodeView for Control {
    fn public_key(&self) -> PublicKey {
        self.key.clone()
    }

    fn listen_addrs(&self) -> Vec<Multiaddr> {
        self.ask(NodeView::listen_addrs).unwrap_or_default()
    }

    fn protocols(&self) -> Vec<String> {
        self.ask(NodeView::protocols).unwrap_or_default()
    }
}

#[async_trait]
impl NodeControl for Control {
    fn local_peer(&self) -> PeerId {
        self.local_peer
    }

    fn connections(&self) -> Vec<ConnectionView> {
        let live = |node: &Inner| {
            node.all().iter().filter(|conn| conn.is_live()).map(SwarmConn::view).collect::<Vec<_>>()
        };
        self.ask(live).unwrap_or_default()
    }

    fn is_connected(&self, peer: &PeerId) -> bool {
        self.ask(|node| node.to(peer).iter().any(SwarmConn::is_live)).unwrap_or_default()
    }

    fn connected_peers(&self) -> usize {
        let count = |node: &Inner| {
            let connections = node.connections.lock().unwrap_or_else(PoisonError::into_inner);
            connections.values().filter(|peers| peers.iter().any(SwarmConn::is_live)).count()
        };
        self.ask(count).unwrap_or_default()
    }

    fn tags(&self) -> Arc<dyn Tags> {
        Arc::clone(&self.tags)
    }

    fn peerstore(&self) -> Option<Arc<dyn PeerStore>> {
        self.ask(Inner::store).flatten()
    }

    fn tasks(&self) -> TaskScope {
        self.tasks.clone()
    }

    fn changes(&self) -> Box<dyn Changes> {
        let discoveries = self.peerstore().map(|store| store.discoveries());
        let events = self.ask(|node| node.events.subscribe(EventKinds::CONNECTIONS));
        match events {
            Some(events) => Box::new(Watch::new(events, discoveries)),
            None => Box::new(Over),
        }
    }

    async fn dial(&self, peer: &PeerId, manner: DialManner) -> Result<u64, DialFailed> {
        let Some(node) = self.node.upgrade() else {
            let gone = DialError::refused(Some(*peer), crate::error::Cause::ShuttingDown);
            return Err(failed(gone));
        };
        let mut options = DialOptions::default().priority(manner.priority);
        options.always = manner.another;
        options.timeout = manner.timeout;
        // It waits longer from try to try by itself; to be refused in between would be to wait twice.
        options.ignore_backoff = manner.priority == DialPriority::Reconnect;
        if manner.another {
            // A dial of its own knows no address by itself.
            let store = node.store();
            let known = store.map(|store| store.addrs(peer)).unwrap_or_default();
            options.addresses = Some(known.into_iter().map(|known| known.addr).collect());
        }
        match node.dial(Target::Peer(*peer), options).await {
            Ok(dialed) => Ok(dialed.connection.id()),
            Err(error) => Err(failed(error)),
        }
    }

    async fn open(
        &self,
        connection: u64,
        protocols: &[String],
    ) -> Result<Box<dyn NegotiatedStream>, ProtocolError> {
        match self.find(connection) {
            Some(conn) => ConnSession(conn.0).open(protocols).await,
            None => Err(ProtocolError::new(ProtocolErrorKind::Io, "the connection has ended")),
        }
    }

    async fn close(&self, connection: u64, code: Code, why: &str) -> bool {
        let Some(conn) = self.find(connection) else { return false };
        conn.close_for(CloseReason::Closed { by: Side::Local, code, text: why.into() }).await;
        true
    }
}

fn failed(error: DialError) -> DialFailed {
    let tried = error.report().is_some_and(|report| report.num_addrs_tried() > 0);
    DialFailed::new(error.code(), tried, Arc::new(error))
}

/// The changes of a node that is gone.
#[derive(Debug)]
struct Over;

#[async_trait]
impl Changes for Over {
    async fn next(&mut self) -> Option<skep_api::service::Change> {
        None
    }
}
