//! How a link opens, carries bytes, and ends.

use super::{
    Fixture,
    meeting::{GIVE_UP, HEADER, Pair, say},
};
use crate::{
    duplex::{DuplexConfig, duplex},
    harness::{During, Outcome, broken, ensure},
};
use futures::future::{try_join, try_join4};
use skep_api::{BoxIo, security::Role};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf},
    time::timeout,
};

/// P4. `protect` of a dialler is done though the peer says nothing and takes nothing.
pub async fn p4_a_dialler_waits_for_nothing(fixture: Fixture) -> Outcome {
    let (io, _peer) = duplex(DuplexConfig::default().with_capacity(0));
    match timeout(Duration::from_millis(1), fixture.ours().protect(io, Role::Dialer)).await {
        Ok(protected) => protected.during("protect as dialler").map(drop),
        Err(_) => broken("the dialler waits for its peer"),
    }
}

/// P4. `protect` of a dialler sends nothing, and the first data takes along what it has to say, in one write.
pub async fn p4_the_first_bytes_leave_together(fixture: Fixture) -> Outcome {
    let (io, _peer) = duplex(DuplexConfig::default());
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Counted { io, writes: Arc::clone(&writes) };
    let protected = fixture.ours().protect(Box::new(counted), Role::Dialer).await;
    let mut protected = protected.during("protect as dialler")?;
    let before = writes.load(Ordering::Relaxed);
    ensure!(before == 0, "`protect` of a dialler wrote {before} times");
    say(&mut protected, HEADER).await?;
    let after = writes.load(Ordering::Relaxed);
    ensure!(after == 1, "the first data of a dialler left in {after} writes");
    Ok(())
}

/// After one end finished, the other reads the end of file and can still write.
pub async fn the_end_of_one_direction_arrives_as_such(fixture: Fixture) -> Outcome {
    for first in [Role::Dialer, Role::Listener] {
        let pair = Pair::new(&fixture, DuplexConfig::default()).await?;
        let (mut one, mut two) = match first {
            Role::Dialer => (pair.dialer, pair.listener),
            Role::Listener => (pair.listener, pair.dialer),
        };
        one.write_all(b"last words").await.during("write")?;
        one.shutdown().await.during("shutdown")?;
        let mut heard = Vec::new();
        two.read_to_end(&mut heard).await.during("read to the peer's end")?;
        ensure!(heard == b"last words", "{heard:?} arrived before the end");
        let answer = vec![9; 100_000];
        let mut heard = Vec::new();
        let write = async {
            two.write_all(&answer).await.during("write after the peer's end")?;
            two.shutdown().await.during("shutdown")
        };
        let read = async { one.read_to_end(&mut heard).await.during("read after the own end").map(drop) };
        try_join(write, read).await?;
        ensure!(heard == answer, "{} of {} bytes arrived after the peer's end", heard.len(), answer.len());
    }
    Ok(())
}

/// Dropping `protect` of a listener, which waits for its peer, closes the link.
pub async fn dropping_protect_closes_the_link(fixture: Fixture) -> Outcome {
    let (io, mut peer) = duplex(DuplexConfig::default());
    let node = fixture.ours();
    let protected = timeout(Duration::from_secs(1), node.protect(io, Role::Listener)).await;
    ensure!(protected.is_err(), "a listener protected a link without a word of its peer");
    let end = timeout(GIVE_UP, peer.read_to_end(&mut Vec::new())).await;
    ensure!(end.is_ok(), "the link is still open after `protect` was dropped");
    Ok(())
}

/// A mebibyte goes both ways at once and arrives unchanged.
pub async fn a_mebibyte_goes_both_ways(fixture: Fixture) -> Outcome {
    both_ways(&fixture, DuplexConfig::default(), 1 << 20).await
}

/// Reads and writes that take a byte or a few at a time change nothing.
pub async fn short_reads_and_writes_change_nothing(fixture: Fixture) -> Outcome {
    both_ways(&fixture, DuplexConfig::short(1, usize::MAX), 20_000).await?;
    both_ways(&fixture, DuplexConfig::short(usize::MAX, 1), 20_000).await?;
    both_ways(&fixture, DuplexConfig::short(777, 1_000).with_capacity(1_500), 200_000).await
}

async fn both_ways(fixture: &Fixture, config: DuplexConfig, size: usize) -> Outcome {
    let pair = Pair::new(fixture, config).await?;
    let text: Vec<u8> = (0..=250_u8).cycle().take(size).collect();
    let (dialer_reads, dialer_writes) = tokio::io::split(pair.dialer);
    let (listener_reads, listener_writes) = tokio::io::split(pair.listener);
    try_join4(
        write(dialer_writes, &text),
        write(listener_writes, &text),
        read(dialer_reads, &text),
        read(listener_reads, &text),
    )
    .await
    .map(drop)
}

async fn write(mut io: WriteHalf<BoxIo>, text: &[u8]) -> Outcome {
    for piece in text.chunks(10_007) {
        io.write_all(piece).await.during("write")?;
    }
    io.flush().await.during("flush")
}

async fn read(mut io: ReadHalf<BoxIo>, text: &[u8]) -> Outcome {
    let mut heard = vec![0; text.len()];
    io.read_exact(&mut heard).await.during("read")?;
    let first = heard.iter().zip(text).position(|(a, b)| a != b);
    ensure!(first.is_none(), "of {} bytes the first wrong one is {first:?}", text.len());
    Ok(())
}

/// A stream that counts the writes which come to it.
struct Counted {
    io: BoxIo,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut this.io).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
