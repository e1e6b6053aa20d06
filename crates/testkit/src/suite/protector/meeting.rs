//! Two nodes that meet on a link, and what a node hears of whomever it meets.

use super::Fixture;
use crate::{
    duplex::{DuplexConfig, Wire, wiretap},
    harness::{Broken, During},
};
use futures::future::{join, try_join};
use skep_api::{
    BoxIo,
    error::{Kind, chain},
    protector::{Protector, ProtectorError, ProtectorErrorKind},
    security::Role,
};
use std::{fmt, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    time::timeout,
};

/// What the inside of every link begins with.
pub(super) const HEADER: &[u8] = b"\x13/multistream/1.0.0\n";

/// When an end that waits for more bytes counts as waiting for ever. On paused time it costs nothing.
pub(super) const GIVE_UP: Duration = Duration::from_secs(5);

pub(super) const ROLES: [Role; 2] = [Role::Dialer, Role::Listener];

/// The link of two members, both of which have said the header and nothing else.
pub(super) struct Pair {
    pub(super) dialer: BoxIo,
    pub(super) listener: BoxIo,
    pub(super) wire: Wire,
}

impl Pair {
    pub(super) async fn new(fixture: &Fixture, config: DuplexConfig) -> Result<Self, Broken> {
        Self::of(&*fixture.ours(), config).await
    }

    pub(super) async fn of(network: &dyn Protector, config: DuplexConfig) -> Result<Self, Broken> {
        let (a, b, wire) = wiretap(config);
        let dialer = async {
            let mut io = network.protect(a, Role::Dialer).await.during("protect as dialler")?;
            say(&mut io, HEADER).await?;
            Ok::<_, Broken>(io)
        };
        let listener = async {
            let mut io = network.protect(b, Role::Listener).await.during("protect as listener")?;
            say(&mut io, HEADER).await?;
            Ok(io)
        };
        let (mut dialer, mut listener) = try_join(dialer, listener).await?;
        for io in [&mut dialer, &mut listener] {
            let mut heard = vec![0; HEADER.len()];
            io.read_exact(&mut heard).await.during("read the header of a member")?;
            if heard != HEADER {
                return Err(Broken(format!("{heard:?} arrived instead of the header")));
            }
        }
        Ok(Self { dialer, listener, wire })
    }
}

/// What a node heard of its peer, and how that ended.
pub(super) struct Heard {
    pub(super) bytes: Vec<u8>,
    pub(super) end: End,
}

/// How it ended.
pub(super) enum End {
    /// In an error of the contract, also one within an I/O error.
    Refused(ProtectorErrorKind, String),
    /// In another I/O error.
    Failed(std::io::Error),
    /// In an end of file.
    Eof,
    /// Not at all: it waits.
    Waits,
}

impl End {
    pub(super) fn is_wrong_network(&self) -> bool {
        matches!(self, Self::Refused(ProtectorErrorKind::WrongNetwork, _))
    }

    pub(super) fn is_error(&self) -> bool {
        matches!(self, Self::Refused(..) | Self::Failed(_))
    }

    /// All that it says of itself.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Refused(_, text) => text.clone(),
            Self::Failed(error) => format!("{error:?} {error}"),
            Self::Eof | Self::Waits => String::new(),
        }
    }

    fn of(error: &ProtectorError) -> Self {
        Self::Refused(error.kind(), format!("{} {error:?} {error:#?}", chain(error)))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(kind, _) => write!(f, "the error `{}`", kind.code()),
            Self::Failed(error) => write!(f, "an I/O error without one of the contract: {error}"),
            Self::Eof => f.write_str("a plain end of file"),
            Self::Waits => f.write_str("a wait without end"),
        }
    }
}

/// The halves of a link, which stays open as long as they are kept.
pub(super) type Halves = (ReadHalf<BoxIo>, WriteHalf<BoxIo>);

/// Protects a link, says the header on it, and meanwhile listens up to so many bytes.
pub(super) async fn meet(
    node: &dyn Protector,
    io: BoxIo,
    role: Role,
    most: usize,
) -> (Heard, Option<Halves>) {
    let io = match timeout(GIVE_UP, node.protect(io, role)).await {
        Ok(Ok(io)) => io,
        Ok(Err(error)) => return (Heard { bytes: Vec::new(), end: End::of(&error) }, None),
        Err(_) => return (Heard { bytes: Vec::new(), end: End::Waits }, None),
    };
    let (mut reads, mut writes) = tokio::io::split(io);
    // A failure shows when the stream is read as well.
    let says = timeout(GIVE_UP, async {
        writes.write_all(HEADER).await?;
        writes.flush().await
    });
    let (_, heard) = join(says, hear(&mut reads, most)).await;
    (heard, Some((reads, writes)))
}

async fn hear(io: &mut ReadHalf<BoxIo>, most: usize) -> Heard {
    let mut bytes = Vec::new();
    while bytes.len() < most {
        let mut chunk = [0; 256];
        let end = match timeout(GIVE_UP, io.read(&mut chunk)).await {
            Ok(Ok(0)) => End::Eof,
            Ok(Ok(count)) => {
                bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
                continue;
            }
            Ok(Err(error)) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(inner) => End::of(inner),
                None => End::Failed(error),
            },
            Err(_) => End::Waits,
        };
        return Heard { bytes, end };
    }
    Heard { bytes, end: End::Waits }
}

/// Lets two nodes of one network meet on a wire that somebody has a hand on. What each heard, the dialler first. Bytes
/// come one by one, so that a node which passes them on too early is seen to.
pub(super) async fn meet_on(network: &dyn Protector, hand: impl FnOnce(&Wire)) -> (Heard, Heard) {
    let (a, b, wire) = wiretap(DuplexConfig::default().with_capacity(1));
    hand(&wire);
    let (dialer, listener) =
        join(meet(network, a, Role::Dialer, HEADER.len()), meet(network, b, Role::Listener, HEADER.len()))
            .await;
    (dialer.0, listener.0)
}

pub(super) async fn say(io: &mut BoxIo, text: &[u8]) -> Result<(), Broken> {
    io.write_all(text).await.during("write")?;
    io.flush().await.during("flush")
}
