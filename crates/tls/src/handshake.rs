//! Runs a handshake over a byte stream, and hands over the keys that come out of it.
//!
//! rustls gets one whole record at a time. So it never sees what follows the handshake, which is opened under the new
//! keys by [`crate::record`].

use crate::{
    error::handshake_error,
    record::{HEADER_LEN, MAX_SEALED_LEN, Opener, Sealer},
    secrets::Secrets,
};
use rustls::{
    ClientConfig, Error, ServerConfig,
    client::UnbufferedClientConnection,
    pki_types::ServerName,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, EncodeError, InsufficientSizeError, UnbufferedStatus},
};
use skep_api::{
    BoxIo,
    security::{SecurityError, SecurityErrorKind},
};
use std::{future::poll_fn, io, pin::Pin, sync::Arc, task::Poll};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Most bytes of a peer's handshake, all of its messages together. A peer of libp2p needs about one KiB, a server of
/// the web with its chain of certificates four or five.
pub(crate) const MAX_HANDSHAKE_LEN: usize = 1 << 16;

/// Bytes that a read asks for at least: more than the messages of most handshakes.
const READ_LEN: usize = 4096;

/// A handshake that is done.
pub(crate) struct Session {
    /// The stream below.
    pub(crate) io: BoxIo,
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    pub(crate) secrets: Secrets,
    /// The application protocol that both ends agreed on.
    pub(crate) alpn: Option<Box<[u8]>>,
    /// The last flight, if this side has still to send it.
    pub(crate) unsent: Vec<u8>,
    /// What arrived behind the handshake.
    pub(crate) surplus: Vec<u8>,
}

/// A handshake that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// TLS ended it. If the reason is the peer's certificate, [`crate::Outcome`] has more to say.
    #[error(transparent)]
    Tls(#[from] Error),
    /// The stream below broke.
    #[error("the connection broke during the TLS handshake")]
    Io(#[from] io::Error),
    /// The stream below ended.
    #[error("the peer closed the connection after {received} bytes of its TLS handshake")]
    Ended {
        /// How much of it had arrived.
        received: usize,
    },
    /// The peer's messages do not come to an end.
    #[error("the peer's TLS handshake is longer than {MAX_HANDSHAKE_LEN} bytes")]
    TooLong,
}

impl From<HandshakeError> for SecurityError {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Tls(error) => handshake_error(error),
            HandshakeError::Io(error) => Self::new(SecurityErrorKind::Io, "TLS handshake").with_source(error),
            HandshakeError::Ended { .. } => Self::new(SecurityErrorKind::Io, error.to_string()),
            HandshakeError::TooLong => Self::new(SecurityErrorKind::Malformed, error.to_string()),
        }
    }
}

/// Runs it for the side that connected.
pub(crate) async fn connect(
    io: BoxIo,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<Session, HandshakeError> {
    let connection = UnbufferedClientConnection::new(config, name)?;
    run(Wire::new(io, Vec::new()), Connection::Client(connection)).await
}

/// Runs it for the side that was connected to; `first` is what has been read of it already.
pub(crate) async fn accept(
    io: BoxIo,
    first: Vec<u8>,
    config: Arc<ServerConfig>,
) -> Result<Session, HandshakeError> {
    let connection = UnbufferedServerConnection::new(config)?;
    run(Wire::new(io, first), Connection::Server(connection)).await
}

async fn run(mut wire: Wire, mut connection: Connection) -> Result<Session, HandshakeError> {
    loop {
        match connection.step(&mut wire) {
            Ok(Next::Again) => {}
            Ok(Next::Receive) => {
                wire.send().await?;
                wire.receive_record().await?;
            }
            Ok(Next::Done) => return finish(wire, connection),
            Err(error) => {
                // What is left to be encoded is the alert. No step may go beyond it: it would fail once more.
                while connection.has_output() && matches!(connection.step(&mut wire), Ok(Next::Again)) {}
                wire.say_goodbye().await;
                return Err(error.into());
            }
        }
    }
}

fn finish(wire: Wire, connection: Connection) -> Result<Session, HandshakeError> {
    let alpn = match &connection {
        Connection::Client(connection) => connection.alpn_protocol().map(Into::into),
        Connection::Server(connection) => connection.alpn_protocol().map(Into::into),
    };
    let (keys, secrets) = match connection {
        Connection::Client(connection) => {
            let (keys, kernel) = connection.dangerous_into_kernel_connection()?;
            (keys, Secrets::Client(kernel))
        }
        Connection::Server(connection) => {
            let (keys, kernel) = connection.dangerous_into_kernel_connection()?;
            (keys, Secrets::Server(kernel))
        }
    };
    let unusable = |_| Error::General("the keys of the session cannot be used".into());
    let sealer = Sealer::new(keys.tx).map_err(unusable)?;
    let opener = Opener::new(keys.rx).map_err(unusable)?;
    Ok(Session { sealer, opener, secrets, alpn, unsent: wire.outgoing, surplus: wire.incoming, io: wire.io })
}

/// Either side's connection.
enum Connection {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What a handshake needs to go on.
enum Next {
    /// Another step.
    Again,
    /// What waits is to be sent, and a record to be received.
    Receive,
    /// Nothing: it is done.
    Done,
}

impl Connection {
    /// Whether there is something to be encoded, which comes before all else.
    fn has_output(&self) -> bool {
        match self {
            Self::Client(connection) => connection.wants_write(),
            Self::Server(connection) => connection.wants_write(),
        }
    }

    /// Goes one step on with what the wire has received.
    fn step(&mut self, wire: &mut Wire) -> Result<Next, Error> {
        let visible = wire.incoming.get_mut(..wire.visible).unwrap_or_default();
        let (discard, next) = match self {
            Self::Client(connection) => advance(connection.process_tls_records(visible), &mut wire.outgoing),
            Self::Server(connection) => advance(connection.process_tls_records(visible), &mut wire.outgoing),
        };
        wire.discard(discard);
        next
    }
}

fn advance<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    outgoing: &mut Vec<u8>,
) -> (usize, Result<Next, Error>) {
    let next = status.state.and_then(|state| match state {
        ConnectionState::EncodeTlsData(mut data) => {
            encode(|room| data.encode(room), outgoing).map(|()| Next::Again)
        }
        ConnectionState::TransmitTlsData(data) => {
            // It is in `outgoing`, and goes out with whatever comes next.
            data.done();
            Ok(Next::Again)
        }
        ConnectionState::BlockedHandshake => Ok(Next::Receive),
        ConnectionState::WriteTraffic(_) => Ok(Next::Done),
        ConnectionState::PeerClosed | ConnectionState::Closed => {
            Err(Error::AlertReceived(rustls::AlertDescription::CloseNotify))
        }
        _ => Err(Error::General("data within the handshake".into())),
    });
    (status.discard, next)
}

/// Appends what `encode` makes. It says how much room it needs when it is given none.
fn encode(
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
    outgoing: &mut Vec<u8>,
) -> Result<(), Error> {
    let start = outgoing.len();
    if let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) = encode(&mut []) {
        outgoing.resize(start.saturating_add(required_size), 0);
        let room = outgoing.get_mut(start..).unwrap_or_default();
        encode(room).map_err(|_| Error::General("a handshake message could not be encoded".into()))?;
    }
    Ok(())
}

