//! Opening a stream to a peer: on the connection that the selector names, on another if that fails, on a new one if
//! there is none.

use crate::{
    connection::{SwarmConn, check},
    dial::{DialOptions, Dialed, Target, later},
    error::{DialError, NewStreamError},
    net_stream::NetStream,
    swarm::{Inner, Swarm},
};
use skep_api::{
    PeerId,
    muxer::{MuxerError, MuxerErrorKind},
    protocol::{ProtocolError, ProtocolErrorKind},
    stream::StreamError,
};
use std::{error::Error, io, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// How a stream is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamOptions {
    /// For all of it: dialling, waiting for room, opening. Without one, `[dial] timeout` and `[swarm] stream_timeout`
    /// together.
    pub timeout: Option<Duration>,
    /// Fail rather than dial, if there is no connection.
    pub no_dial: bool,
    /// A limited connection will do; otherwise a direct one is dialled.
    pub allow_limited: bool,
}

impl StreamOptions {
    /// Bounds all of it.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Fail rather than dial.
    #[must_use]
    pub fn no_dial(mut self) -> Self {
        self.no_dial = true;
        self
    }

    /// Take a limited connection, too.
    #[must_use]
    pub fn allow_limited(mut self) -> Self {
        self.allow_limited = true;
        self
    }
}

impl Swarm {
    /// Opens a stream to a peer for the first of `protocols` that it takes, and dials the peer if it is not connected.
    ///
    /// The selector names the connection. One that has just died falls through to the next, and the last to a dial.
    /// Where there are as many streams as there may be, this waits, in the order of asking. With one protocol, no answer
    /// is waited for: a refusal is told by the first read. Dropping the future ends whatever it waits for.
    ///
    /// # Errors
    /// [`NewStreamError`] says whether it is the dial or the stream that failed.
    pub async fn new_stream(&self, peer: PeerId, protocols: &[String]) -> Result<NetStream, NewStreamError> {
        self.new_stream_with(peer, protocols, StreamOptions::default()).await
    }

    /// [`Swarm::new_stream`] with options.
    ///
    /// # Errors
    /// [`NewStreamError`] says whether it is the dial or the stream that failed.
    pub async fn new_stream_with(
        &self,
        peer: PeerId,
        protocols: &[String],
        options: StreamOptions,
    ) -> Result<NetStream, NewStreamError> {
        check(protocols).map_err(|source| NewStreamError::Failed { peer, source })?;
        let settings = (self.0.dialer.timeout(), self.0.live().settings.stream_timeout.0);
        let limit = options.timeout.unwrap_or_else(|| settings.0.saturating_add(settings.1));
        let deadline = later(Instant::now(), limit);
        let mut tried = Vec::new();
        let mut last = None;
        loop {
            let conn = match self.0.next_for_stream(&peer, &options, &tried) {
                Some(conn) => conn,
                // Another connection would not change what a limit of this node says.
                None if last.as_ref().is_some_and(|e: &ProtocolError| !has_died(e)) => {
                    return Err(failed(peer, last));
                }
                None => match self.0.dial_for_stream(peer, &options, deadline, &tried, &mut last).await? {
                    Some(conn) => conn,
                    None => continue,
                },
            };
            tried.push(conn.id());
            // Where nothing else was asked for, dialling leaves `stream_timeout` for the rest.
            let until = match options.timeout {
                Some(_) => deadline,
                None => later(Instant::now(), settings.1).min(deadline),
            };
            match conn.0.open(protocols, until).await {
                Ok(stream) => return Ok(stream),
                Err(error) if Instant::now() < deadline && is_of_the_connection(&conn, &error) => {
                    last = Some(error);
                }
                Err(source) => return Err(NewStreamError::Failed { peer, source }),
            }
        }
    }
}

/// Whether another connection may carry what this one could not.
fn is_of_the_connection(conn: &SwarmConn, error: &ProtocolError) -> bool {
    !conn.is_live() || has_died(error) || error.kind() == ProtocolErrorKind::Limit
}

fn failed(peer: PeerId, last: Option<ProtocolError>) -> NewStreamError {
    match last {
        Some(source) => NewStreamError::Failed { peer, source },
        None => NewStreamError::NotConnected(peer),
    }
}

/// Connections that one call tries. A peer that takes connections and no stream is not dialled for ever.
const MAX_TRIED: usize = 8;

impl Inner {
    /// The connection that should carry a stream, of those that were not tried yet. One with room comes first.
    fn next_for_stream(&self, peer: &PeerId, options: &StreamOptions, tried: &[u64]) -> Option<SwarmConn> {
        let fits =
            |conn: &SwarmConn| (options.allow_limited || !conn.is_limited()) && !tried.contains(&conn.id());
        self.select(peer, |conn| fits(conn) && conn.0.has_room()).or_else(|| self.select(peer, fits))
    }

    /// A new connection for a stream; `None` if another came up meanwhile that was not tried yet.
    async fn dial_for_stream(
        self: &Arc<Self>,
        peer: PeerId,
        options: &StreamOptions,
        deadline: Instant,
        tried: &[u64],
        last: &mut Option<ProtocolError>,
    ) -> Result<Option<SwarmConn>, NewStreamError> {
        if options.no_dial || tried.len() >= MAX_TRIED {
            let limited = self.best_of(&peer, |conn| !tried.contains(&conn.id())).is_some();
            return Err(match last.take() {
                None if limited => NewStreamError::OnlyLimited(peer),
                last => failed(peer, last),
            });
        }
        let dial = DialOptions {
            force_direct: !options.allow_limited,
            allow_limited: options.allow_limited,
            deadline: Some(deadline),
            ..DialOptions::default()
        };
        let Dialed { connection, .. } = match self.dial(Target::Peer(peer), dial).await {
            Ok(dialed) => dialed,
            // Why the connection that there was has failed says more than that there is no address.
            Err(DialError::Refused { .. }) if last.is_some() => return Err(failed(peer, last.take())),
            Err(source) => return Err(NewStreamError::Dial { peer, source }),
        };
        if tried.contains(&connection.id()) {
            // It is still on the table, and about to leave it.
            let until = later(Instant::now(), self.live().settings.close_timeout.0).min(deadline);
            if timeout_at(until, connection.closed()).await.is_err() {
                return Err(failed(peer, last.take()));
            }
            return Ok(None);
        }
        Ok(Some(connection))
    }
}

/// Whether a stream could not be opened because its connection has ended.
fn has_died(error: &ProtocolError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<MuxerError>().is_some_and(|e| e.kind() == MuxerErrorKind::Closed) {
            return true;
        }
        let lost = error.downcast_ref::<io::Error>().and_then(StreamError::of);
        if matches!(lost, Some(StreamError::ConnectionLost(_))) {
            return true;
        }
        cause = error.source();
    }
    false
}
