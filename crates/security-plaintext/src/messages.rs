//! Messages on the wire: each is preceded by its length as an unsigned varint.
//!
//! Not a byte more is read than a message has, so that the stream below can be handed on as it is.

use crate::exchange::malformed;
use skep_api::{
    BoxIo,
    security::{MAX_KEY_LEN, SecurityError, SecurityErrorKind},
};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use unsigned_varint::{decode, encode};

/// Longest message that is read: the longest key, a peer id, and the tags and lengths of both.
const MAX_MESSAGE: usize = MAX_KEY_LEN + 128;

/// Longest varint that a length within bounds takes.
const MAX_LENGTH: usize = 2;

/// Sends a message. The caller flushes.
pub(crate) async fn send(io: &mut BoxIo, message: &[u8]) -> Result<(), SecurityError> {
    let mut buffer = encode::usize_buffer();
    let mut framed = encode::usize(message.len(), &mut buffer).to_vec();
    framed.extend(message);
    io.write_all(&framed).await.map_err(|e| broken("while sending the exchange", e))
}

/// Flushes what was sent.
pub(crate) async fn flush(io: &mut BoxIo) -> Result<(), SecurityError> {
    io.flush().await.map_err(|e| broken("while sending the exchange", e))
}

/// Receives a message.
pub(crate) async fn receive(io: &mut BoxIo) -> Result<Vec<u8>, SecurityError> {
    let len = receive_length(io).await?;
    let mut message = vec![0; len];
    io.read_exact(&mut message).await.map_err(|e| broken("while waiting for the peer's exchange", e))?;
    Ok(message)
}

async fn receive_length(io: &mut BoxIo) -> Result<usize, SecurityError> {
    let mut bytes = Vec::with_capacity(MAX_LENGTH);
    loop {
        let byte = io.read_u8().await.map_err(|e| broken("while waiting for the peer's exchange", e))?;
        bytes.push(byte);
        if decode::is_last(byte) {
            break;
        }
        if bytes.len() >= MAX_LENGTH {
            return Err(malformed(&format!("its exchange is longer than the {MAX_MESSAGE} bytes allowed")));
        }
    }
    let (len, _) = decode::usize(&bytes)
        .map_err(|e| malformed("the length of its exchange is no varint").with_source(e))?;
    if len > MAX_MESSAGE {
        let what = format!("its exchange announces {len} bytes, at most {MAX_MESSAGE} are allowed");
        return Err(malformed(&what));
    }
    Ok(len)
}

fn broken(during: &str, source: io::Error) -> SecurityError {
    SecurityError::new(SecurityErrorKind::Io, during).with_source(source)
}
