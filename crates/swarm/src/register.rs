//! Registration: the last checks, the table of connections, and the task that runs each.

use crate::{
    connection::{ConnSession, Leaving, Shared, SwarmConn},
    dial::later,
    error::{AttemptError, Cause, Stage},
    events::{Connectedness, Event},
    permits::Permit,
    pipeline::upgrade::Established,
    swarm::Inner,
};
use skep_api::{
    CloseReason, Code, PeerId, gate::Checkpoint, muxer::Muxed, resources::LimitExceeded, security::Role,
};
use std::sync::{Arc, PoisonError, atomic::Ordering};

impl Inner {
    /// Registers an established connection, unless a gate or a limit is against it, and starts its task. The peer is
    /// told why it is refused.
    pub(crate) fn register(
        self: &Arc<Self>,
        mut established: Established,
    ) -> Result<SwarmConn, AttemptError> {
        if let Err((code, error)) = self.consent(&mut established) {
            self.refuse(established.muxed, established.permit, code);
            return Err(error);
        }
        established.permit.established();
        let scope = established.permit.take_scope();
        let shared = Arc::new(Shared::new(self.new_id(), &established, scope, self));
        let Established { muxed, mut permit, .. } = established;
        if let Err(error) = self.enter(&shared) {
            // What was granted is given back when the socket is gone.
            permit.give_scope(shared.take_scope());
            let code = match error.cause {
                Cause::ShuttingDown => Code::SHUTDOWN,
                _ => Code::RESOURCE_LIMIT,
            };
            self.refuse(muxed, permit, code);
            return Err(error);
        }
        self.start(&shared, muxed, permit);
        self.dialer.connected(shared.info.peer);
        self.prune_if_needed();
        Ok(SwarmConn(shared))
    }

    /// The gates' word on a connection that is ready, and the resource manager's on its peer.
    fn consent(&self, established: &mut Established) -> Result<(), (Code, AttemptError)> {
        let Established { info, permit, .. } = established;
        let point = Checkpoint::Ready { role: info.role, peer: &info.peer, remote: &info.remote };
        self.ask(&point, permit.seat()).map_err(|denied| (denied.close_code(), denied))?;
        permit.set_peer(&info.peer).map_err(|limit| {
            (Code::RESOURCE_LIMIT, AttemptError::new(Stage::Gate, self.resources_name(), Cause::Limit(limit)))
        })
    }

