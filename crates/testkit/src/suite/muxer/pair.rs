//! Two ends of one multiplexed connection.

use super::Fixture;
use crate::{
    duplex::{DuplexConfig, Wire, wiretap},
    harness::{Broken, During, broken},
};
use futures::future::try_join;
use skep_api::{
    BoxIo, CloseReason,
    muxer::{Muxed, MuxedConn, MuxedStream},
    security::Role,
    stream::StreamError,
};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::timeout,
};

/// A stream of the muxer under test.
pub(super) type Stream = Box<dyn MuxedStream>;

/// After this long without progress something is taken to be stuck. On paused time it costs nothing.
pub(super) const STUCK: Duration = Duration::from_secs(2);

/// One end, its driver in a task.
pub(super) struct End {
    pub(super) conn: Arc<dyn MuxedConn>,
    pub(super) driver: JoinHandle<CloseReason>,
}

impl End {
    pub(super) fn new(fixture: &Fixture, io: BoxIo, role: Role) -> Self {
        let Muxed { conn, driver } = (fixture.build)().mux(io, role);
        Self { conn, driver: tokio::spawn(driver) }
    }

    pub(super) async fn open(&self) -> Result<Stream, Broken> {
        self.conn.open().await.during("open a stream")
    }

    pub(super) async fn accept(&self) -> Result<Stream, Broken> {
        self.conn.accept().await.during("accept a stream")
    }

    /// Why the connection ended, once it has.
    pub(super) async fn reason(&mut self) -> Result<CloseReason, Broken> {
        match timeout(STUCK.saturating_mul(4), &mut self.driver).await {
            Ok(reason) => reason.during("the driver did not return a reason"),
            Err(_) => broken("the driver goes on although the connection has ended"),
        }
    }
}

/// Both ends and the wire between them.
pub(super) struct Pair {
    pub(super) dialer: End,
    pub(super) listener: End,
    pub(super) wire: Wire,
}

impl Pair {
    pub(super) fn new(fixture: &Fixture) -> Self {
        Self::over(fixture, DuplexConfig::default())
    }

    pub(super) fn over(fixture: &Fixture, config: DuplexConfig) -> Self {
        let (a, b, wire) = wiretap(config);
        let dialer = End::new(fixture, a, Role::Dialer);
        let listener = End::new(fixture, b, Role::Listener);
        Self { dialer, listener, wire }
    }

    /// One stream, opened by the dialler, on which one byte went each way.
    pub(super) async fn stream(&self) -> Result<(Stream, Stream), Broken> {
        let open = async {
            let mut stream = self.dialer.open().await?;
            say(&mut stream, b"?").await?;
            hear(&mut stream, b"!").await?;
            Ok(stream)
        };
        let accept = async {
            let mut stream = self.listener.accept().await?;
            hear(&mut stream, b"?").await?;
            say(&mut stream, b"!").await?;
            Ok(stream)
        };
        try_join(open, accept).await
    }
}

pub(super) async fn say(stream: &mut Stream, text: &[u8]) -> Result<(), Broken> {
    stream.write_all(text).await.during("write")?;
    stream.flush().await.during("flush")
}

pub(super) async fn hear(stream: &mut Stream, text: &[u8]) -> Result<(), Broken> {
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard).await.during("read")?;
    if heard == text { Ok(()) } else { broken(format!("{} bytes arrived changed", text.len())) }
}

/// Everything up to the end of file.
pub(super) async fn hear_all(stream: &mut Stream) -> Result<Vec<u8>, Broken> {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.during("read to the end")?;
    Ok(heard)
}

/// So many bytes in a pattern that shows a shift.
pub(super) fn text(len: usize) -> Vec<u8> {
    (0..=250_u8).cycle().take(len).collect()
}

/// How a stream ends that is read on: `None` is the end of file.
pub(super) async fn ending(stream: &mut Stream) -> Result<Option<StreamError>, Broken> {
    let end = timeout(STUCK, stream.read_to_end(&mut Vec::new())).await;
    match end.during("a read that should end goes on")? {
        Ok(_) => Ok(None),
        Err(e) => stream_error(&e).map(Some),
    }
}

/// The stream error within an I/O error.
pub(super) fn stream_error(error: &io::Error) -> Result<StreamError, Broken> {
    match StreamError::of(error) {
        Some(error) => Ok(error.clone()),
        None => broken(format!("an I/O error without a StreamError in it: {error:?}")),
    }
}

/// Writes until nothing is taken any more, at most so many bytes; returns how many were.
pub(super) async fn fill(stream: &mut Stream, most: usize) -> usize {
    let chunk = [7; 16 * 1024];
    let mut taken = 0_usize;
    while taken < most {
        match timeout(STUCK, stream.write(&chunk)).await {
            Ok(Ok(n)) if n > 0 => taken = taken.saturating_add(n),
            _ => break,
        }
    }
    taken
}
