//! A stream with its protocol agreed on, as applications hold it.

use crate::{
    connection::{Shared, StreamGuard, SwarmConn},
    muxed::Muxed,
    pipeline::negotiate::{Agreed, refused},
};
use futures::task::AtomicWaker;
use skep_api::{
    Code, Multiaddr, PeerId, Side,
    protocol::{NegotiatedStream, ProtocolError, ProtocolErrorKind},
    security::Role,
    stream::StreamError,
};
use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

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

/// Whoever waits on either direction. Until the proposal is answered, reading, writing and finishing all wait for the
/// same answer, and the muxer wakes one task only: so it is given a waker for both.
#[derive(Debug, Default)]
struct Halves {
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Wake for Halves {
    fn wake(self: Arc<Self>) {
        self.reader.wake();
        self.writer.wake();
    }
}

/// How a negotiation failed, to be told again by every later call.
#[derive(Clone, Debug)]
enum Dead {
    /// The peer does not serve the protocol.
    Refused,
    /// The stream or its connection ended before the answer.
    Ended(StreamError),
    /// Anything else.
    Other(io::ErrorKind),
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
/// [`ProtocolError`] of kind [`ProtocolErrorKind::NotSupported`] on the first read where the peer does not serve
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
        Self { io, muxed, protocol, conn, id, used, asked, dead, read, write, ended, guard: Some(guard) }
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
    pub async fn finish(&mut self) -> io::Result<()> {
        self.shutdown().await
    }

    /// Ends both directions at once.
    pub fn reset(&mut self, code: Code) {
        self.muxed.lock().reset(code);
        self.end(StreamState::Reset);
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

    /// The answer has come: from now on each direction wakes for itself.
    fn agree(&mut self) {
        if let Some(halves) = self.asked.take() {
            halves.wake();
        }
    }

    /// Calls the negotiation layer for one direction.
    fn poll_io<T>(
        &mut self,
        cx: &mut Context<'_>,
        half: fn(&Halves) -> &AtomicWaker,
        call: impl FnOnce(Pin<&mut Agreed<Muxed>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Some(dead) = &self.dead {
            return Poll::Ready(Err(self.error_of(dead)));
        }
        let Some(halves) = &self.asked else { return call(Pin::new(&mut self.io), cx) };
        half(halves).register(cx.waker());
        let both = Waker::from(Arc::clone(halves));
        call(Pin::new(&mut self.io), &mut Context::from_waker(&both))
    }

    /// Waits for the peer's answer to the proposal, if it is still to come.
    fn poll_agreed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.asked.is_none() {
            return Poll::Ready(Ok(()));
        }
        // Reading into no room at all reads the answer and nothing else.
        let answer = self.poll_io(cx, |h| &h.writer, |io, cx| io.poll_read(cx, &mut ReadBuf::new(&mut [])));
        match ready!(answer) {
            Ok(()) => self.agree(),
            Err(e) => return Poll::Ready(Err(self.unanswered(e))),
        }
        Poll::Ready(Ok(()))
    }

    /// Notes that there will be no answer: every later call gets the same error.
    fn unanswered(&mut self, error: io::Error) -> io::Error {
        if self.dead.is_none() && self.asked.is_some() {
            let dead = match StreamError::of(&error) {
                _ if refused(&error) => Dead::Refused,
                Some(ended) => Dead::Ended(ended.clone()),
                None => Dead::Other(error.kind()),
            };
            if matches!(dead, Dead::Refused) {
                self.muxed.lock().refused();
            }
            let error = self.error_of(&dead);
            self.dead = Some(dead);
            self.agree();
            return self.failed(error);
        }
        self.failed(error)
    }

    fn error_of(&self, dead: &Dead) -> io::Error {
        match dead {
            Dead::Refused => {
                let error = ProtocolError::new(ProtocolErrorKind::NotSupported, self.protocol.to_string());
                io::Error::new(io::ErrorKind::Unsupported, error)
            }
            Dead::Ended(error) => error.clone().into(),
            Dead::Other(kind) => (*kind).into(),
        }
    }

    /// Counts it as one that failed on its connection, if it was not this side that ended it.
    fn blame(&self, failed: bool) {
        if let Some(guard) = self.guard.as_ref().filter(|_| failed) {
            guard.failed();
        }
    }

    /// Notes how the stream ended.
    fn failed(&mut self, error: io::Error) -> io::Error {
        match StreamError::of(&error) {
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

impl AsyncRead for NetStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.used = true;
        if this.read == Half::Finished {
            // It says again how reading ended, which is no end of writing. The negotiation must not see an error: it is
            // of no use after one, and a stream that is not read may never have got its answer.
            return Pin::new(&mut this.muxed).poll_read(cx, buf);
        }
        let before = buf.filled().len();
        match ready!(this.poll_io(cx, |h| &h.reader, |io, cx| io.poll_read(cx, buf))) {
            Ok(()) if buf.filled().len() == before && buf.remaining() > 0 => {
                this.read = Half::Finished;
                this.settle();
            }
            Ok(()) => {}
            Err(e) => return Poll::Ready(Err(this.unanswered(e))),
        }
        this.agree();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for NetStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.used = true;
        let result = ready!(this.poll_io(cx, |h| &h.writer, |io, cx| io.poll_write(cx, buf)));
        Poll::Ready(result.map_err(|e| this.failed(e)))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = ready!(this.poll_io(cx, |h| &h.writer, |io, cx| io.poll_flush(cx)));
        Poll::Ready(result.map_err(|e| this.failed(e)))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // js-libp2p resets a stream whose proposal, data and end arrive together: the end waits for its answer.
        ready!(this.poll_agreed(cx))?;
        let result = ready!(this.poll_io(cx, |h| &h.writer, |io, cx| io.poll_shutdown(cx)));
        match result {
            Ok(()) => {
                this.write = Half::Finished;
                this.settle();
            }
            Err(e) => return Poll::Ready(Err(this.failed(e))),
        }
        Poll::Ready(Ok(()))
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
