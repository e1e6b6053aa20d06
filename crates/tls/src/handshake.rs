//! Runs a handshake over a byte stream, and hands over the keys that come out of it.
//!
//! rustls gets one whole record at a time. So it never sees what follows the handshake, which is opened under the new
//! keys by [`crate::record`].

use crate::{
    error::handshake_error,
    record::{Opener, Sealer},
    secrets::Secrets,
    wire::Wire,
};
use rustls::{
    ClientConfig, CommonState, Error, HandshakeKind, ServerConfig,
    client::UnbufferedClientConnection,
    pki_types::ServerName,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, EncodeError, InsufficientSizeError, UnbufferedStatus},
};
use skep_api::{
    BoxIo,
    security::{SecurityError, SecurityErrorKind},
};
use std::{io, sync::Arc};

/// Most bytes of a peer's handshake, all of its messages together. A peer of libp2p needs about one KiB, a server of
/// the web with its chain of certificates four or five.
pub(crate) const MAX_HANDSHAKE_LEN: usize = 1 << 16;

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
            Ok(Next::Receive) => exchange(&mut wire, connection.encrypts()).await?,
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

/// Sends what waits and receives a record. A peer that is gone may have said why, so that is read even if nothing can
/// be sent any more.
async fn exchange(wire: &mut Wire, encrypted: bool) -> Result<(), HandshakeError> {
    let sent = wire.send().await;
    match (wire.receive_record(encrypted).await, sent) {
        (Err(HandshakeError::Ended { .. } | HandshakeError::Io(_)), Err(error)) => Err(error.into()),
        (received, _) => received,
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

    /// Whether the peer's next record has to be encrypted. After a retry that is not known.
    fn encrypts(&self) -> bool {
        let common: &CommonState = match self {
            Self::Client(connection) => connection,
            Self::Server(connection) => connection,
        };
        common.negotiated_cipher_suite().is_some()
            && common.handshake_kind() != Some(HandshakeKind::FullWithHelloRetryRequest)
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
