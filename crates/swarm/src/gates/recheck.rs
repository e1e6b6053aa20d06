//! Connections that stand, judged by rules that have changed since.

use crate::{connection::SwarmConn, error::Cause, swarm::Swarm};
use skep_api::{CloseReason, Code, PeerId, Side, gate::Checkpoint};

/// What became of the connections that were judged again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rechecked {
    /// How many were judged.
    pub judged: usize,
    /// Those that were closed.
    pub closed: Vec<RecheckedConnection>,
}

/// A connection that was closed because a gate denies it now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecheckedConnection {
    /// The connection.
    pub id: u64,
    /// The peer.
    pub peer: PeerId,
    /// The gate.
    pub gate: String,
    /// Its rule and its reason.
    pub denial: String,
}

impl Swarm {
    /// Asks the gates again about every connection, and closes those that are denied now, with the code of the denial;
    /// where there are too many of something, the newest. Returns when they are gone.
    pub async fn recheck_gates(&self) -> Rechecked {
        let mut connections = self.0.all();
        connections.retain(SwarmConn::is_live);
        connections.sort_by_key(SwarmConn::id);
        let mut rechecked = Rechecked { judged: connections.len(), closed: Vec::new() };
        let mut closing = Vec::new();
        for conn in &connections {
            let info = conn.info();
            let point = Checkpoint::Again { role: info.role, peer: &info.peer, remote: &info.remote };
            let Err(error) = self.0.ask(&point, conn.0.seat) else { continue };
            let Cause::Denied { denial, .. } = &error.cause else { continue };
            let (id, peer, gate) = (conn.id(), info.peer, error.plugin.clone());
            tracing::info!(%peer, %gate, %denial, "A connection is closed: a gate denies it now.");
            rechecked.closed.push(RecheckedConnection { id, peer, gate, denial: denial.to_string() });
            closing.push(conn.close_for(because(denial.code, denial.to_string())));
        }
        futures::future::join_all(closing).await;
        rechecked
    }
}

fn because(code: Code, text: String) -> CloseReason {
    CloseReason::Closed { by: Side::Local, code, text }
}
