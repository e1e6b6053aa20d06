//! `perf`: how fast data goes to a peer and back (libp2p specs, perf/perf.md).
//!
//! A client says how many bytes it wants, as 8 bytes big-endian, sends whatever it likes and ends its side; then the server
//! sends so many and ends its own.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    PluginConfig, Problems,
    config::DurationText,
    protocol::{HandlerLimits, InboundStream, ProtocolError, ProtocolErrorKind, ProtocolHandler},
    register_protocol,
};
use std::{future::Future, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout},
};

register_protocol! {
    name: "perf",
    summary: "takes and sends as much data as peers like, to measure how fast it goes",
    example: "max_bytes = 1073741824\nmax_streams_per_peer = 4\nmax_streams = 16\nstall_timeout = \"30s\"",
    config: Config,
    build: |config, _| Ok(Arc::new(Perf::new(config))),
}

/// The protocol id.
pub const PROTOCOL: &str = "/perf/1.0.0";

/// Bytes of one read or write.
const BLOCK: usize = 64 * 1024;
/// What is sent.
static ZEROES: [u8; BLOCK] = [0; BLOCK];

/// The keys of `[protocol.perf]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Bytes that one stream may send, and that it may ask for, 1 to 9223372036854775807; one that wants more is reset.
    /// Default 17179869184.
    pub max_bytes: u64,
    /// Streams of one peer at once, 1 to 1000; more are reset. Default 4, 64 KiB of memory each.
    pub max_streams_per_peer: u32,
    /// Streams of all peers at once, `max_streams_per_peer` to 10000; more are reset. Default 16.
    pub max_streams: u32,
    /// How long a peer may let no byte move, be it that it sends none or that it takes none, "1s" to "1h"; then the stream
    /// is reset. Default "30s".
    pub stall_timeout: DurationText,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_bytes: 16 << 30,
            max_streams_per_peer: 4,
            max_streams: 16,
            stall_timeout: DurationText::secs(30),
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        problems.range("max_bytes", self.max_bytes, 1..=i64::MAX.unsigned_abs());
        problems.range("max_streams_per_peer", self.max_streams_per_peer.into(), 1..=1000);
        let least = self.max_streams_per_peer.clamp(1, 1000);
        problems.range("max_streams", self.max_streams.into(), least.into()..=10_000);
        if !(DurationText::secs(1)..=DurationText::secs(3_600)).contains(&self.stall_timeout) {
            let problem = format!("{} is out of range", self.stall_timeout);
            problems.add("stall_timeout", problem, "allowed: 1s to 1h");
        }
    }
}

/// The handler.
#[derive(Clone, Debug)]
pub struct Perf {
    config: Config,
}

impl Perf {
    /// A handler with these bounds.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

#[async_trait]
impl ProtocolHandler for Perf {
    fn protocols(&self) -> Vec<String> {
        vec![PROTOCOL.into()]
    }

    fn limits(&self) -> HandlerLimits {
        HandlerLimits {
            per_peer: Some(self.config.max_streams_per_peer),
            total: Some(self.config.max_streams),
            ..HandlerLimits::default()
        }
    }

    async fn serve(&self, inbound: InboundStream) -> Result<(), ProtocolError> {
        let (mut stream, most) = (inbound.stream, self.config.max_bytes);
        let patience = Patience(Some(self.config.stall_timeout));
        let wanted = patience.with(stream.read_u64()).await?;
        if wanted > most {
            return Err(too_much("asks for", wanted, most));
        }
        // Nothing is sent before the peer's end: the two ways are measured one after the other.
        receive(&mut stream, most, patience).await?;
        send(&mut stream, wanted, patience).await?;
        patience.with(stream.shutdown()).await
    }
}

/// How long a step of a measurement may take. A step moves some bytes, or is the last that waits for those before it.
#[derive(Clone, Copy, Debug)]
struct Patience(Option<DurationText>);

impl Patience {
    async fn with<T>(self, step: impl Future<Output = io::Result<T>>) -> Result<T, ProtocolError> {
        let Some(limit) = self.0 else { return Ok(step.await?) };
        let stalled = |_| {
            let what = format!("no byte has moved for {limit} (`stall_timeout`)");
            ProtocolError::new(ProtocolErrorKind::TimedOut, what)
        };
        Ok(timeout(limit.0, step).await.map_err(stalled)??)
    }
}

/// How long the two halves of a measurement took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// From the first byte of the request to the end of the sending side; what is still in buffers then is not waited for.
    pub upload: Duration,
    /// From the first byte of the request to the end of the answer.
    pub total: Duration,
}

