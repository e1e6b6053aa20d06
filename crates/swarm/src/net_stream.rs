//! A stream with its protocol agreed on, as applications hold it.

use crate::pipeline::negotiate::{Agreed, refused};
use skep_api::{
    Code, Multiaddr, PeerId,
    muxer::MuxedStream,
    protocol::{NegotiatedStream, ProtocolError, ProtocolErrorKind},
    stream::StreamError,
};
use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

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
/// [`ProtocolError`] of kind [`ProtocolErrorKind::NotSupported`] on the first read where the peer does not serve
/// the protocol (the proposal is sent with the first data, without waiting for the answer). Dropping a stream
/// before [`NetStream::finish`] resets it.
pub struct NetStream {
    io: Agreed<Muxed>,
    muxed: Muxed,
    protocol: String,
    peer: PeerId,
    remote: Multiaddr,
    used: bool,
    /// The peer is known to have agreed on the protocol.
    agreed: bool,
    read: Half,
    write: Half,
    ended: Option<StreamState>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl NetStream {
    pub(crate) fn new(
        io: Agreed<Muxed>,
        muxed: Muxed,
        protocol: String,
        (peer, remote): (PeerId, Multiaddr),
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let (read, write) = (Half::Open, Half::Open);
        // Whoever was asked has agreed by giving the stream out; who proposed may still wait for the answer.
        let agreed = permit.is_some();
        Self {
            io,
            muxed,
            protocol,
            peer,
            remote,
            used: false,
            agreed,
            read,
            write,
            ended: None,
            _permit: permit,
        }
    }

    /// The protocol agreed on.
    #[must_use]
    pub fn protocol_id(&self) -> &str {
        &self.protocol
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// The peer's end of the connection, from its socket.
    #[must_use]
    pub fn remote_address(&self) -> &Multiaddr {
        &self.remote
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
        self.ended = Some(StreamState::Reset);
    }

    /// Asks the peer to send no more.
    pub fn stop_reading(&mut self, code: Code) {
        self.muxed.lock().stop_reading(code);
        self.read = Half::Finished;
    }

    /// Waits for the peer's answer to the proposal, if it is still to come.
    fn poll_agreed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.agreed {
            // Reading into no room at all reads the answer and nothing else.
            let answer = ready!(Pin::new(&mut self.io).poll_read(cx, &mut ReadBuf::new(&mut [])));
            self.agreed = true;
            answer?;
        }
        Poll::Ready(Ok(()))
    }

    /// Notes how the stream ended, and says what a refused proposal means.
    fn failed(&mut self, error: io::Error) -> io::Error {
        if refused(&error) {
            self.ended = Some(StreamState::Error);
            let error = ProtocolError::new(ProtocolErrorKind::NotSupported, self.protocol.clone());
            return io::Error::new(io::ErrorKind::Unsupported, error);
        }
        match StreamError::of(&error) {
            Some(StreamError::Reset { .. }) => self.ended = Some(StreamState::Reset),
            Some(StreamError::Stopped { .. } | StreamError::Finished) => self.write = Half::Finished,
            Some(_) | None => self.ended = Some(StreamState::Error),
        }
        error
    }
}

impl AsyncRead for NetStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.used = true;
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut this.io).poll_read(cx, buf));
        match result {
            Ok(()) if buf.filled().len() == before && buf.remaining() > 0 => this.read = Half::Finished,
            Ok(()) => {}
            Err(e) => return Poll::Ready(Err(this.failed(e))),
        }
        this.agreed = true;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for NetStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.used = true;
        let result = ready!(Pin::new(&mut this.io).poll_write(cx, buf));
        Poll::Ready(result.map_err(|e| this.failed(e)))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = ready!(Pin::new(&mut this.io).poll_flush(cx));
        Poll::Ready(result.map_err(|e| this.failed(e)))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // js-libp2p resets a stream whose proposal, data and end arrive together: the end waits for its answer.
        if let Err(e) = ready!(this.poll_agreed(cx)) {
            return Poll::Ready(Err(this.failed(e)));
        }
        let result = ready!(Pin::new(&mut this.io).poll_shutdown(cx));
        match result {
            Ok(()) => this.write = Half::Finished,
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
            .field("peer", &self.peer)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// A muxed stream that the negotiation layer reads and writes while the application can still reset it: the
/// negotiation layer does not give its inner stream back. The lock is never contended.
#[derive(Clone, Debug)]
pub(crate) struct Muxed(Arc<Mutex<Box<dyn MuxedStream>>>);

impl Muxed {
    pub(crate) fn new(stream: Box<dyn MuxedStream>) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, Box<dyn MuxedStream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Muxed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut **self.lock()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Muxed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut **self.lock()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.lock()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.lock()).poll_shutdown(cx)
    }
}
