//! What a client offers, read before this side decides how to answer.

use crate::{
    buffer::Buffers,
    handshake::{self, HandshakeError, MAX_HANDSHAKE_LEN},
    stream::TlsStream,
    wire::read_some,
};
use rustls::{ServerConfig, server::Acceptor};
use skep_api::BoxIo;
use std::sync::Arc;

/// Bytes that a read asks for: as many as most first messages have.
const READ_LEN: usize = 2048;

/// A connection whose first message has been read and not answered.
///
/// rustls takes the first protocol of its own list that the client offers too. Whoever wants to follow the client's
/// order instead looks at the offer first.
#[derive(Debug)]
pub struct Offer {
    io: BoxIo,
    bytes: Vec<u8>,
    alpn: Vec<Vec<u8>>,
}

impl Offer {
    /// Reads a client's first message. One that is not well formed is no error yet: it offers nothing, and
    /// [`Offer::accept`] answers it with the alert that it deserves.
    ///
    /// # Errors
    /// [`HandshakeError`]; the stream is gone.
    pub async fn read(mut io: BoxIo) -> Result<Self, HandshakeError> {
        let (mut acceptor, mut bytes, mut seen) = (Acceptor::default(), Vec::new(), 0);
        loop {
            let mut rest = bytes.get(seen..).unwrap_or_default();
            while !rest.is_empty() {
                // Reading from memory does not fail: rustls takes no more of a message.
                seen += acceptor.read_tls(&mut rest).map_err(|_| HandshakeError::TooLong)?;
                match acceptor.accept() {
                    Ok(None) => {}
                    Ok(Some(accepted)) => {
                        let alpn = accepted.client_hello().alpn();
                        let alpn = alpn.into_iter().flatten().map(<[u8]>::to_vec).collect();
                        return Ok(Self { io, bytes, alpn });
                    }
                    Err(_) => return Ok(Self { io, bytes, alpn: Vec::new() }),
                }
            }
            if bytes.len() >= MAX_HANDSHAKE_LEN {
                return Err(HandshakeError::TooLong);
            }
            if read_some(&mut io, &mut bytes, READ_LEN).await? == 0 {
                return Err(HandshakeError::Ended { received: bytes.len() });
            }
        }
    }

    /// The application protocols that the client offers, best first.
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        self.alpn.iter().map(Vec::as_slice)
    }

    /// Runs the handshake.
    ///
    /// # Errors
    /// As [`TlsStream::accept`].
    pub async fn accept(
        self,
        config: Arc<ServerConfig>,
        buffers: &Buffers,
    ) -> Result<TlsStream, HandshakeError> {
        let session = handshake::accept(self.io, self.bytes, config).await?;
        TlsStream::new(session, buffers)
    }
}
