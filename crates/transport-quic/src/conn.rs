//! A connection: its handle, its driver, and what its streams share.

use crate::{
    codes, endpoints::Socket, error, finishing::Finishing, leftovers::Leftovers, signs::Signs,
    stream::QuicStream, transport::Node,
};
use async_trait::async_trait;
use quinn::ConnectionError;
use skep_api::{
    CloseReason, Code, Multiaddr,
    muxer::{Muxed, MuxedConn, MuxedStream, MuxerError, MuxerErrorKind, Pulse},
    security::Secured,
    transport::{Link, MuxedLink, TransportError},
};
use skep_tls::Outcome;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Joins a connection with the proof of who the peer is.
pub(crate) fn link(
    quic: quinn::Connection,
    node: &Node,
    outcome: &Outcome,
    socket: Arc<Socket>,
    (local, remote): (Multiaddr, Multiaddr),
) -> Result<Link, TransportError> {
    let verified = match outcome.take() {
        Some(Ok(verified)) => verified,
        Some(Err(verdict)) => return Err(error::unproved(&remote).with_source(verdict)),
        None => return Err(error::unproved(&remote)),
    };
    let window = node.tuning.config().connection_window;
    let muxed = Secured::new(verified, start(quic, window, socket));
    Ok(Link::Muxed(Box::new(MuxedLink { muxed, local, remote })))
}

fn start(quic: quinn::Connection, window: u32, socket: Arc<Socket>) -> Muxed {
    let shared = Arc::new(Shared::new(quic, window, socket));
    let driver = Driver(Arc::clone(&shared));
    Muxed { conn: Arc::new(QuicConn(shared)), driver: Box::pin(async move { driver.run().await }) }
}

/// What the handle, the driver and the streams of a connection share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) quic: quinn::Connection,
    /// Why this node ended the connection, if it did.
    local: OnceLock<CloseReason>,
    /// The code that the application wants it closed with.
    asked: OnceLock<Code>,
    streams: AtomicUsize,
    pub(crate) finishing: Finishing,
    pub(crate) leftovers: Leftovers,
    signs: Signs,
    /// The receive window of the connection, in bytes.
    window: u32,
    /// Where the peer was last seen.
    peer: Mutex<SocketAddr>,
    /// The socket stays while a connection needs it.
    _socket: Arc<Socket>,
}

impl Shared {
    fn new(quic: quinn::Connection, window: u32, socket: Arc<Socket>) -> Self {
        Self {
            local: OnceLock::new(),
            asked: OnceLock::new(),
            streams: AtomicUsize::new(0),
            finishing: Finishing::default(),
            leftovers: Leftovers::default(),
            signs: Signs::default(),
            window,
            peer: Mutex::new(quic.remote_address()),
            _socket: socket,
            quic,
        }
    }

    /// Why the connection ended, from the library's error.
    pub(crate) fn reason(&self, error: &ConnectionError) -> CloseReason {
        codes::reason(error, self.local.get())
    }

    /// Ends the connection at once, unless it has ended.
    fn end(&self, reason: CloseReason, code: Code) {
        // The library would forget how it ended.
        if self.quic.close_reason().is_some() {
            return;
        }
        let _ = self.local.set(reason);
        self.quic.close(codes::to_wire(code), b"");
    }

    fn stream(
        self: &Arc<Self>,
        (send, recv): (quinn::SendStream, quinn::RecvStream),
    ) -> Box<dyn MuxedStream> {
        self.streams.fetch_add(1, Ordering::AcqRel);
        Box::new(QuicStream::new(send, recv, Arc::clone(self)))
    }

    /// One stream less.
    pub(crate) fn forget_stream(&self) {
        self.streams.fetch_sub(1, Ordering::AcqRel);
    }

    /// Where the peer is. Tells the log when it has moved since the last look (RFC 9000, section 9).
    fn look_at_peer(&self) -> SocketAddr {
        let now = self.quic.remote_address();
        let mut known = self.peer.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != now {
            tracing::info!(from = %*known, to = %now, "A peer has moved to another address.");
            *known = now;
        }
        now
    }
}

/// The driver has no work, for the library does it in tasks of its own. It waits for the end, and its drop is one.
struct Driver(Arc<Shared>);

impl Driver {
    async fn run(self) -> CloseReason {
        let error = self.0.quic.closed().await;
        self.0.reason(&error)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let code = self.0.asked.get().copied();
        let reason = match code {
            Some(code) => CloseReason::local(code),
            None => CloseReason::Lost { what: "the connection was cut off by this node".into() },
        };
        self.0.end(reason, code.unwrap_or(Code::NONE));
    }
}

/// Opens, accepts and closes.
#[derive(Debug)]
struct QuicConn(Arc<Shared>);

impl QuicConn {
    fn closed(&self, error: &ConnectionError) -> MuxerError {
        MuxerError::new(MuxerErrorKind::Closed, self.0.reason(error).to_string())
    }
}

#[async_trait]
impl MuxedConn for QuicConn {
    async fn open(&self) -> Result<Box<dyn MuxedStream>, MuxerError> {
        if let Some(code) = self.0.asked.get() {
            return Err(MuxerError::new(MuxerErrorKind::Closed, CloseReason::local(*code).to_string()));
        }
        let halves = self.0.quic.open_bi().await.map_err(|e| self.closed(&e))?;
        self.0.look_at_peer();
        Ok(self.0.stream(halves))
    }

    async fn accept(&self) -> Result<Box<dyn MuxedStream>, MuxerError> {
        let halves = self.0.quic.accept_bi().await.map_err(|e| self.closed(&e))?;
        self.0.look_at_peer();
        Ok(self.0.stream(halves))
    }

    async fn close(&self, code: Code) {
        let code = *self.0.asked.get_or_init(|| code);
        // The close of a QUIC connection takes back what is on its way, so that comes first.
        tokio::select! {
            () = self.0.finishing.all_arrived() => self.0.end(CloseReason::local(code), code),
            _ = self.0.quic.closed() => {}
        }
    }

    fn num_streams(&self) -> usize {
        self.0.streams.load(Ordering::Acquire)
    }

    fn pulse(&self) -> Option<Pulse> {
        self.0.look_at_peer();
        Some(self.0.signs.pulse(&self.0.quic.stats()))
    }

    fn probe(&self) {
        self.0.signs.probe(&self.0.quic, self.0.window);
    }

    fn remote(&self) -> Option<Multiaddr> {
        Some(crate::address::multiaddr_of(self.0.look_at_peer()))
    }
}
