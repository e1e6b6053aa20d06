//! The inbound road: from a listener's queue to a connection.

use super::{
    admit,
    progress::Progress,
    upgrade::{Established, Upgrade},
};
use crate::{
    error::{AttemptError, Stage},
    permits::Permit,
    swarm::Inner,
};
use skep_api::{security::Role, transport::Incoming};
use std::sync::Arc;
use tokio::time::Instant;

/// The transport that a connection comes in by.
#[derive(Clone, Debug)]
pub(crate) struct Listening {
    /// What the profile calls it.
    pub(crate) name: String,
    /// Whether its links come secured and multiplexed.
    pub(crate) muxed: bool,
}

/// Admits, accepts and upgrades one inbound connection. One deadline covers all of it.
pub(crate) async fn accept(
    node: &Inner,
    incoming: Box<dyn Incoming>,
    permit: Permit,
    transport: &Listening,
) -> Result<Established, AttemptError> {
    let limit = node.live().settings.upgrade_timeout.0;
    let begun = Instant::now();
    let progress = Progress::default();
    let Listening { name: transport, muxed } = transport;
    progress.at(Stage::Connect, transport);
    let attempt = async {
        let admitted = admit::link(node, incoming, !muxed, permit)?;
        let link = admitted.accept().await.map_err(|e| admit::failed(transport, e))?;
        let upgrade = Upgrade {
            node,
            stack: Arc::clone(&node.live().stack),
            transport,
            role: Role::Listener,
            expected: None,
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
