//! Reading and writing identify messages on a stream.

use super::{
    frame::{self, Frame},
    message::Identify,
};
use prost::Message;
use skep_api::{
    Code,
    protocol::{NegotiatedStream, PeerInfo, ProtocolError, ProtocolErrorKind, Session},
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// Most bytes of all messages of one exchange.
pub(super) const MAX_BYTES: usize = 64 * 1024;
/// Most messages that one exchange may be split into, as in go-libp2p.
pub(super) const MAX_MESSAGES: usize = 10;
/// How long a peer that has the answer is waited for.
const LINGER: Duration = Duration::from_secs(2);
/// A message above this goes out without its peer record, which follows in a second one. The first then fits
/// the readers that take one message of 4 KiB.
const SPLIT_ABOVE: usize = 2048;

/// Sends a message and finishes the sending side.
pub(super) async fn send(stream: &mut dyn NegotiatedStream, message: Identify) -> Result<(), ProtocolError> {
    stream.write_all(&framed(message)).await?;
    stream.shutdown().await?;
    Ok(())
}

/// Waits for the peer to end its side, too. Over QUIC a stream that is let go before tells the peer to send no more, and
/// some take that for the end of the whole stream, the answer included. A peer that does not end its side costs no
/// more than [`LINGER`].
pub(super) async fn linger(stream: &mut dyn NegotiatedStream) {
    let ended = async {
        let mut rest = [0; 64];
        // Nobody has anything to say here. Whoever says much nevertheless is not waited for.
        for _ in 0..16 {
            if !matches!(stream.read(&mut rest).await, Ok(n) if n > 0) {
                return;
            }
        }
    };
    // That the time is over is as good an end as any.
    let _ = timeout(LINGER, ended).await;
}

fn framed(mut message: Identify) -> Vec<u8> {
    let mut out = Vec::new();
    let second = if message.encoded_len() > SPLIT_ABOVE { message.signed_peer_record.take() } else { None };
    frame::put(&mut out, &message.encode_to_vec());
    if second.is_some() {
        let second = Identify { signed_peer_record: second, ..Identify::default() };
        frame::put(&mut out, &second.encode_to_vec());
    }
    out
}

/// Reads what the peer says of itself within `limit`, and checks it.
///
/// The message may come in several pieces up to the end of the stream. A peer that sent some and then goes
/// silent or breaks the stream off between two has said what it had to say.
pub(super) async fn receive(
    stream: &mut dyn NegotiatedStream,
    session: &dyn Session,
    limit: Duration,
) -> Result<PeerInfo, ProtocolError> {
    let mut received = Received::default();
    let outcome = match timeout(limit, received.read(stream)).await {
        Ok(outcome) => outcome,
        Err(_) if received.messages > 0 => Ok(()),
        Err(_) => {
            Err(ProtocolError::new(ProtocolErrorKind::TimedOut, format!("identify took more than {limit:?}")))
        }
    };
    let info = outcome.and_then(|()| received.merged.into_info(session));
    if let Err(error) = &info {
        stream.reset(match error.kind() {
            ProtocolErrorKind::Malformed | ProtocolErrorKind::TooLarge => Code::PROTOCOL_VIOLATION,
            _ => Code::NONE,
        });
    }
    info
}

/// The messages read so far, as one.
#[derive(Default)]
struct Received {
    merged: Identify,
    messages: usize,
    bytes: usize,
}

impl Received {
    async fn read(&mut self, stream: &mut dyn NegotiatedStream) -> Result<(), ProtocolError> {
        while self.messages < MAX_MESSAGES {
            match frame::read(stream, MAX_BYTES.saturating_sub(self.bytes)).await? {
                Frame::Message(bytes) => self.merge(&bytes)?,
                Frame::End(_) if self.messages > 0 => return Ok(()),
                Frame::End(None) => {
                    return Err(ProtocolError::new(
                        ProtocolErrorKind::Malformed,
                        "the stream ended without a message",
                    ));
                }
                Frame::End(Some(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn merge(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes.len());
        self.merged.merge(bytes).map_err(|e| {
            ProtocolError::new(ProtocolErrorKind::Malformed, "the identify message cannot be decoded")
                .with_source(e)
        })
    }
}
