//! The inbound road: from a listener's queue to a connection.

use super::{
    admit,
    progress::Progress,
    upgrade::{Established, Upgrade},
};
use crate::{
    error::{AttemptError, Cause, Stage},
    permits::Permit,
    swarm::Inner,
};
use skep_api::{security::Role, transport::Incoming};
use tokio::time::Instant;

/// Admits, accepts and upgrades one inbound connection. One deadline covers all of it.
pub(crate) async fn accept(
    node: &Inner,
    incoming: Box<dyn Incoming>,
    permit: Permit,
    transport: &str,
) -> Result<Established, AttemptError> {
    let limit = node.settings.upgrade_timeout.0;
    let begun = Instant::now();
    let progress = Progress::default();
    progress.at(Stage::Connect, transport);
    let attempt = async {
        let admitted = admit::link(node, incoming, permit)?;
        let link = admitted
            .accept()
            .await
            .map_err(|e| AttemptError::new(Stage::Connect, transport, Cause::Transport(e)))?;
        let upgrade = Upgrade {
            stack: &node.stack,
            meters: &node.meters,
            transport,
            role: Role::Listener,
            expected: None,
            local_peer: node.local_peer,
            begun,
            progress: &progress,
        };
        upgrade.run(link).await
    };
    match tokio::time::timeout(limit, attempt).await {
        Ok(result) => result,
        Err(_) => Err(progress.timed_out(limit)),
    }
}
