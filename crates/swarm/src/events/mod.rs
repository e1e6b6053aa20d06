//! What happens in a node, for whoever subscribes.

mod notifee;
mod queue;

pub use notifee::{Notifee, Registration};
pub(crate) use queue::Subscribers;
pub use queue::{EventKinds, Events};

use crate::{error::AttemptError, prune::PruneReason, swarm::Swarm};
use skep_api::{
    CloseReason, Multiaddr, PeerId, pruner::ScorePart, security::Role, transport::TransportError,
};
use std::sync::Arc;

/// Something that happened. Cheap to clone.
///
/// The events of one peer come in order: `Connected` before any stream of the connection, `Disconnected` after the end
/// of the last of them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A connection was registered.
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
    /// A connection is closed, as there are too many. Comes before its end does.
    Pruned {
        /// The connection.
        id: u64,
        /// The peer.
        peer: PeerId,
        /// What the pruner made its rank of.
        score: Vec<ScorePart>,
        /// Why any has to go.
        reason: PruneReason,
    },
    /// How well a peer can be reached has changed, over all of its connections.
    Connectedness {
        /// The peer.
        peer: PeerId,
        /// What it is now.
        now: Connectedness,
    },
    /// An inbound connection did not come to be.
    InboundFailed {
        /// Where it came from.
        remote: Multiaddr,
        /// Why.
        error: Arc<AttemptError>,
    },
    /// A stream was opened, and its protocol agreed on or proposed.
    StreamOpened(StreamEvent),
    /// A stream has ended: both of its directions, or its connection.
    StreamClosed(StreamEvent),
    /// An address can be dialled from now on.
    Listening(Multiaddr),
    /// An address cannot be dialled any more, though its listener goes on: the host has lost it.
    AddressExpired(Multiaddr),
    /// A listener ended, and this address with it.
    ListenerClosed {
        /// The address.
        addr: Multiaddr,
        /// Why, if nobody had asked for it.
        error: Option<Arc<TransportError>>,
    },
}

/// Which stream an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamEvent {
    /// The connection.
    pub connection: u64,
    /// Unique on its connection, rising.
    pub id: u64,
    /// The peer.
    pub peer: PeerId,
    /// `Dialer` if this node opened it.
    pub role: Role,
    /// The protocol.
    pub protocol: Arc<str>,
}

/// How well a peer can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Connectedness {
    /// There is no connection.
    NotConnected,
    /// Over a relay only, which limits bytes and time.
    Limited,
    /// Directly.
    Connected,
}

impl Event {
    /// What it belongs to.
    #[must_use]
    pub fn kind(&self) -> EventKinds {
        match self {
            Self::Connected { .. }
            | Self::Disconnected { .. }
            | Self::Pruned { .. }
            | Self::Connectedness { .. }
            | Self::InboundFailed { .. } => EventKinds::CONNECTIONS,
            Self::StreamOpened(_) | Self::StreamClosed(_) => EventKinds::STREAMS,
            Self::Listening(_) | Self::AddressExpired(_) | Self::ListenerClosed { .. } => {
                EventKinds::LISTENERS
            }
        }
    }
}

impl Swarm {
    /// Subscribes to the events of connections and listeners from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        self.events_of(EventKinds::CONNECTIONS | EventKinds::LISTENERS)
    }

    /// Subscribes to events of these kinds from now on.
    #[must_use]
    pub fn events_of(&self, kinds: EventKinds) -> Events {
        self.0.events.subscribe(kinds)
    }
}
