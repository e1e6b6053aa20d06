//! The outbound road: one address, one attempt.

use super::{
    admit,
    upgrade::{Established, Progress, Upgrade},
};
use crate::{
    error::{AttemptError, Cause, Stage},
    swarm::Inner,
};
use skep_api::{Multiaddr, PeerId, security::Role};
use tokio::time::Instant;

/// Dials `addr` and upgrades it. Dropping the future closes the socket and gives the permit back.
pub(crate) async fn connect(
    node: &Inner,
    addr: &Multiaddr,
    expected: Option<PeerId>,
    deadline: Instant,
) -> Result<Established, AttemptError> {
    let begun = Instant::now();
    let progress = Progress::default();
    let attempt = async {
        let permit = node
            .permits
            .outbound()
            .map_err(|limit| AttemptError::new(Stage::Filter, "", Cause::Limit(limit)))?;
        let target = admit::dial(&node.stack, expected.as_ref(), addr, permit)?;
        progress.at(Stage::Connect);
        let link = target.connect().await?;
        let upgrade = Upgrade {
            stack: &node.stack,
            role: Role::Dialer,
            expected,
            local_peer: node.local_peer,
            progress: &progress,
        };
        upgrade.run(link).await
    };
    match tokio::time::timeout_at(deadline, attempt).await {
        Ok(result) => result,
        Err(_) => Err(AttemptError::new(progress.stage(), "", Cause::TimedOut(begun.elapsed()))),
    }
}