/// Sends `upload` bytes, asks for `download` and takes them. The stream is of no use afterwards.
///
/// The caller bounds it in time by dropping the future, and the stream.
///
/// # Errors
/// [`ProtocolErrorKind::Malformed`] if another number of bytes came, [`ProtocolErrorKind::Io`] if the stream broke.
pub async fn measure<S>(stream: &mut S, upload: u64, download: u64) -> Result<Measured, ProtocolError>
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let (begun, patience) = (Instant::now(), Patience(None));
    stream.write_all(&download.to_be_bytes()).await?;
    send(stream, upload, patience).await?;
    stream.shutdown().await?;
    let uploaded = begun.elapsed();
    // One more than asked for shows a peer that sends more, without taking all of it.
    let came = receive(stream, download, patience).await?;
    if came == download {
        Ok(Measured { upload: uploaded, total: begun.elapsed() })
    } else {
        let what = format!("{came} bytes came, {download} were asked for");
        Err(ProtocolError::new(ProtocolErrorKind::Malformed, what))
    }
}

/// Sends so many bytes.
async fn send<S>(stream: &mut S, bytes: u64, patience: Patience) -> Result<(), ProtocolError>
where
    S: AsyncWrite + Unpin + ?Sized,
{
    let mut left = bytes;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let written = patience.with(stream.write(ZEROES.get(..most).unwrap_or_default())).await?;
        if written == 0 {
            return Err(io::Error::from(io::ErrorKind::WriteZero).into());
        }
        left = left.saturating_sub(written as u64);
    }
    patience.with(stream.flush()).await
}

/// Takes all bytes to the end of the stream, and says how many.
async fn receive<S>(stream: &mut S, most: u64, patience: Patience) -> Result<u64, ProtocolError>
where
    S: AsyncRead + Unpin + ?Sized,
{
    let (mut block, mut came) = (vec![0; BLOCK], 0_u64);
    loop {
        match patience.with(stream.read(&mut block)).await? {
            0 => return Ok(came),
            n => came = came.saturating_add(n as u64),
        }
        if came > most {
            return Err(too_much("sends", came, most));
        }
    }
}

