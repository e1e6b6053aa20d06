//! Opening a stream to a peer: on the connection that the selector names, on another if that fails, on a new one if
//! there is none.

use crate::{
    connection::SwarmConn,
    dial::{DialOptions, Dialed, Target, later},
    error::{DialError, NewStreamError},
    net_stream::NetStream,
    swarm::{Inner, Swarm},
};
use skep_api::{
    PeerId,
    muxer::{MuxerError, MuxerErrorKind},
    protocol::ProtocolError,
};
use std::{error::Error, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// How a stream is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamOptions {
    /// For all of it: dialling, waiting for room, opening. Without one, dialling takes at most `[dial] timeout` and the
    /// rest `[swarm] stream_timeout`.
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
        let deadline = options.timeout.map(|timeout| later(Instant::now(), timeout));
        let mut tried = Vec::new();
        let mut last = None;
        loop {
            let fits = |conn: &SwarmConn| {
                (options.allow_limited || !conn.is_limited()) && !tried.contains(&conn.id())
            };
            let conn = match self.0.best_of(&peer, fits) {
                Some(conn) => conn,
                None => match self.0.dial_for_stream(peer, &options, deadline, &tried, last.take()).await? {
                    Some(conn) => conn,
                    None => continue,
                },
            };
            tried.push(conn.id());
            let until = deadline.unwrap_or_else(|| later(Instant::now(), self.0.settings.stream_timeout.0));
            match conn.0.open(protocols, until).await {
                Ok(stream) => return Ok(stream),
                // The connection has died, or is about to.
                Err(error) if (!conn.is_live() || has_died(&error)) && Instant::now() < until => {
                    last = Some(error);
                }
                Err(source) => return Err(NewStreamError::Failed { peer, source }),
            }
        }
    }
}

/// Connections that one call tries. A peer that takes connections and no stream is not dialled for ever.
const MAX_TRIED: usize = 8;

impl Inner {
    /// A new connection for a stream; `None` if another came up meanwhile that was not tried yet.
    async fn dial_for_stream(
        self: &Arc<Self>,
        peer: PeerId,
        options: &StreamOptions,
        deadline: Option<Instant>,
        tried: &[u64],
        last: Option<ProtocolError>,
    ) -> Result<Option<SwarmConn>, NewStreamError> {
        let limited = self.best_of(&peer, |conn| !tried.contains(&conn.id())).is_some();
        let out_of_tries = tried.len() >= MAX_TRIED;
        if options.no_dial || out_of_tries {
            return Err(match last {
                Some(source) => NewStreamError::Failed { peer, source },
                None if limited => NewStreamError::OnlyLimited(peer),
                None => NewStreamError::NotConnected(peer),
            });
        }
        let dial = DialOptions {
            force_direct: !options.allow_limited,
            allow_limited: options.allow_limited,
            deadline,
            ..DialOptions::default()
        };
        let Dialed { connection, .. } = self.dial(Target::Peer(peer), dial).await.map_err(|error| {
            // Why the connection that there was has failed says more than that there is no address.
            match (last, error) {
                (Some(source), DialError::Refused { .. }) => NewStreamError::Failed { peer, source },
                (_, error) => NewStreamError::Dial { peer, source: error },
            }
        })?;
        if tried.contains(&connection.id()) {
            // It is still on the table, and about to leave it.
            let limit = later(Instant::now(), self.settings.close_timeout.0);
            let until = deadline.map_or(limit, |deadline| deadline.min(limit));
            if timeout_at(until, connection.closed()).await.is_err() {
                return Err(NewStreamError::NotConnected(peer));
            }
            return Ok(None);
        }
        Ok(Some(connection))
    }
}

/// Whether a stream could not be opened because its connection has ended.
fn has_died(error: &ProtocolError) -> bool {
    let muxer = error.source().and_then(|source| source.downcast_ref::<MuxerError>());
    muxer.is_some_and(|error| error.kind() == MuxerErrorKind::Closed)
}
