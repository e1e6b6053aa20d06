//! Registration: the last checks, the table of connections, and the task that runs each.

use crate::{
    connection::{Shared, SwarmConn, accept_loop},
    dial::later,
    error::{AttemptError, Cause, Stage},
    events::Event,
    permits::Permit,
    pipeline::{admit, upgrade::Established},
    swarm::Inner,
};
use futures::FutureExt;
use skep_api::{
    CloseReason, Code, PeerId, gate::Checkpoint, muxer::Muxed, resources::LimitExceeded, security::Role,
};
use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

impl Inner {
    /// Registers an established connection, unless a gate or a limit is against it, and starts its task.
    pub(crate) fn register(self: &Arc<Self>, established: Established) -> Result<SwarmConn, AttemptError> {
        let Established { muxed, mut permit, info, begun } = established;
        let point = Checkpoint::Ready { role: info.role, peer: &info.peer, remote: &info.remote };
        if let Err(denied) = admit::ask(&self.stack.gates, &point) {
            self.refuse(muxed, permit, Code::GATED);
            return Err(denied);
        }
        permit.established();
        let shared = Arc::new(Shared {
            id: self.new_id(),
            begun,
            opened_at: Instant::now(),
            conn: Arc::clone(&muxed.conn),
            cut: CancellationToken::new(),
            reason: watch::Sender::new(None),
            closing: Mutex::new(None),
            inbound_streams: Arc::new(Semaphore::new(self.settings.max_inbound_streams as usize)),
            peer_info: watch::Sender::new(None),
            node: Arc::downgrade(self),
            info,
        });
        if let Err(error) = self.enter(&shared) {
            let code = if matches!(error.cause, Cause::ShuttingDown) {
                Code::SHUTDOWN
            } else {
                Code::RESOURCE_LIMIT
            };
            self.refuse(muxed, permit, code);
            return Err(error);
        }
        self.remember_connection(&shared.info);
        self.start(&shared, muxed, permit);
        self.dialer.connected(shared.info.peer);
        self.prune_if_needed();
        Ok(SwarmConn(shared))
    }

