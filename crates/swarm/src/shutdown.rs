//! The end of a node.

use crate::{dial::later, swarm::Swarm};
use skep_api::Code;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// How a shutdown went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Connections that were closed in order.
    pub connections: usize,
    /// Tasks that did not end in time and were aborted, by name.
    pub forced: BTreeMap<&'static str, usize>,
    /// From the call to the end of the last task.
    pub elapsed: Duration,
}

impl Swarm {
    /// Ends the node: listeners stop, connections are closed with [`Code::SHUTDOWN`], every task is joined. What
    /// has not ended within `limit` is aborted and named in the report. A task that blocks its thread cannot be aborted:
    /// after a second more it is left behind, and named like the others.
    pub async fn shutdown(&self, limit: Duration) -> ShutdownReport {
        let begun = Instant::now();
        self.0.tasks.cancelled().cancel();
        let connections = self.0.all();
        let close = futures::future::join_all(connections.iter().map(|conn| conn.close(Code::SHUTDOWN)));
        // The last quarter is for those that do not close: cut off, their tasks still say goodbye to the table.
        let _ = tokio::time::timeout_at(later(begun, limit.mul_f64(0.75)), close).await;
        for conn in &connections {
            conn.0.cut.cancel();
        }
        // What is left after the connections is shared with the tasks.
        self.0.tags.save();
        self.flush_peers(later(begun, limit.mul_f64(0.9))).await;
        let mut forced = self.0.tasks.join(later(begun, limit.mul_f64(0.95))).await;
        // Nothing happens any more: whoever listens hears the last of it.
        self.0.events.close();
        forced.extend(self.0.hearers.join(later(begun, limit)).await);
        ShutdownReport { connections: connections.len(), forced, elapsed: begun.elapsed() }
    }

    async fn flush_peers(&self, deadline: Instant) {
        let Some(store) = self.0.live().stack.peerstore.clone() else { return };
        let error = match tokio::time::timeout_at(deadline, store.object.flush()).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => skep_api::error::chain(&error),
            Err(_) => "it took too long".to_string(),
        };
        tracing::error!(store = %store.name, %error, "What is known of peers could not be written.");
    }
}
