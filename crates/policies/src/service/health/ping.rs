//! One ping: 32 bytes that come back on a stream of their own.

use skep_api::{
    Side,
    muxer::{MuxerError, MuxerErrorKind},
    protocol::{NegotiatedStream, ProtocolError, ProtocolErrorKind},
    random::Random,
    resources::LimitExceeded,
    service::NodeControl,
    stream::StreamError,
};
use std::{error::Error, io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout, timeout_at},
};

/// Bytes of one ping.
const SIZE: usize = 32;
/// How long the end of a stream may take whose ping has come back.
const CLOSING: Duration = Duration::from_secs(1);

/// What became of a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pinged {
    /// It came back after so long.
    Answered(Duration),
    /// It did not come back for so long.
    TimedOut(Duration),
    /// The peer ended the stream instead of an answer.
    HungUp,
    /// Something else came back.
    Wrong,
    /// The stream broke.
    Broken,
    /// The peer does not serve pings.
    Refused,
    /// It says nothing of the connection: a limit of this node was against it, or the connection has ended.
    NotJudged,
}

impl Pinged {
    /// Every outcome's word, for a metric label.
    pub(super) const NAMES: [&str; 7] =
        ["answered", "timed_out", "hung_up", "wrong", "broken", "refused", "not_judged"];

    /// The stable word.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Answered(_) => "answered",
            Self::TimedOut(_) => "timed_out",
            Self::HungUp => "hung_up",
            Self::Wrong => "wrong",
            Self::Broken => "broken",
            Self::Refused => "refused",
            Self::NotJudged => "not_judged",
        }
    }
}

/// Pings the peer of a connection and closes the stream. Takes no longer than `limit`, and a second to close.
pub(super) async fn ping(
    node: &dyn NodeControl,
    connection: u64,
    protocol: &str,
    limit: Duration,
    random: &Random,
) -> Pinged {
    let deadline = Instant::now() + limit;
    let protocols = [protocol.to_string()];
    let mut stream = match timeout_at(deadline, node.open(connection, &protocols)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return not_opened(&error, limit),
        Err(_) => return Pinged::TimedOut(limit),
    };
    let pinged = match timeout_at(deadline, echo(&mut *stream, random)).await {
        Ok(Ok(pinged)) => pinged,
        Ok(Err(error)) => broken(&error),
        Err(_) => Pinged::TimedOut(limit),
    };
    if matches!(pinged, Pinged::Answered(_)) {
        // An end that does not come in time is a reset, and nothing is lost by it.
        let _ = timeout(CLOSING, stream.shutdown()).await;
    }
    pinged
}

async fn echo(stream: &mut dyn NegotiatedStream, random: &Random) -> io::Result<Pinged> {
    let (sent, mut came) = (payload(random), [0; SIZE]);
    let start = Instant::now();
    stream.write_all(&sent).await?;
    stream.flush().await?;
    stream.read_exact(&mut came).await?;
    Ok(if came == sent { Pinged::Answered(start.elapsed()) } else { Pinged::Wrong })
}

fn payload(random: &Random) -> [u8; SIZE] {
    let mut payload = [0; SIZE];
    for byte in &mut payload {
        *byte = u8::try_from(random.below(256)).unwrap_or(0);
    }
    payload
}

fn not_opened(error: &ProtocolError, limit: Duration) -> Pinged {
    let source = Error::source(error);
    let here = source.is_some_and(|source| source.is::<LimitExceeded>());
    let muxer = source.and_then(|source| source.downcast_ref::<MuxerError>());
    match error.kind() {
        ProtocolErrorKind::NotSupported => Pinged::Refused,
        ProtocolErrorKind::Limit | ProtocolErrorKind::BadProposal => Pinged::NotJudged,
        // It has waited for room that this node has not.
        ProtocolErrorKind::TimedOut if here => Pinged::NotJudged,
        ProtocolErrorKind::TimedOut => Pinged::TimedOut(limit),
        _ if muxer.is_some_and(|muxer| muxer.kind() == MuxerErrorKind::Closed) => Pinged::NotJudged,
        _ => source.and_then(|source| source.downcast_ref()).map_or(Pinged::Broken, broken),
    }
}

fn broken(error: &io::Error) -> Pinged {
    let refusal = error.get_ref().and_then(|inner| inner.downcast_ref::<ProtocolError>());
    if refusal.is_some_and(|refusal| refusal.kind() == ProtocolErrorKind::NotSupported) {
        return Pinged::Refused;
    }
    match StreamError::of(error) {
        Some(StreamError::ConnectionLost(_)) => Pinged::NotJudged,
        Some(StreamError::Reset { by: Side::Remote, .. } | StreamError::Stopped { .. }) => Pinged::HungUp,
        None if error.kind() == io::ErrorKind::UnexpectedEof => Pinged::HungUp,
        _ => Pinged::Broken,
    }
}
