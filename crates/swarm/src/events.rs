//! What happens in a node, for whoever subscribes.

use skep_api::{CloseReason, Multiaddr, PeerId, security::Role};
use std::sync::Arc;
use tokio::sync::broadcast;

use crate::error::AttemptError;

/// Something that happened. Cheap to clone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A connection was registered. Comes before any stream of it.
    Connected {
        /// The connection.
        id: u64,
        /// The peer.
        peer: PeerId,
        /// This node's side.
        role: Role,
        /// The peer's end.
        remote: Multiaddr,
    },
    /// A connection ended. The last event of its id.
    Disconnected {
        /// The connection.
        id: u64,
        /// The peer.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// An inbound connection did not come to be.
    InboundFailed {
        /// Where it came from.
        remote: Multiaddr,
        /// Why.
        error: Arc<AttemptError>,
    },
    /// An address is bound.
    Listening(Multiaddr),
    /// A listener ended.
    ListenerClosed(Multiaddr),
}

/// Receives events from the moment of subscribing. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
    missed: u64,
}

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self { receiver, missed: 0 }
    }

    /// The next event; `None` after the node is gone. A subscriber that is too slow misses the oldest ones,
    /// which [`Events::missed`] counts; it never holds up the node. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(n)) => self.missed = self.missed.saturating_add(n),
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// How many events this subscriber was too slow for.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}