fn too_much(does: &str, bytes: u64, most: u64) -> ProtocolError {
    ProtocolError::new(
        ProtocolErrorKind::TooLarge,
        format!("the peer {does} {bytes} bytes of at most {most}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeSession, TestStream};
    use tokio::{
        task::JoinHandle,
        time::{sleep, timeout},
    };

    type Served = JoinHandle<Result<(), ProtocolError>>;

    /// One end of a stream that a handler serves which takes and sends 100,000 bytes at most.
    fn served() -> (TestStream, Served) {
        let (ours, theirs) = TestStream::pair(1000);
        let inbound = InboundStream::new(Box::new(theirs), PROTOCOL.into(), Arc::new(FakeSession::default()));
        let handler = Perf::new(Config { max_bytes: 100_000, ..Config::default() });
        (ours, tokio::spawn(async move { handler.serve(inbound).await }))
    }

    #[tokio::test]
    async fn as_much_comes_as_was_asked_for_after_what_was_sent() {
        for (upload, download) in [(0, 0), (1, 1), (100_000, 0), (0, 100_000), (70_000, 90_001)] {
            let (mut stream, handler) = served();
            let measured = measure(&mut stream, upload, download).await.unwrap();
            assert!(measured.upload <= measured.total);
            handler.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn the_request_is_one_number_and_nothing_comes_before_the_end_of_the_upload() {
        let (mut stream, handler) = served();
        stream.write_all(&[0, 0, 0, 0, 0, 0, 0, 3, 9, 9]).await.unwrap();
        let mut byte = [1];
        // Whatever the handler can do by itself, it has done.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let early = futures::future::FutureExt::now_or_never(stream.read(&mut byte));
        assert!(early.is_none(), "{early:?}");
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, [0, 0, 0]);
        handler.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_wants_too_much_gets_nothing() {
        let (mut stream, handler) = served();
        stream.write_all(&100_001_u64.to_be_bytes()).await.unwrap();
        assert_eq!(handler.await.unwrap().unwrap_err().kind(), ProtocolErrorKind::TooLarge);
        let (mut stream, handler) = served();
        let sent = measure(&mut stream, u64::MAX, 0).await;
        assert_eq!(sent.unwrap_err().kind(), ProtocolErrorKind::Io);
        assert_eq!(handler.await.unwrap().unwrap_err().kind(), ProtocolErrorKind::TooLarge);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_stalls_holds_no_place_for_ever() {
        let wants_much = 100_000_u64.to_be_bytes();
        for (says, ends) in
            [(&[][..], false), (&[0; 7], false), (&[0; 8], false), (&[0; 9], false), (&wants_much, true)]
        {
            let (mut stream, handler) = served();
            stream.write_all(says).await.unwrap();
            if ends {
                // It reads nothing of what it asked for.
                stream.shutdown().await.unwrap();
            }
            let served =
                timeout(Duration::from_secs(3_600), handler).await.expect("it is waited for without an end");
            let error = served.unwrap().unwrap_err();
            assert_eq!(error.kind(), ProtocolErrorKind::TimedOut, "{says:?}: {error}");
            assert!(error.to_string().ends_with("no byte has moved for 30s (`stall_timeout`)"), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_is_served_however_slow_it_is_as_long_as_bytes_move() {
        let slowly = || sleep(Duration::from_secs(29));
        let (mut stream, handler) = served();
        slowly().await;
        stream.write_all(&3_000_u64.to_be_bytes()).await.unwrap();
        for _ in 0..5 {
            slowly().await;
            stream.write_all(&[0]).await.unwrap();
        }
        slowly().await;
        stream.shutdown().await.unwrap();
        let mut came = 0;
        while came < 3_000 {
            slowly().await;
            came += stream.read(&mut [0; 500]).await.unwrap();
        }
        handler.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_end_inside_of_the_request_is_an_error() {
        let (mut stream, handler) = served();
        stream.write_all(&[0; 7]).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(handler.await.unwrap().unwrap_err().kind(), ProtocolErrorKind::Io);
    }

    #[tokio::test]
    async fn too_little_and_too_much_in_the_answer_are_told() {
        for (comes, kind) in [(4, ProtocolErrorKind::Malformed), (6, ProtocolErrorKind::TooLarge)] {
            let (mut ours, mut theirs) = TestStream::pair(64);
            let (result, ()) = tokio::join!(measure(&mut ours, 0, 5), async {
                theirs.read_u64().await.unwrap();
                theirs.write_all(&vec![0; comes]).await.unwrap();
                theirs.shutdown().await.unwrap();
            });
            assert_eq!(result.unwrap_err().kind(), kind);
        }
    }

    #[test]
    fn streams_are_bounded() {
        let config = Config { max_streams_per_peer: 2, max_streams: 3, ..Config::default() };
        let limits = Perf::new(config).limits();
        assert_eq!((limits.per_peer, limits.total), (Some(2), Some(3)));
    }
}