/// The bytes of a handshake on their way.
struct Wire {
    io: BoxIo,
    incoming: Vec<u8>,
    /// How much of `incoming` rustls sees: whole records.
    visible: usize,
    /// How much it has taken for good.
    consumed: usize,
    outgoing: Vec<u8>,
}

impl Wire {
    fn new(io: BoxIo, incoming: Vec<u8>) -> Self {
        Self { io, incoming, visible: 0, consumed: 0, outgoing: Vec::new() }
    }

    fn discard(&mut self, len: usize) {
        let len = len.min(self.visible);
        self.incoming.drain(..len);
        self.visible -= len;
        self.consumed = self.consumed.saturating_add(len);
    }

    /// Sends what waits.
    async fn send(&mut self) -> io::Result<()> {
        if !self.outgoing.is_empty() {
            self.io.write_all(&self.outgoing).await?;
            self.io.flush().await?;
            self.outgoing.clear();
        }
        Ok(())
    }

    /// Lets rustls see one more record, reading until it is there.
    async fn receive_record(&mut self) -> Result<(), HandshakeError> {
        loop {
            let rest = self.incoming.get(self.visible..).unwrap_or_default();
            let missing = missing(rest);
            if missing == 0 {
                self.visible = self.visible.saturating_add(record_len(rest));
                return Ok(());
            }
            let received = self.consumed.saturating_add(self.incoming.len());
            if received.saturating_add(missing) > MAX_HANDSHAKE_LEN {
                return Err(HandshakeError::TooLong);
            }
            self.incoming.reserve(missing.max(READ_LEN));
            if self.io.read_buf(&mut self.incoming).await? == 0 {
                return Err(HandshakeError::Ended { received });
            }
        }
    }

    /// Sends what waits and closes the stream, as far as that goes without waiting.
    async fn say_goodbye(&mut self) {
        poll_fn(|cx| {
            let mut rest = self.outgoing.as_slice();
            while !rest.is_empty() {
                match Pin::new(&mut self.io).poll_write(cx, rest) {
                    Poll::Ready(Ok(n)) if n > 0 => rest = rest.get(n..).unwrap_or_default(),
                    _ => return Poll::Ready(()),
                }
            }
            if let Poll::Ready(Ok(())) = Pin::new(&mut self.io).poll_flush(cx) {
                // The error that is being returned says more than one of this.
                let _ = Pin::new(&mut self.io).poll_shutdown(cx);
            }
            Poll::Ready(())
        })
        .await;
    }
}

/// How many bytes are missing for a whole record at the start, or for its header.
fn missing(bytes: &[u8]) -> usize {
    match bytes.len() {
        0..HEADER_LEN => HEADER_LEN - bytes.len(),
        len => record_len(bytes).saturating_sub(len),
    }
}

/// The length of the record at the start. What cannot be one is for rustls to refuse, as far as it is here.
fn record_len(bytes: &[u8]) -> usize {
    const CONTENT_TYPES: std::ops::RangeInclusive<u8> = 20..=23;
    match bytes {
        [content_type, 3, _, high, low, ..] if CONTENT_TYPES.contains(content_type) => {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            if len > MAX_SEALED_LEN { bytes.len() } else { HEADER_LEN + len }
        }
        _ => bytes.len(),
    }
}
