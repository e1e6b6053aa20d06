//! `ping`: is the peer there, and how far away (libp2p specs, ping/ping.md).

use async_trait::async_trait;
use skep_api::{
    config::NoConfig,
    protocol::{HandlerLimits, InboundStream, ProtocolError, ProtocolErrorKind, ProtocolHandler},
    register_protocol,
};
use std::{
    hash::{BuildHasher, RandomState},
    io,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::Instant,
};

register_protocol! {
    name: "ping",
    summary: "answers pings, and measures round-trip times",
    example: "",
    config: NoConfig,
    build: |_, _| Ok(Arc::new(Ping)),
}

/// The protocol id.
pub const PROTOCOL: &str = "/ipfs/ping/1.0.0";

/// Bytes of one ping.
const SIZE: usize = 32;

/// The handler: sends back what it gets, 32 bytes at a time.
#[derive(Clone, Copy, Debug)]
pub struct Ping;

#[async_trait]
impl ProtocolHandler for Ping {
    fn protocols(&self) -> Vec<String> {
        vec![PROTOCOL.into()]
    }

    fn limits(&self) -> HandlerLimits {
        // Peers keep one open, and some a few.
        HandlerLimits { per_peer: Some(16), ..HandlerLimits::default() }
    }

    fn keeps_alive(&self) -> bool {
        false
    }

    async fn serve(&self, inbound: InboundStream) -> Result<(), ProtocolError> {
        let mut stream = inbound.stream;
        // One payload is held at a time: a peer that does not read its echoes is not read from either.
        let mut payload = [0; SIZE];
        while read_payload(&mut stream, &mut payload).await? {
            stream.write_all(&payload).await?;
            stream.flush().await?;
        }
        stream.shutdown().await?;
        Ok(())
    }
}

/// Sends one ping and waits for its echo: the round-trip time.
///
/// May be called again on the same stream. The caller bounds it in time by dropping the future; the stream is
/// of no use then, for the late echo would answer the next ping.
///
/// # Errors
/// [`ProtocolErrorKind::Malformed`] if something else came back, [`ProtocolErrorKind::Io`] if the stream
/// ended.
pub async fn ping<S>(stream: &mut S) -> Result<Duration, ProtocolError>
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let (sent, mut echo) = (nonce(), [0; SIZE]);
    let start = Instant::now();
    stream.write_all(&sent).await?;
    stream.flush().await?;
    stream.read_exact(&mut echo).await?;
    let elapsed = start.elapsed();
    if echo == sent {
        Ok(elapsed)
    } else {
        Err(ProtocolError::new(ProtocolErrorKind::Malformed, "the echo differs from the ping"))
    }
}

/// Reads one payload; `false` if the stream ended before it.
async fn read_payload<S>(stream: &mut S, payload: &mut [u8; SIZE]) -> Result<bool, ProtocolError>
where
    S: AsyncRead + Unpin + ?Sized,
{
    let got = stream.read(payload).await?;
    if got == 0 {
        return Ok(false);
    }
    let rest = payload.get_mut(got..).unwrap_or_default();
    match stream.read_exact(rest).await {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            Err(ProtocolError::new(ProtocolErrorKind::Malformed, "the stream ended inside a ping"))
        }
        Err(e) => Err(e.into()),
    }
}

/// A payload that no earlier one equals, as far as anybody can tell. It guards against mix-ups, not against
/// attackers: a peer that wants to echo early gains nothing by guessing.
fn nonce() -> [u8; SIZE] {
    // Each `RandomState` has other keys, so each hash is another number.
    let mut nonce = [0; SIZE];
    for chunk in nonce.chunks_mut(8) {
        chunk.copy_from_slice(&RandomState::new().hash_one(SIZE).to_ne_bytes());
    }
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeSession, TestStream};

    fn served() -> (TestStream, tokio::task::JoinHandle<Result<(), ProtocolError>>) {
        let (ours, theirs) = TestStream::pair(64);
        let inbound = InboundStream::new(Box::new(theirs), PROTOCOL.into(), Arc::new(FakeSession::default()));
        (ours, tokio::spawn(async move { Ping.serve(inbound).await }))
    }

    #[tokio::test]
    async fn pings_on_one_stream_are_answered_until_it_ends() {
        let (mut stream, handler) = served();
        for _ in 0..3 {
            ping(&mut stream).await.unwrap();
        }
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        handler.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_payload_in_pieces_is_one_ping() {
        let (mut stream, handler) = served();
        for byte in 0..32u8 {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut echo = [0; SIZE];
        stream.read_exact(&mut echo).await.unwrap();
        assert!(echo.iter().copied().eq(0..32));
        drop(stream);
        handler.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_end_inside_a_ping_is_an_error() {
        let (mut stream, handler) = served();
        stream.write_all(&[7; SIZE - 1]).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(handler.await.unwrap().unwrap_err().kind(), ProtocolErrorKind::Malformed);
    }

    #[tokio::test]
    async fn a_wrong_echo_and_a_missing_one_are_told_apart() {
        let (mut ours, mut theirs) = TestStream::pair(64);
        let (result, ()) = tokio::join!(ping(&mut ours), async {
            let mut payload = [0; SIZE];
            theirs.read_exact(&mut payload).await.unwrap();
            payload[31] ^= 1;
            theirs.write_all(&payload).await.unwrap();
        });
        assert_eq!(result.unwrap_err().kind(), ProtocolErrorKind::Malformed);
        drop(theirs);
        assert_eq!(ping(&mut ours).await.unwrap_err().kind(), ProtocolErrorKind::Io);
    }

    #[test]
    fn payloads_differ() {
        assert_ne!(nonce(), nonce());
        assert_ne!(nonce()[..8], nonce()[8..16]);
    }
}
