//! A registered connection: the handle, and what its one task shares with it.

mod known;
mod life;
mod open;
mod run;
mod serve;
mod session;
mod shared;
mod streams;

pub use life::Lease;
pub(crate) use open::check;
pub(crate) use run::Leaving;
pub(crate) use session::ConnSession;
pub(crate) use shared::Shared;
use shared::code_of;
pub(crate) use streams::StreamGuard;
pub use streams::StreamInfo;

use crate::{dial::later, error::NewStreamError, net_stream::NetStream, pipeline::upgrade::ConnectionInfo};
use known::Known;
use skep_api::{
    CloseReason, Code, PeerId, address,
    protocol::{PeerInfo, Session},
    selector::ConnectionView,
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A handle to one connection, cheap to clone. Dropping it does not close the connection.
#[derive(Clone)]
pub struct SwarmConn(pub(crate) Arc<Shared>);

/// How a connection carries its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionType {
    /// Straight to the peer.
    Direct,
    /// Through a relay, which limits bytes and time.
    Limited,
}

impl SwarmConn {
    /// Unique within the node's life, rising.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Who is at the other end, proven.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.0.info.peer
    }

    /// How the connection was made.
    #[must_use]
    pub fn info(&self) -> &ConnectionInfo {
        &self.0.info
    }

    /// When it was registered.
    #[must_use]
    pub fn opened_at(&self) -> Instant {
        self.0.opened_at
    }

    /// The number of open streams, both directions.
    #[must_use]
    pub fn num_streams(&self) -> usize {
        self.0.streams.len()
    }

    /// The open streams, both directions, the oldest first.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamInfo> {
        self.0.streams.list()
    }

    /// The last round-trip time that the muxer has measured.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.0.conn.pulse().and_then(|pulse| pulse.latency)
    }

    /// Keeps the connection from being closed for idleness while the lease is held.
    pub fn lease(&self) -> Lease {
        Lease::new(Arc::clone(&self.0))
    }

    /// The leases that are held.
    #[must_use]
    pub fn num_leases(&self) -> usize {
        self.0.life.leases()
    }

    /// Straight to the peer, or limited.
    #[must_use]
    pub fn connection_type(&self) -> ConnectionType {
        if self.is_limited() { ConnectionType::Limited } else { ConnectionType::Direct }
    }

    /// Why it ended, if it has.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.0.known.end().cloned()
    }

    /// What the peer said about itself, once identify has run.
    #[must_use]
    pub fn peer_info(&self) -> Option<PeerInfo> {
        self.0.known.info().as_deref().cloned()
    }

    /// Waits until the peer has said about itself what [`SwarmConn::peer_info`] gives; `None` if the connection ends
    /// before. Without a protocol that asks, such as identify, this waits for the end.
    pub async fn identified(&self) -> Option<PeerInfo> {
        let look = |known: &Known| match known.info() {
            Some(info) => Some(Some(info.as_ref().clone())),
            None => known.end().map(|_| None),
        };
        self.0.known.wait(look).await
    }

    /// Whether it leads through a relay, which limits its bytes and its time.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        address::is_relayed(&self.0.info.remote)
    }

    /// Whether it is open and nobody is closing it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.is_open() && self.0.closing().is_none()
    }

    /// Whether it is still registered.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.known.end().is_none()
    }

    /// Waits for the end of the connection and says why it came.
    pub async fn closed(&self) -> CloseReason {
        self.0.known.wait(|known| known.end().cloned()).await
    }

    /// Closes the connection in order, and cuts it off after `[swarm] close_timeout`. Returns when it is gone;
    /// dropping the future cuts it off at once.
    pub async fn close(&self, code: Code) {
        self.close_for(CloseReason::local(code)).await;
    }

    /// Cuts the connection off: nothing more is sent. Returns when it is gone.
    pub async fn abort(&self, code: Code) {
        self.0.begin_close(CloseReason::local(code));
        self.0.cut.cancel();
        self.closed().await;
    }

    /// [`SwarmConn::close`] with a reason that says more than a code.
    pub(crate) async fn close_for(&self, reason: CloseReason) {
        let code = code_of(&reason);
        self.0.begin_close(reason);
        let limit =
            self.0.node.upgrade().map_or_else(Default::default, |node| node.live().settings.close_timeout.0);
        {
            // Also when the caller does not wait for it.
            let _cut = self.0.cut.clone().drop_guard();
            let _ = tokio::time::timeout(limit, self.0.conn.close(code)).await;
        }
        self.closed().await;
    }

    /// Opens a stream for the first of `protocols` that the peer takes, within `[swarm] stream_timeout`. With one
    /// protocol, no answer is waited for: a refusal is told by the first read. Where there are as many streams as there
    /// may be, this waits, in the order of asking.
    ///
    /// # Errors
    /// [`NewStreamError`] if the connection has ended, a limit is reached or the peer takes none of them.
    pub async fn open_stream(&self, protocols: &[String]) -> Result<NetStream, NewStreamError> {
        let deadline = later(Instant::now(), self.0.stream_timeout());
        let opened = self.0.open(protocols, deadline).await;
        opened.map_err(|source| NewStreamError::Failed { peer: self.0.info.peer, source })
    }

    /// The view that protocol handlers get.
    #[must_use]
    pub fn session(&self) -> Arc<dyn Session> {
        Arc::new(ConnSession(Arc::clone(&self.0)))
    }

    pub(crate) fn view(&self) -> ConnectionView {
        let info = &self.0.info;
        let mut view = ConnectionView::new(self.0.id, info.peer, info.role, info.remote.clone());
        view.streams = self.num_streams();
        view.busy = self.0.streams.num_busy();
        view.limited = self.is_limited();
        view.latency = self.latency();
        view.age = self.0.opened_at.elapsed();
        (view.opened, view.failed) = self.0.streams.health();
        view
    }
}

impl fmt::Debug for SwarmConn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
