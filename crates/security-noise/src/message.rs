//! Handshake messages on the wire: each is preceded by its length, 2 bytes big-endian.

use crate::cipher::HEADER_LEN;
use skep_api::{
    BoxIo,
    security::{SecurityError, SecurityErrorKind},
};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longest handshake message that is accepted, in bytes. The largest identity keys and a list of muxers take
/// about 3 KiB; certificate hashes, which other transports send, come on top.
const MAX_MESSAGE_LEN: usize = 16 * 1024;

/// First size of the receiving buffer, in bytes: a message with an Ed25519 identity takes about 250.
const FIRST_LEN: usize = 1024;

/// Sends and receives handshake messages, and keeps what arrives behind them.
#[derive(Debug)]
pub(crate) struct Messages {
    io: BoxIo,
    inbox: Vec<u8>,
    start: usize,
    filled: usize,
}

impl Messages {
    /// Over a stream whose next byte belongs to the handshake.
    pub(crate) fn new(io: BoxIo) -> Self {
        Self { io, inbox: vec![0; FIRST_LEN], start: 0, filled: 0 }
    }

    /// Receives message `number` of the handshake.
    pub(crate) async fn receive(&mut self, number: u8) -> Result<&[u8], SecurityError> {
        self.fill(number, HEADER_LEN).await?;
        let header = self.here().first_chunk().copied().unwrap_or_default();
        let len = usize::from(u16::from_be_bytes(header));
        if len > MAX_MESSAGE_LEN {
            let detail = format!(
                "handshake message {number} announces {len} bytes, at most {MAX_MESSAGE_LEN} are allowed"
            );
            return Err(SecurityError::new(SecurityErrorKind::Malformed, detail));
        }
        self.fill(number, HEADER_LEN + len).await?;
        let from = self.start + HEADER_LEN;
        self.start = from + len;
        Ok(self.inbox.get(from..self.start).unwrap_or_default())
    }

    /// Sends a message with its length in front.
    pub(crate) async fn send(&mut self, number: u8, framed: &[u8]) -> Result<(), SecurityError> {
        let sent = async {
            self.io.write_all(framed).await?;
            self.io.flush().await
        };
        sent.await.map_err(|e| broken(format!("while sending handshake message {number}"), e))
    }

    /// The stream, and what arrived behind the last message received.
    pub(crate) fn into_parts(mut self) -> (BoxIo, Vec<u8>) {
        self.inbox.truncate(self.filled);
        self.inbox.drain(..self.start.min(self.filled));
        (self.io, self.inbox)
    }

    /// What is here and not taken yet.
    fn here(&self) -> &[u8] {
        self.inbox.get(self.start..self.filled).unwrap_or_default()
    }

    /// Reads until `need` bytes are here; the room grows only to what a message within bounds needs.
    async fn fill(&mut self, number: u8, need: usize) -> Result<(), SecurityError> {
        let end = self.start + need;
        if end > self.inbox.len() {
            self.inbox.resize(end, 0);
        }
        while self.filled < end {
            let room = self.inbox.get_mut(self.filled..).unwrap_or_default();
            let read = self.io.read(room).await;
            let n = read.map_err(|e| broken(format!("while waiting for handshake message {number}"), e))?;
            if n == 0 {
                return Err(self.ended(number));
            }
            self.filled += n;
        }
        Ok(())
    }

    fn ended(&self, number: u8) -> SecurityError {
        let detail = match self.here().len() {
            0 => format!("the peer closed the connection before its handshake message {number}"),
            n => format!("the peer closed the connection {n} bytes into its handshake message {number}"),
        };
        broken(detail, io::ErrorKind::UnexpectedEof.into())
    }
}

fn broken(detail: String, source: io::Error) -> SecurityError {
    SecurityError::new(SecurityErrorKind::Io, detail).with_source(source)
}