    /// Puts the connection into the table, under the limit for its peer.
    ///
    /// When two nodes dial each other at the same time and each may have one connection only, each would refuse what the
    /// other dialled, and nothing would be left. So both keep the one that the node with the greater id dialled.
    fn enter(&self, shared: &Arc<Shared>) -> Result<(), AttemptError> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if self.tasks.cancelled().is_cancelled() {
            return Err(AttemptError::new(Stage::Filter, "", Cause::ShuttingDown));
        }
        let limit = self.settings.max_connections_per_peer as usize;
        let peers = connections.entry(shared.info.peer).or_default();
        let live = peers.iter().filter(|conn| conn.is_live()).count();
        if live >= limit {
            if let Some(loser) = peers.iter().find(|conn| conn.is_live() && self.supplants(shared, conn)) {
                loser
                    .0
                    .closing
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(Code::SUPPLANTED);
                let loser = loser.clone();
                self.tasks.spawn("supplanted", async move { loser.close(Code::SUPPLANTED).await });
                peers.push(SwarmConn(Arc::clone(shared)));
                return Ok(());
            }
            let exceeded = self.per_peer_exceeded(&shared.info.peer, live);
            return Err(AttemptError::new(Stage::Gate, "", Cause::Limit(exceeded)));
        }
        peers.push(SwarmConn(Arc::clone(shared)));
        Ok(())
    }

    /// The limit on connections to a peer, if one more would exceed it.
    pub(crate) fn limit_for(&self, peer: &PeerId) -> Option<LimitExceeded> {
        let live = self.to(peer).iter().filter(|conn| conn.is_live()).count();
        (live >= self.settings.max_connections_per_peer as usize).then(|| self.per_peer_exceeded(peer, live))
    }

    fn per_peer_exceeded(&self, peer: &PeerId, current: usize) -> LimitExceeded {
        LimitExceeded {
            scope: format!("connections to {peer}"),
            current: current as u64,
            limit: self.settings.max_connections_per_peer.into(),
            key: "swarm.max_connections_per_peer".into(),
        }
    }

    /// Whether two connections were made at the same time by both ends, and the new one is that of the greater id.
    fn supplants(&self, new: &Shared, old: &SwarmConn) -> bool {
        let wins = if self.local_peer > new.info.peer { Role::Dialer } else { Role::Listener };
        // The two ends do not see the same order of events, and must judge alike: so what begins within the time of a
        // handshake counts as the same time.
        let slack = self.settings.upgrade_timeout.0;
        new.info.role == wins && old.info().role != wins && new.begun <= later(old.opened_at(), slack)
    }

    /// Tells the peer why and lets the connection go.
    fn refuse(&self, muxed: Muxed, permit: Permit, code: Code) {
        let limit = self.settings.close_timeout.0;
        self.tasks.spawn("refusal", async move {
            let _permit = permit;
            let close = async { tokio::join!(muxed.driver, muxed.conn.close(code)) };
            let _ = tokio::time::timeout(limit, close).await;
        });
    }

    fn start(self: &Arc<Self>, shared: &Arc<Shared>, muxed: Muxed, permit: Permit) {
        let info = &shared.info;
        self.meters.connection_opened(info);
        self.emit(Event::Connected {
            id: shared.id,
            peer: info.peer,
            role: info.role,
            remote: info.remote.clone(),
        });
        let leaving =
            Leaving { node: Arc::clone(self), conn: Arc::clone(shared), permit: Some(permit), reason: None };
        self.tasks.spawn("connection", async move {
            let mut leaving = leaving;
            leaving.reason = Some(run(&leaving.conn, muxed).await);
        });
        for handler in self.handlers.snapshot().distinct() {
            let session = Arc::clone(shared);
            self.tasks.spawn("connected", async move {
                let cut = session.cut.clone();
                let _ = cut.run_until_cancelled(handler.connected(session)).await;
            });
        }
    }

    fn leave(&self, shared: &Arc<Shared>, reason: CloseReason) {
        let peer = shared.info.peer;
        {
            let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(peers) = connections.get_mut(&peer) {
                peers.retain(|conn| conn.0.id != shared.id);
                if peers.is_empty() {
                    connections.remove(&peer);
                    self.remember_loss(shared);
                }
            }
        }
        shared.reason.send_replace(Some(reason.clone()));
        shared.cut.cancel();
        self.meters.connection_closed(&shared.info, shared.opened_at, &reason);
        self.emit(Event::Disconnected { id: shared.id, peer, reason });
    }
}

/// Takes a connection off the table when its task ends, also by a panic or an abort.
struct Leaving {
    node: Arc<Inner>,
    conn: Arc<Shared>,
    permit: Option<Permit>,
    reason: Option<CloseReason>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // The socket is gone with the driver. Whoever waits for the end may dial again at once.
        self.permit = None;
        let aborted = || CloseReason::Lost { what: "its task was aborted".into() };
        self.node.leave(&self.conn, self.reason.take().unwrap_or_else(aborted));
    }
}

/// Drives the muxer and accepts streams until the connection ends. A panic in it is an end like another.
async fn run(shared: &Arc<Shared>, muxed: Muxed) -> CloseReason {
    let driver = AssertUnwindSafe(muxed.driver).catch_unwind();
    tokio::pin!(driver);
    let accept = accept_loop(Arc::clone(shared));
    tokio::pin!(accept);
    let mut accepting = true;
    let ended = loop {
        tokio::select! {
            ended = &mut driver => break Some(ended),
            () = &mut accept, if accepting => accepting = false,
            () = shared.cut.cancelled() => break None,
        }
    };
    let closing = *shared.closing.lock().unwrap_or_else(PoisonError::into_inner);
    match (closing, ended) {
        (Some(code), _) => CloseReason::local(code),
        (None, Some(Ok(reason))) => reason,
        (None, Some(Err(_))) => {
            tracing::error!(peer = %shared.info.peer, "The muxer panicked; its connection has ended.");
            CloseReason::Lost { what: "the muxer panicked".into() }
        }
        (None, None) => CloseReason::local(Code::NONE),
    }
}
