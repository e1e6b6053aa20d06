//! Dialling: from an address as given to a registered connection, or to the reasons why there is none.

use crate::{
    connection::SwarmConn,
    error::{Attempt, AttemptError, Cause, DialError, Stage},
    pipeline::outbound,
    swarm::Inner,
};
use skep_api::{
    Multiaddr, PeerId,
    multiaddr::Protocol,
    resolver::{ResolveError, ResolveErrorKind},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// What a caller may ask of one dial.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DialOptions {
    /// A time limit below `[swarm] dial_timeout`.
    pub timeout: Option<Duration>,
    /// Connect even if there is a connection to the peer.
    pub always: bool,
}

impl DialOptions {
    /// Ends the dial after `timeout`, if that is sooner than `[swarm] dial_timeout`.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Connects even if there is a connection to the peer.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.always = true;
        self
    }
}

impl Inner {
    pub(crate) async fn dial(
        self: &Arc<Self>,
        addr: &Multiaddr,
        options: DialOptions,
    ) -> Result<SwarmConn, DialError> {
        let begun = Instant::now();
        let limit =
            options.timeout.map_or(self.settings.dial_timeout.0, |t| t.min(self.settings.dial_timeout.0));
        let deadline = later(begun, limit);
        let peer = peer_of(addr);
        if let Some(conn) = peer.filter(|_| !options.always).and_then(|peer| self.best(&peer)) {
            return Ok(conn);
        }
        let mut attempts = Vec::new();
        match self.candidates(addr, peer, deadline).await {
            Ok(candidates) => {
                for candidate in candidates {
                    let started = Instant::now();
                    match self.attempt(&candidate, deadline).await {
                        Ok(conn) => return Ok(conn),
                        Err(error) => {
                            attempts.push(Attempt { addr: candidate, error, elapsed: started.elapsed() });
                        }
                    }
                }
            }
            Err(error) => attempts.push(Attempt { addr: addr.clone(), error, elapsed: begun.elapsed() }),
        }
        Err(DialError { peer, attempts, elapsed: begun.elapsed() })
    }

    async fn attempt(
        self: &Arc<Self>,
        addr: &Multiaddr,
        deadline: Instant,
    ) -> Result<SwarmConn, AttemptError> {
        if self.tasks.cancelled().is_cancelled() {
            return Err(AttemptError::new(Stage::Filter, "", Cause::ShuttingDown));
        }
        let expected = peer_of(addr);
        if expected == Some(self.local_peer) {
            return Err(AttemptError::new(Stage::Filter, "", Cause::OwnAddress));
        }
        let deadline = deadline.min(later(Instant::now(), self.settings.upgrade_timeout.0));
        let connect = outbound::connect(self, addr, expected, deadline);
        match self.tasks.cancelled().run_until_cancelled(connect).await {
            Some(established) => self.register(established?),
            None => Err(AttemptError::new(Stage::Connect, "", Cause::ShuttingDown)),
        }
    }

    /// The addresses that `addr` stands for, each ending in the peer wanted where one is.
    async fn candidates(
        &self,
        addr: &Multiaddr,
        peer: Option<PeerId>,
        deadline: Instant,
    ) -> Result<Vec<Multiaddr>, AttemptError> {
        if !has_name(addr) {
            return Ok(vec![addr.clone()]);
        }
        let Some(resolver) = &self.stack.resolver else {
            let error = ResolveError::new(ResolveErrorKind::Unsupported, addr.to_string());
            return Err(AttemptError::new(Stage::Resolve, "", Cause::Resolve(error)));
        };
        let fail = |cause| AttemptError::new(Stage::Resolve, &resolver.name, cause);
        let begun = Instant::now();
        let resolved = match tokio::time::timeout_at(deadline, resolver.object.resolve(addr)).await {
            Ok(resolved) => resolved.map_err(|e| fail(Cause::Resolve(e)))?,
            Err(_) => return Err(fail(Cause::TimedOut(begun.elapsed()))),
        };
        let with_peer = |addr: Multiaddr| match peer {
            Some(peer) if peer_of(&addr).is_none() => addr.with(Protocol::P2p(peer)),
            _ => addr,
        };
        let candidates: Vec<_> = resolved
            .into_iter()
            .map(with_peer)
            .filter(|addr| peer.is_none() || peer_of(addr) == peer)
            .collect();
        if candidates.is_empty() {
            let detail = format!("{addr} leads to other peers only");
            return Err(fail(Cause::Resolve(ResolveError::new(ResolveErrorKind::BadRecord, detail))));
        }
        Ok(candidates)
    }
}

/// A moment after another, as far away as a clock can say.
pub(crate) fn later(moment: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(86_400 * 365);
    moment.checked_add(by.min(FAR)).unwrap_or(moment)
}

/// The peer that an address names at its end.
pub(crate) fn peer_of(addr: &Multiaddr) -> Option<PeerId> {
    match addr.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

fn has_name(addr: &Multiaddr) -> bool {
    addr.iter().any(|part| {
        matches!(part, Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_))
    })
}
