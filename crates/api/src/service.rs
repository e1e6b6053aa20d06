//! Services: what a node does by itself while it runs, such as keeping enough connections.

use crate::{
    CloseReason, Code, NodeView, PeerId, TaskScope,
    peerstore::PeerStore,
    protocol::{NegotiatedStream, ProtocolError},
    security::Role,
    selector::ConnectionView,
    tags::Tags,
};
use async_trait::async_trait;
use std::{any::Any, error::Error, fmt, sync::Arc, time::Duration};

/// Runs beside the connections of a node, from its start to its end, or until a reload replaces it.
///
/// # Obligations
///
/// * V1. `run` returns only when the service has nothing more to do, ever. It is ended by dropping its future.
/// * V2. What it remembers of peers is bounded.
/// * V3. It looks at how things are, not only at what is told it has changed: a change may be missed.
/// * V4. What it starts runs in its own future, or in [`NodeControl::tasks`].
/// * V5. `report` does not block, and is a JSON object or null.
#[async_trait]
pub trait Service: Any + fmt::Debug + Send + Sync {
    /// Does the work. An error or a panic ends the service, is logged and counted, and ends nothing else.
    async fn run(&self, node: Arc<dyn NodeControl>);

    /// What it needs of the node, which is checked before the node starts.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// What there is to know of it at this moment, for `skep status`; bounded.
    fn report(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}

/// What a service needs of its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Needs {
    /// A peer store.
    pub peerstore: bool,
    /// So many peers connected: room for them, and a pruner that leaves them.
    pub peers: usize,
    /// More than one connection to a peer for a while.
    pub second_connection: bool,
}

/// Who goes first where dials have to wait for room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DialPriority {
    /// To have enough connections.
    AutoConnect,
    /// To have a connection back that was wanted.
    Reconnect,
    /// Somebody waits for it.
    #[default]
    User,
}

impl DialPriority {
    /// The stable word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AutoConnect => "auto_connect",
            Self::Reconnect => "reconnect",
            Self::User => "user",
        }
    }
}

/// How a service dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DialManner {
    /// Who goes first.
    pub priority: DialPriority,
    /// Make another connection where there is one.
    pub another: bool,
    /// How long it may take, if that is less than `[dial] timeout`.
    pub timeout: Option<Duration>,
}

impl DialManner {
    /// A dial of this priority, content with a connection that exists.
    #[must_use]
    pub fn of(priority: DialPriority) -> Self {
        Self { priority, another: false, timeout: None }
    }

    /// Makes another connection where there is one.
    #[must_use]
    pub fn another(mut self) -> Self {
        self.another = true;
        self
    }

    /// Takes so long at most.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// A dial of a service that came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the dial failed ({code})")]
#[non_exhaustive]
pub struct DialFailed {
    /// The code of the failure that got furthest, such as `refused` or `denied`.
    pub code: &'static str,
    /// Whether any address was tried. If not, this says nothing new about the peer: it had no address, a gate or a limit
    /// of this node was against it, or it is left alone because of what failed before.
    pub tried: bool,
    /// What became of each address.
    pub source: Arc<dyn Error + Send + Sync>,
}

impl DialFailed {
    /// A failed dial.
    pub fn new(code: &'static str, tried: bool, source: Arc<dyn Error + Send + Sync>) -> Self {
        Self { code, tried, source }
    }
}

/// What a service may ask of its node, and have it do.
#[async_trait]
pub trait NodeControl: NodeView {
    /// This node's peer id.
    fn local_peer(&self) -> PeerId;

    /// The live connections, in no order.
    fn connections(&self) -> Vec<ConnectionView>;

    /// Whether there is a live connection to a peer.
    fn is_connected(&self, peer: &PeerId) -> bool;

    /// The peers with a live connection.
    fn connected_peers(&self) -> usize;

    /// The node's tags and protections.
    fn tags(&self) -> Arc<dyn Tags>;

    /// The node's peer store, if it has one.
    fn peerstore(&self) -> Option<Arc<dyn PeerStore>>;

    /// Where tasks run that end with the node.
    fn tasks(&self) -> TaskScope;

    /// What changes from now on.
    fn changes(&self) -> Box<dyn Changes>;

    /// Connects to a peer at the addresses that the peer store has, within the node's one budget of dials. Dropping the
    /// future ends the dial. The id of the connection.
    ///
    /// # Errors
    /// [`DialFailed`], with whether anything was tried.
    async fn dial(&self, peer: &PeerId, manner: DialManner) -> Result<u64, DialFailed>;

    /// Opens a stream on a connection for the first of `protocols` that the peer takes, within `[swarm] stream_timeout`.
    ///
    /// # Errors
    /// [`ProtocolError`] if the connection has ended or the peer takes none of them.
    async fn open(
        &self,
        connection: u64,
        protocols: &[String],
    ) -> Result<Box<dyn NegotiatedStream>, ProtocolError>;

    /// Closes a connection in order, with a code for the peer and words for the log. Whether it was there.
    async fn close(&self, connection: u64, code: Code, why: &str) -> bool;
}

/// Changes of a node, as they happen.
#[async_trait]
pub trait Changes: fmt::Debug + Send {
    /// The next one; `None` when the node has ended. Dropping the future loses nothing.
    async fn next(&mut self) -> Option<Change>;
}

/// What has changed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// A connection was registered.
    Connected {
        /// The connection.
        id: u64,
        /// The peer.
        peer: PeerId,
        /// This node's side.
        role: Role,
    },
    /// A connection has ended.
    Disconnected {
        /// The connection.
        id: u64,
        /// The peer.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// The peer store knows addresses of a peer that it did not know.
    Discovered {
        /// The peer.
        peer: PeerId,
    },
    /// Some changes were missed: look at everything again.
    Missed,
}
