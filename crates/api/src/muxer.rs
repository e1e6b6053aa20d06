//! Stream multiplexers: many streams over one connection.

use crate::{BoxIo, CloseReason, Code, Multiaddr, error::layer_error, security::Role};
use async_trait::async_trait;
use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};

/// Puts a multiplexer on an authenticated byte stream.
///
/// # Obligations
///
/// * M1. `mux` does no more than set up: it sends nothing and waits for nothing. All work is done by the
///   driver of the [`Muxed`] it returns, which ends with the connection.
/// * M2. A peer that breaks the protocol ends its own connection with [`CloseReason::Violation`]: the driver
///   returns, no stream waits for ever, and nothing panics.
/// * M3. Whatever the peer does, the memory held for it is bounded: frames, unread data, streams, and the
///   replies that the protocol forces.
pub trait Muxer: fmt::Debug + Send + Sync + 'static {
    /// The multistream-select id, such as `/yamux/1.0.0`.
    fn protocol(&self) -> &str;

    /// Starts multiplexing on `io`.
    fn mux(&self, io: BoxIo, role: Role) -> Muxed;
}

/// A connection and the future that drives it.
///
/// The framework polls the driver in the one task of the connection. Dropping it cuts the connection off.
pub struct Muxed {
    /// The handle that opens, accepts and closes.
    pub conn: Arc<dyn MuxedConn>,
    /// Does the connection's work; its output says why the connection ended.
    pub driver: Pin<Box<dyn Future<Output = CloseReason> + Send>>,
}

impl fmt::Debug for Muxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Muxed").field("conn", &self.conn).finish_non_exhaustive()
    }
}

/// A connection that carries streams.
///
/// # Obligations
///
/// * C1. `open` gives a stream that can be written at once. Waiting for the peer's word is not required.
/// * C2. `accept` is cancel-safe, and gives inbound streams in the order in which they arrived.
/// * C3. Streams that the application does not accept are bounded: more are reset, or held back.
/// * C4. `close` tells the peer the code where the protocol can carry it, and returns when the driver has sent
///   what streams had finished writing before, or when the connection is gone.
/// * C5. After the end of the connection `open` and `accept` fail, and reads and writes of streams fail with
///   [`crate::stream::StreamError::ConnectionLost`], after the data that had arrived.
/// * C6. A muxer that gives a pulse answers `probe` with one: it makes the peer send something without the
///   peer's application, and at most one probe is on its way at once.
#[async_trait]
pub trait MuxedConn: fmt::Debug + Send + Sync + 'static {
    /// Opens a stream. Waits while the peer has too many of ours unanswered.
    ///
    /// # Errors
    /// [`MuxerError`] when the connection has ended or a limit is reached.
    async fn open(&self) -> Result<Box<dyn MuxedStream>, MuxerError>;

    /// The next stream that the peer opened.
    ///
    /// # Errors
    /// [`MuxerErrorKind::Closed`] after the last one.
    async fn accept(&self) -> Result<Box<dyn MuxedStream>, MuxerError>;

    /// Closes the connection in order. The caller bounds it in time by dropping the future, then the driver.
    async fn close(&self, code: Code);

    /// Streams that are open now, both directions.
    fn num_streams(&self) -> usize;

    /// When the peer was last heard, and how far away it is. `None` where the muxer cannot tell: then nobody judges
    /// whether the peer is alive.
    fn pulse(&self) -> Option<Pulse> {
        None
    }

    /// Asks the peer for a sign of life, such as the answer to a ping of the muxer. Returns at once; the answer shows
    /// in [`MuxedConn::pulse`]. Does nothing where the protocol has no word for it.
    fn probe(&self) {}

    /// Where the peer is now, where a connection can outlive a change of the peer's address; `None` where it cannot, and
    /// the link's `remote` stands.
    fn remote(&self) -> Option<Multiaddr> {
        None
    }

    /// Bytes that streams were given to send and that the link has not taken yet; 0 where the muxer cannot tell.
    fn unsent(&self) -> u64 {
        0
    }
}

/// Signs of life of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pulse {
    /// How long nothing at all has come from the peer.
    pub silent: Duration,
    /// The last round-trip time that the muxer has measured.
    pub latency: Option<Duration>,
}

impl Pulse {
    /// A peer that was heard this long ago.
    #[must_use]
    pub fn new(silent: Duration, latency: Option<Duration>) -> Self {
        Self { silent, latency }
    }
}

/// One stream. Reading and writing are tokio's; `shutdown` finishes the sending side.
///
/// # Obligations
///
/// * R1. Reading tells apart the end of file (`Ok` with no bytes), a reset and a lost connection
///   ([`crate::stream::StreamError`] inside the I/O error). How it ended stays so.
/// * R2. `shutdown` delivers all that was written before, then the end of file; reading goes on.
/// * R3. Dropping a stream whose sending side is not finished resets it; the peer does not see an end of file.
/// * R4. Dropping a stream after `shutdown` loses nothing that was written, even under a full window.
/// * R5. A stream whose reader is slow does not hold up another stream.
pub trait MuxedStream: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin + 'static {
    /// The number of the stream on its connection.
    fn id(&self) -> u64;

    /// Ends both directions at once. Data not yet sent is lost. Does nothing after the stream has ended.
    fn reset(&mut self, code: Code);

    /// Asks the peer to send no more; what arrives later is thrown away. Where the protocol has no word for it,
    /// arriving data is discarded and the peer is not told. Reads fail then, as after a reset by this node with the
    /// code. Does nothing after reading has ended.
    fn stop_reading(&mut self, code: Code);
}

layer_error! {
    /// A muxer operation that failed.
    MuxerError,
    /// What went wrong in a muxer.
    MuxerErrorKind {
        /// The two ends have no muxer in common.
        NoCommonProtocol => "no_common_muxer", Remote, Permanent, "no stream multiplexer in common",
            "link and list a muxer that the peer has (`[stack] muxers`)";
        /// The connection has ended.
        Closed => "muxer_closed", Network, Later, "the connection has ended",
            "dial the peer again";
        /// No further stream may be opened.
        TooManyStreams => "too_many_streams", Local, Later, "too many streams on the connection",
            "close streams that are done, or raise the muxer's `max_streams`";
        /// The stream broke while the muxer was negotiated.
        Io => "muxer_io", Network, Soon, "the connection broke while the muxer was negotiated",
            "the peer closed it: it may be full or refuse this node";
    }
}
