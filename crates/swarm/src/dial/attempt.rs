//! One try of one address, and what its outcome says about the address and the path.

use super::{lines::Line, options::Priority};
use crate::{
    error::{AttemptError, Cause, Stage},
    pipeline::{admit::Approved, outbound, progress::Progress, upgrade::Established},
    swarm::Inner,
};
use futures::FutureExt;
use skep_api::{
    Multiaddr, PeerId,
    address::{self, Scope},
    error::Fault,
    security::SecurityErrorKind,
    transport::TransportErrorKind,
};
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// How a try ended.
#[derive(Debug)]
pub(super) struct Attempted {
    pub(super) line: usize,
    pub(super) target: Approved,
    pub(super) result: Result<Established, AttemptError>,
}

/// What to try, for whom.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) line: usize,
    pub(super) target: Approved,
    pub(super) expected: Option<PeerId>,
    pub(super) priority: watch::Receiver<Priority>,
    pub(super) progress: Arc<Progress>,
    pub(super) cut: CancellationToken,
}

impl Attempt {
    /// Waits for room, then connects and upgrades. Dropping the future closes the socket.
    pub(super) async fn run(self, node: Arc<Inner>) -> Attempted {
        let Self { line, target, expected, priority, progress, cut } = self;
        progress.at(Stage::Queue, "");
        let attempt = async {
            let full = |full| AttemptError::new(Stage::Queue, "", Cause::Overloaded(full));
            let _slot = node.dialer.budget.acquire(priority, target.addr()).await.map_err(full)?;
            let limit = node.dialer.address_timeout(target.addr());
            let begun = Instant::now();
            let connect = outbound::connect(&node, target.clone(), expected, limit, &progress);
            // A plugin that panics over one address does not cost the peer the others.
            let connect = AssertUnwindSafe(connect).catch_unwind();
            match cut.run_until_cancelled(connect).await {
                Some(ended) => ended.unwrap_or_else(|_| Err(progress.panicked())),
                None => Err(progress.timed_out(begun.elapsed())),
            }
        };
        let result = node.meters.attempt(target.transport(), &progress, attempt).await;
        Attempted { line, target, result }
    }
}

impl super::Dialer {
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.settings().connect_timeout.0
    }

    fn address_timeout(&self, addr: &Multiaddr) -> Duration {
        match address::scope(addr) {
            Scope::Public | Scope::Unknown => self.settings().public_timeout.0,
            Scope::Loopback | Scope::LinkLocal | Scope::Private => self.settings().local_timeout.0,
        }
    }

    /// An address has led to a connection.
    pub(super) fn succeeded(&self, peer: Option<PeerId>, addr: &Multiaddr) {
        self.backoff.succeeded(peer, &address::without_peer(addr));
        self.black_holes.record(addr, true);
    }

    /// An address has failed for good, as far as this dial is concerned.
    pub(super) fn failed(&self, peer: Option<PeerId>, addr: &Multiaddr, error: &AttemptError) {
        if let Some(answered) = answered(error) {
            self.black_holes.record(addr, answered);
        }
        // What this node did to itself says nothing about the address.
        if error.cause.fault() != Fault::Local {
            self.backoff.failed(peer, &address::without_peer(addr), error.cause.code(), Instant::now());
        }
    }

    /// A try was given up because another was faster.
    pub(super) fn outrun(&self, line: &Line, winner_started: Option<Instant>) {
        // It had a head start, and not even its connection stood: the path may swallow it.
        if line.started().zip(winner_started).is_some_and(|(started, winner)| started < winner) {
            self.black_holes.record(&line.addr, false);
        }
    }

    /// A try was given up because nobody waits any more. A caller without patience must not be a way around the back-off.
    pub(super) fn given_up(&self, peer: Option<PeerId>, line: &Line) {
        if let Some(silent) = line.progress.started().map(|at| at.elapsed()).filter(|time| *time >= PATIENCE)
        {
            self.failed(peer, &line.addr, &line.progress.timed_out(silent));
        }
    }
}

/// A silence of this length is held against an address, even if the caller had no more time.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether anything came back over the path; `None` if the failure does not tell.
fn answered(error: &AttemptError) -> Option<bool> {
    use TransportErrorKind as Kind;
    match (&error.stage, &error.cause) {
        (Stage::Protector | Stage::Security | Stage::Peer | Stage::Muxer | Stage::Gate, _) => Some(true),
        (Stage::Connect, Cause::TimedOut(_)) => Some(false),
        (Stage::Connect, Cause::Transport(e)) => match e.kind() {
            Kind::TimedOut | Kind::Unreachable => Some(false),
            Kind::Refused | Kind::Reset | Kind::Handshake => Some(true),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the peer at the address is another one than wanted.
pub(super) fn is_wrong_peer(error: &AttemptError) -> bool {
    matches!(&error.cause, Cause::Security(e) if e.kind() == SecurityErrorKind::WrongPeer)
}
