//! Protocol handlers: what is done with the streams that peers open.

use crate::{
    Code, Multiaddr, NodeView, PeerId, PublicKey, error::layer_error, muxer::MuxedStream,
    record::SignedRecord, security::Role,
};
use async_trait::async_trait;
use std::{collections::BTreeMap, fmt, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite};

/// Serves the inbound streams of some protocol ids.
///
/// # Obligations
///
/// * H1. `serve` ends when the stream ends. Dropping its future resets the stream.
/// * H2. A peer's messages are bounded in size before they are stored.
/// * H3. An error or a panic ends the stream only.
#[async_trait]
pub trait ProtocolHandler: fmt::Debug + Send + Sync + 'static {
    /// The protocol ids served, such as `/ipfs/ping/1.0.0`.
    fn protocols(&self) -> Vec<String>;

    /// Serves one stream that a peer opened.
    ///
    /// # Errors
    /// For the log and the counters; the stream is reset unless it was finished.
    async fn serve(&self, stream: InboundStream) -> Result<(), ProtocolError>;

    /// Whether an open stream of these protocols keeps its connection from being closed for idleness, and a drain waits
    /// for it. `false` for what only watches the connection, such as ping.
    fn keeps_alive(&self) -> bool {
        true
    }

    /// How many streams it serves at once, if it is not told otherwise when it is added.
    fn limits(&self) -> HandlerLimits {
        HandlerLimits::default()
    }

    /// Called once for every new connection. Does nothing by default; runs beside the streams.
    async fn connected(&self, _session: Arc<dyn Session>) {}
}

/// How many streams of peers a handler serves at once, all of its protocol ids together; more are reset. A stream counts
/// until [`ProtocolHandler::serve`] has returned, also if the stream or its connection has ended before. `None` is no
/// limit of the handler's: those of the connection and of the node remain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandlerLimits {
    /// On one connection.
    pub per_connection: Option<u32>,
    /// Of one peer.
    pub per_peer: Option<u32>,
    /// Of all peers.
    pub total: Option<u32>,
}

/// A stream with its protocol agreed on.
pub trait NegotiatedStream: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin + 'static {
    /// Ends both directions at once with a code.
    fn reset(&mut self, code: Code);
    /// Asks the peer to send no more.
    fn stop_reading(&mut self, code: Code);
}

impl<T: MuxedStream + ?Sized> NegotiatedStream for Box<T> {
    fn reset(&mut self, code: Code) {
        MuxedStream::reset(&mut **self, code);
    }
    fn stop_reading(&mut self, code: Code) {
        MuxedStream::stop_reading(&mut **self, code);
    }
}

/// A stream that a peer opened, and on what it came.
#[derive(Debug)]
#[non_exhaustive]
pub struct InboundStream {
    /// The stream.
    pub stream: Box<dyn NegotiatedStream>,
    /// The protocol id that was agreed on.
    pub protocol: String,
    /// The connection it came on.
    pub session: Arc<dyn Session>,
}

impl InboundStream {
    /// A stream with its surroundings.
    pub fn new(stream: Box<dyn NegotiatedStream>, protocol: String, session: Arc<dyn Session>) -> Self {
        Self { stream, protocol, session }
    }
}

/// An established connection, as protocol handlers see it.
#[async_trait]
pub trait Session: fmt::Debug + Send + Sync + 'static {
    /// Unique within the node's life.
    fn id(&self) -> u64;
    /// Who is at the other end.
    fn peer(&self) -> PeerId;
    /// The peer's key, as it proved it.
    fn peer_key(&self) -> PublicKey;
    /// Which side this node is, and the two ends' addresses, from the socket: `(role, local, remote)`.
    fn ends(&self) -> (Role, Multiaddr, Multiaddr);
    /// The node.
    fn node(&self) -> Arc<dyn NodeView>;
    /// Keeps what the peer says about itself, for whoever asks the connection later.
    fn set_peer_info(&self, info: PeerInfo);
    /// Opens a stream for the first of `protocols` that the peer takes.
    ///
    /// # Errors
    /// [`ProtocolError`] if the connection has ended or the peer takes none of them.
    async fn open(&self, protocols: &[String]) -> Result<Box<dyn NegotiatedStream>, ProtocolError>;
}

/// What a peer says about itself (identify). Text is as sent: escape it before showing it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerInfo {
    /// The program, such as `kubo/0.30.0`.
    pub agent_version: String,
    /// The protocol family, such as `ipfs/0.1.0`.
    pub protocol_version: String,
    /// The protocols it serves.
    pub protocols: Vec<String>,
    /// The addresses it listens on.
    pub listen_addrs: Vec<Multiaddr>,
    /// This node's address, as the peer sees it.
    pub observed_addr: Option<Multiaddr>,
    /// The record that the peer signed, if it sent one and it is its own.
    pub record: Option<SignedRecord>,
    /// Anything else, by name.
    pub extra: BTreeMap<String, String>,
}

layer_error! {
    /// A stream that could not be served or opened.
    ProtocolError,
    /// What went wrong on a stream.
    ProtocolErrorKind {
        /// The peer serves none of the protocols.
        NotSupported => "protocol_not_supported", Remote, Permanent, "the peer does not serve the protocol",
            "ask the peer what it serves (identify)";
        /// The message is not as the protocol says.
        Malformed => "malformed_message", Remote, Permanent, "the peer's message is malformed",
            "the peer breaks the protocol; report it to its authors";
        /// The message is larger than allowed.
        TooLarge => "message_too_large", Remote, Permanent, "the peer's message is too large",
            "the peer breaks the protocol; report it to its authors";
        /// The stream or its connection broke.
        Io => "stream_io", Network, Soon, "the stream broke",
            "see the cause; open another stream";
        /// No answer in time.
        TimedOut => "stream_timed_out", Network, Later, "no answer in time",
            "the peer may be busy or gone";
        /// No protocol was proposed, or one whose id cannot be.
        BadProposal => "bad_proposal", Local, Permanent, "the proposal is none",
            "propose at least one protocol id; an id begins with `/` and holds no line break";
        /// A limit of this node.
        Limit => "stream_limit", Local, Later, "a stream limit is reached",
            "close streams that are done, or raise the limit";
    }
}

impl From<std::io::Error> for ProtocolError {
    fn from(error: std::io::Error) -> Self {
        Self::new(ProtocolErrorKind::Io, "").with_source(error)
    }
}
