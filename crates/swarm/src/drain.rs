//! Drain mode: a node that lets what is under way come to its end, and takes on nothing new.

use crate::{
    connection::SwarmConn,
    dial::later,
    swarm::{Inner, Swarm},
};
use skep_api::Code;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How a drain went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainReport {
    /// Connections that had come to rest and were closed.
    pub closed: usize,
    /// Connections that still had streams in use when the time was over. They are open.
    pub busy: usize,
    /// Streams on them, those of ping and the like included.
    pub streams: usize,
    /// How long it took.
    pub elapsed: Duration,
}

impl Swarm {
    /// Stops listening and dialling, refuses new streams of peers with [`Code::SHUTDOWN`], and closes each connection,
    /// with the same code, as soon as no stream of it is open but such as ping's. Returns when all are closed, or after
    /// `limit` and what closing takes. Dropping the future leaves the node as it is then. There is no way back: [`Swarm::shutdown`] comes next.
    pub async fn drain(&self, limit: Duration) -> DrainReport {
        let begun = Instant::now();
        self.0.draining.cancel();
        let deadline = later(begun, limit);
        let last = later(deadline, self.0.live().settings.close_timeout.0);
        let _ = timeout_at(last, self.0.unlisten_all()).await;
        let connections = self.0.all();
        let rest = connections.iter().map(|conn| async move {
            let resting = timeout_at(deadline, conn.0.streams.quiet()).await.is_ok();
            resting && timeout_at(last, conn.close(Code::SHUTDOWN)).await.is_ok()
        });
        let closed = futures::future::join_all(rest).await.into_iter().filter(|closed| *closed).count();
        let mut busy = self.0.all();
        busy.retain(|conn| conn.is_live() && conn.0.streams.busy());
        DrainReport {
            closed,
            busy: busy.len(),
            streams: busy.iter().map(SwarmConn::num_streams).sum(),
            elapsed: begun.elapsed(),
        }
    }

    /// Whether the node takes on nothing new, since [`Swarm::drain`].
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.is_draining()
    }
}

impl Inner {
    /// Whether the node takes on nothing new.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }
}