    /// Puts the connection into the table, under the limit for its peer.
    ///
    /// When two nodes dial each other at the same time and each may have one connection only, each would refuse what the
    /// other dialled, and nothing would be left. So both keep the one that the node with the greater id dialled.
    fn enter(&self, shared: &Arc<Shared>) -> Result<(), AttemptError> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_draining() {
            return Err(AttemptError::new(Stage::Filter, "", Cause::ShuttingDown));
        }
        let limit = self.live().settings.max_connections_per_peer as usize;
        let peers = connections.entry(shared.info.peer).or_default();
        let live = peers.iter().filter(|conn| conn.is_live()).count();
        if live >= limit {
            if let Some(loser) = peers.iter().find(|conn| conn.is_live() && self.supplants(shared, conn)) {
                loser.0.begin_close(CloseReason::local(Code::SUPPLANTED));
                let loser = loser.clone();
                self.tasks.spawn("supplanted", async move { loser.close(Code::SUPPLANTED).await });
                self.put(peers, shared);
                return Ok(());
            }
            let exceeded = self.per_peer_exceeded(&shared.info.peer, live);
            return Err(AttemptError::new(Stage::Gate, "", Cause::Limit(exceeded)));
        }
        self.put(peers, shared);
        Ok(())
    }

    /// Adds the connection to those of its peer, and says so. Under the lock of the table, so that what is said of one
    /// peer comes in order. The locks of the tag store, the peer store and the events are taken under it, never it under
    /// one of these.
    fn put(&self, peers: &mut Vec<SwarmConn>, shared: &Arc<Shared>) {
        let before = connectedness(peers);
        peers.push(SwarmConn(Arc::clone(shared)));
        self.total.fetch_add(1, Ordering::AcqRel);
        let info = &shared.info;
        self.tags.record_connection(&info.peer, shared.id);
        // First, so that whoever hears of the connection finds what is known of the peer.
        self.remember_connection(info);
        self.emit(&Event::Connected {
            id: shared.id,
            peer: info.peer,
            role: info.role,
            remote: info.remote.clone(),
        });
        self.emit_change(info.peer, before, connectedness(peers));
    }

    fn emit_change(&self, peer: PeerId, before: Connectedness, now: Connectedness) {
        if before != now {
            self.emit(&Event::Connectedness { peer, now });
        }
    }

    /// The limit on connections to a peer, if one more would exceed it.
    pub(crate) fn limit_for(&self, peer: &PeerId) -> Option<LimitExceeded> {
        let live = self.to(peer).iter().filter(|conn| conn.is_live()).count();
        (live >= self.live().settings.max_connections_per_peer as usize)
            .then(|| self.per_peer_exceeded(peer, live))
    }

    fn per_peer_exceeded(&self, peer: &PeerId, current: usize) -> LimitExceeded {
        LimitExceeded {
            scope: format!("connections to {peer}"),
            current: current as u64,
            limit: self.live().settings.max_connections_per_peer.into(),
            key: "swarm.max_connections_per_peer".into(),
        }
    }

    /// Whether two connections were made at the same time by both ends, and the new one is that of the greater id.
    fn supplants(&self, new: &Shared, old: &SwarmConn) -> bool {
        let wins = if self.local_peer > new.info.peer { Role::Dialer } else { Role::Listener };
        // The two ends do not see the same order of events, and must judge alike: so what begins within the time of a
        // handshake counts as the same time.
        let slack = self.live().settings.upgrade_timeout.0;
        new.info.role == wins && old.info().role != wins && new.begun <= later(old.opened_at(), slack)
    }

    /// Tells the peer why and lets the connection go.
    fn refuse(&self, muxed: Muxed, permit: Permit, code: Code) {
        let limit = self.live().settings.close_timeout.0;
        self.tasks.spawn("refusal", async move {
            let _permit = permit;
            let close = async { tokio::join!(muxed.driver, muxed.conn.close(code)) };
            let _ = tokio::time::timeout(limit, close).await;
        });
    }

    fn start(self: &Arc<Self>, shared: &Arc<Shared>, muxed: Muxed, permit: Permit) {
        self.meters.connection_opened(&shared.info);
        let leaving = Leaving::new(Arc::clone(self), Arc::clone(shared), permit);
        self.tasks.spawn("connection", leaving.run(muxed));
        for handler in self.handlers.snapshot().distinct() {
            let session = Arc::new(ConnSession(Arc::clone(shared)));
            let cut = shared.cut.clone();
            let runtime = self.runtime_of(&*handler).cloned();
            self.tasks.spawn_on(runtime.as_ref(), "connected", async move {
                let _ = cut.run_until_cancelled(handler.connected(session)).await;
            });
        }
    }

    /// Takes a connection off the table; the last step of its task.
    pub(crate) fn leave(&self, shared: &Arc<Shared>, reason: CloseReason) {
        let peer = shared.info.peer;
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut before, mut now) = (Connectedness::NotConnected, Connectedness::NotConnected);
        if let Some(peers) = connections.get_mut(&peer) {
            before = connectedness(peers);
            let were = peers.len();
            peers.retain(|conn| conn.0.id != shared.id);
            self.tags.remove_connection(&peer, shared.id);
            now = connectedness(peers);
            self.total.fetch_sub(were.saturating_sub(peers.len()), Ordering::AcqRel);
            if peers.is_empty() {
                connections.remove(&peer);
                self.remember_loss(shared);
            }
        }
        self.meters.connection_closed(&shared.info, shared.opened_at, &reason);
        // Whoever waits for the end finds it off the table.
        shared.known.set_end(reason.clone());
        self.emit(&Event::Disconnected { id: shared.id, peer, reason });
        self.emit_change(peer, before, now);
        drop(connections);
        shared.cut.cancel();
    }
}

fn connectedness(peers: &[SwarmConn]) -> Connectedness {
    if peers.is_empty() {
        Connectedness::NotConnected
    } else if peers.iter().all(SwarmConn::is_limited) {
        Connectedness::Limited
    } else {
        Connectedness::Connected
    }
}
