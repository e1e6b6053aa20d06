//! What the handles of a connection, its task and its streams share.

use super::{known::Known, life::Life, streams::Streams};
use crate::{
    pipeline::upgrade::{ConnectionInfo, Established},
    swarm::Inner,
};
use skep_api::{CloseReason, Code, muxer::MuxedConn, resources::ConnectionScope};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One connection.
pub(crate) struct Shared {
    pub(crate) id: u64,
    pub(crate) info: ConnectionInfo,
    /// When its socket was dialled or accepted.
    pub(crate) begun: Instant,
    pub(crate) opened_at: Instant,
    pub(crate) conn: Arc<dyn MuxedConn>,
    /// Cuts the connection off when an orderly close takes too long.
    pub(crate) cut: CancellationToken,
    /// What closing this side gave as its reason, so that the end of the driver is told as ours.
    closing: Mutex<Option<CloseReason>>,
    pub(crate) streams: Streams,
    pub(crate) life: Life,
    /// Its place in the census, if it has one.
    pub(crate) seat: Option<u64>,
    pub(crate) known: Known,
    pub(crate) node: Weak<Inner>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id)
            .field("peer", &self.info.peer)
            .field("role", &self.info.role)
            .field("remote", &self.info.remote)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(
        id: u64,
        established: &Established,
        scope: Option<Box<dyn ConnectionScope>>,
        node: &Arc<Inner>,
    ) -> Self {
        let opened_at = Instant::now();
        let settings = Arc::clone(&node.live().settings);
        Self {
            id,
            info: established.info.clone(),
            begun: established.begun,
            opened_at,
            conn: Arc::clone(&established.muxed.conn),
            cut: CancellationToken::new(),
            closing: Mutex::new(None),
            streams: Streams::new(settings.max_inbound_streams, settings.max_outbound_streams, scope),
            life: Life::new(opened_at),
            seat: established.permit.seat(),
            known: Known::default(),
            node: Arc::downgrade(node),
        }
    }

    /// Why this side closes it, if it does.
    pub(crate) fn closing(&self) -> Option<CloseReason> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// This side closes it, for this reason unless there was one before.
    pub(crate) fn begin_close(&self, reason: CloseReason) {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }

    pub(super) fn stream_timeout(&self) -> Duration {
        self.node.upgrade().map_or_else(Default::default, |node| node.live().settings.stream_timeout.0)
    }

    /// Whether a stream can be opened without waiting for another to end.
    pub(crate) fn has_room(&self) -> bool {
        self.streams.room.available_permits() > 0
    }

    /// Whether something keeps it alive.
    pub(super) fn in_use(&self) -> bool {
        let protected =
            || self.node.upgrade().is_some_and(|node| node.tags.is_protected(&self.info.peer, None));
        self.life.leases() > 0 || self.streams.busy() || protected()
    }
}

/// What the peer is told of a reason.
pub(super) fn code_of(reason: &CloseReason) -> Code {
    match reason {
        CloseReason::Closed { code, .. } => *code,
        CloseReason::Violation { .. } => Code::PROTOCOL_VIOLATION,
        _ => Code::NONE,
    }
}
