//! The outbound road: one address, one attempt.

use super::{
    admit::Approved,
    progress::Progress,
    upgrade::{Established, Upgrade},
};
use crate::{
    error::{AttemptError, Cause, Stage},
    swarm::Inner,
};
use skep_api::{PeerId, resources::ConnectionRequest, security::Role};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Dials an address and upgrades it within `limit`. Dropping the future closes the socket and gives the permit back.
pub(crate) async fn connect(
    node: &Inner,
    target: Approved,
    expected: Option<PeerId>,
    limit: Duration,
    progress: &Progress,
) -> Result<Established, AttemptError> {
    let begun = Instant::now();
    let attempt = async {
        let mut permit = node
            .permits
            .outbound(expected.is_some_and(|peer| node.is_reserved(&peer)))
            .map_err(|limit| AttemptError::new(Stage::Queue, "", Cause::Limit(limit)))?;
        let mut request = ConnectionRequest::new(Role::Dialer, target.addr());
        request.expected = expected.as_ref();
        request.descriptor = target.has_descriptor();
        permit.sit(node.counted.take_seat(Role::Dialer, target.addr()));
        node.grant(&mut permit, &request)?;
        progress.start();
        let transport = target.transport().to_string();
        progress.at(Stage::Connect, &transport);
        let link = target.admit(permit).connect(expected, node.dialer.connect_timeout()).await?;
        let upgrade = Upgrade {
            node,
            stack: Arc::clone(&node.live().stack),
            transport: &transport,
            role: Role::Dialer,
            expected,
            begun,
            progress,
        };
        upgrade.run(link).await
    };
    match tokio::time::timeout(limit, attempt).await {
        Ok(result) => result,
        Err(_) => Err(progress.timed_out(begun.elapsed())),
    }
}
