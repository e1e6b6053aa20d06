//! A stream with its protocol agreed on, as applications hold it.

mod answer;
mod deadline;
mod io;

use crate::{
    connection::{Shared, StreamGuard, SwarmConn},
    muxed::Muxed,
    pipeline::negotiate::Agreed,
};
use answer::{Dead, Halves};
use deadline::Deadlines;
use skep_api::{
    Code, Multiaddr, PeerId, Side, protocol::NegotiatedStream, security::Role, stream::StreamError,
};
use std::{fmt, sync::Arc};
use tokio::{io::AsyncWriteExt, time::Instant};

/// The states of a stream by the seed's names: a view on its two halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamState {
    /// Nothing has been read or written yet.
    Init,
    /// Both directions are open.
    Open,
    /// The peer has finished; this side can still write.
    CloseRead,
    /// This side has finished; the peer can still write.
    CloseWrite,
    /// Both sides have finished.
    CloseBoth,
    /// One side has reset the stream.
    Reset,
    /// The connection under the stream has failed.
    Error,
}

/// One direction of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Open,
    Finished,
}

/// A stream on which a protocol was agreed. Reads and writes are tokio's.
///
/// Errors of reads and writes carry a [`StreamError`] where the stream or its connection ended, and a
/// [`ProtocolError`](skep_api::protocol::ProtocolError) of kind `NotSupported` on the first read where the peer does not serve
/// the protocol (the proposal is sent with the first data, without waiting for the answer). Dropping a stream
/// before [`NetStream::finish`] resets it.
pub struct NetStream {
    io: Agreed<Muxed>,
    muxed: Muxed,
    protocol: Arc<str>,
    conn: Arc<Shared>,
    id: u64,
    used: bool,
    /// There while the peer's answer to the proposal is still to come.
    asked: Option<Arc<Halves>>,
    /// The negotiation has failed: the layer that did it must not be called again.
    dead: Option<Dead>,
    read: Half,
    write: Half,
    ended: Option<StreamState>,
    /// What the stream holds, until both directions have ended.
    guard: Option<StreamGuard>,
    deadlines: Deadlines,
}

impl NetStream {
    pub(crate) fn new(
        io: Agreed<Muxed>,
        muxed: Muxed,
        protocol: Arc<str>,
        role: Role,
        guard: StreamGuard,
    ) -> Self {
        let (read, write) = (Half::Open, Half::Open);
        // Whoever was asked has agreed by giving the stream out; who proposed may still wait for the answer.
        let asked = (role == Role::Dialer).then(Arc::default);
        let (used, dead, ended) = (false, None, None);
        let (conn, id) = (Arc::clone(guard.conn()), guard.id());
        Self {
            io,
            muxed,
            protocol,
            conn,
            id,
            used,
            asked,
            dead,
            read,
            write,
            ended,
            guard: Some(guard),
            deadlines: Deadlines::default(),
        }
    }

    /// The protocol agreed on.
    #[must_use]
    pub fn protocol_id(&self) -> &str {
        &self.protocol
    }

    /// Its number on its connection, which events and listings give, too.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.conn.info.peer
    }

    /// The connection that carries it.
    #[must_use]
    pub fn connection(&self) -> SwarmConn {
        SwarmConn(Arc::clone(&self.conn))
    }

    /// The peer's end of the connection, from its socket.
    #[must_use]
    pub fn remote_address(&self) -> &Multiaddr {
        &self.conn.info.remote
    }

    /// The state by the seed's names.
    #[must_use]
    pub fn state(&self) -> StreamState {
        match (self.ended, self.read, self.write) {
            (Some(ended), _, _) => ended,
            (None, Half::Finished, Half::Finished) => StreamState::CloseBoth,
            (None, Half::Finished, Half::Open) => StreamState::CloseRead,
            (None, Half::Open, Half::Finished) => StreamState::CloseWrite,
            (None, Half::Open, Half::Open) if self.used => StreamState::Open,
            (None, Half::Open, Half::Open) => StreamState::Init,
        }
    }

    /// Whether at least one direction still works.
    #[must_use]
    pub fn is_operational(&self) -> bool {
        !matches!(self.state(), StreamState::CloseBoth | StreamState::Reset | StreamState::Error)
    }

    /// Sends what was written, then the end of file. Reading goes on. On a stream of which nothing was read yet,
    /// this waits for the peer's answer to the protocol proposal.
    ///
    /// # Errors
    /// If the stream or its connection has ended.
    pub async fn finish(&mut self) -> std::io::Result<()> {
        self.shutdown().await
    }

    /// Ends both directions at once.
    pub fn reset(&mut self, code: Code) {
        self.muxed.lock().reset(code);
        self.end(StreamState::Reset);
    }

    /// Reads that have no data by then fail with [`StreamError::DeadlineExceeded`]; `None` is no deadline, as at first. The
    /// stream goes on: a later deadline can follow.
    pub fn set_read_deadline(&mut self, deadline: Option<Instant>) {
        self.deadlines.read.set(deadline);
    }

    /// Writes, flushes and finishing that have to wait until then fail with [`StreamError::DeadlineExceeded`]; `None` is no
    /// deadline, as at first. How much of a write has been taken is what its earlier calls said.
    pub fn set_write_deadline(&mut self, deadline: Option<Instant>) {
        self.deadlines.write.set(deadline);
    }

    /// Both deadlines at once.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.set_read_deadline(deadline);
        self.set_write_deadline(deadline);
    }

    /// Asks the peer to send no more.
    pub fn stop_reading(&mut self, code: Code) {
        self.muxed.lock().stop_reading(code);
        self.read = Half::Finished;
        // The answer cannot be heard any more, so nothing waits for it.
        self.agree();
        self.settle();
    }

    /// It has ended, for good: what comes first counts.
    fn end(&mut self, state: StreamState) {
        if self.is_operational() {
            self.ended = Some(state);
        }
        self.settle();
    }

    /// Gives back what the stream holds, once both directions have ended.
    fn settle(&mut self) {
        if !self.is_operational() {
            self.guard = None;
        }
    }

    /// Counts it as one that failed on its connection, if it was not this side that ended it.
    fn blame(&self, failed: bool) {
        if let Some(guard) = self.guard.as_ref().filter(|_| failed) {
            guard.failed();
        }
    }

    /// Notes how the stream ended.
    fn failed(&mut self, error: std::io::Error) -> std::io::Error {
        match StreamError::of(&error) {
            Some(StreamError::DeadlineExceeded) => {}
            Some(StreamError::Stopped { .. } | StreamError::Finished) => {
                self.write = Half::Finished;
                self.settle();
            }
            Some(StreamError::Reset { by, .. }) => {
                self.blame(*by == Side::Remote);
                self.end(StreamState::Reset);
            }
            Some(_) => {
                self.blame(true);
                self.end(StreamState::Error);
            }
            None => {
                let refused = matches!(self.dead, Some(Dead::Refused));
                self.blame(!refused);
                // It is of no more use, and holds nothing of this node's: nor shall it on the connection.
                let code = if refused { Code::PROTOCOL_NEGOTIATION_FAILED } else { Code::DROPPED };
                self.muxed.lock().reset(code);
                self.end(StreamState::Error);
            }
        }
        error
    }
}

impl NegotiatedStream for NetStream {
    fn reset(&mut self, code: Code) {
        Self::reset(self, code);
    }

    fn stop_reading(&mut self, code: Code) {
        Self::stop_reading(self, code);
    }
}

impl fmt::Debug for NetStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetStream")
            .field("protocol", &self.protocol)
            .field("peer", &self.conn.info.peer)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
