//! How connections end.

use super::{
    Fixture,
    pair::{Pair, STUCK, ending, hear_all, say, stream_error, text},
};
use crate::{
    duplex::DuplexConfig,
    harness::{During, Outcome, broken, ensure},
};
use skep_api::{CloseReason, Code, Side, stream::StreamError};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

/// C4. `close` returns, both drivers end, and the peer has the code or none, never another one.
pub async fn c4_close_is_told_with_its_code(fixture: Fixture) -> Outcome {
    let mut pair = Pair::new(&fixture);
    let _streams = pair.stream().await?;
    let closed = timeout(STUCK, pair.dialer.conn.close(Code::SHUTDOWN)).await;
    ensure!(closed.is_ok(), "`close` does not return");
    match pair.dialer.reason().await? {
        CloseReason::Closed { by: Side::Local, code: Code::SHUTDOWN, .. } => {}
        other => return broken(format!("the end that closed says: {other}")),
    }
    match pair.listener.reason().await? {
        CloseReason::Closed { by: Side::Remote, code: Code::SHUTDOWN | Code::UNKNOWN, .. } => Ok(()),
        other => broken(format!("the peer of the end that closed with `shutdown` says: {other}")),
    }
}

/// C4. What streams had finished writing before `close` arrives.
pub async fn c4_close_sends_what_was_finished(fixture: Fixture) -> Outcome {
    let pair = Pair::over(&fixture, DuplexConfig::default().with_latency(Duration::from_millis(5)));
    let (mut ours, mut theirs) = pair.stream().await?;
    let sent = text(100_000);
    ours.write_all(&sent).await.during("write")?;
    ours.shutdown().await.during("shutdown")?;
    let closed = timeout(STUCK, pair.dialer.conn.close(Code::NONE)).await;
    ensure!(closed.is_ok(), "`close` does not return");
    let heard = hear_all(&mut theirs).await?;
    ensure!(heard == sent, "{} of {} bytes were delivered before the close", heard.len(), sent.len());
    Ok(())
}

/// C5. When the wire breaks, drivers return, and waiting reads, writes, accepts and opens fail at both ends.
pub async fn c5_a_lost_connection_ends_everything(fixture: Fixture) -> Outcome {
    let mut pair = Pair::new(&fixture);
    let (mut ours, theirs) = pair.stream().await?;
    let conn = pair.listener.conn.clone();
    let waiting = tokio::spawn(async move { conn.accept().await.is_err() });
    let (mut reads, mut writes) = tokio::io::split(theirs);
    let reading = tokio::spawn(async move { reads.read(&mut [0]).await });
    tokio::task::yield_now().await;
    pair.wire.lose();
    for end in [&mut pair.dialer, &mut pair.listener] {
        let reason = end.reason().await?;
        ensure!(matches!(reason, CloseReason::Lost { .. }), "the wire broke, and the reason is: {reason}");
        let opened = timeout(STUCK, end.conn.open()).await.during("`open` on an ended connection waits")?;
        ensure!(opened.is_err(), "a stream was opened on an ended connection");
        let accepted =
            timeout(STUCK, end.conn.accept()).await.during("`accept` on an ended connection waits")?;
        ensure!(accepted.is_err(), "a stream was accepted on an ended connection");
        let closed = timeout(STUCK, end.conn.close(Code::NONE)).await;
        ensure!(closed.is_ok(), "`close` on an ended connection does not return");
    }
    let accept_failed =
        timeout(STUCK, waiting).await.during("a waiting `accept` goes on")?.during("accept")?;
    ensure!(accept_failed, "a waiting `accept` gave a stream of an ended connection");
    match timeout(STUCK, reading).await.during("a waiting read goes on")?.during("read")? {
        Err(e) => is_lost(&stream_error(&e)?)?,
        Ok(_) => return broken("a waiting read took the loss of the connection for the end of file"),
    }
    for write in [ours.write(b"x").await, writes.write(b"x").await] {
        match write {
            Err(e) => is_lost(&stream_error(&e)?)?,
            Ok(n) => return broken(format!("{n} bytes were taken for an ended connection")),
        }
    }
    Ok(())
}

/// C5. Data that had arrived before the loss is read first, and then the loss shows.
pub async fn c5_data_that_had_arrived_is_read_first(fixture: Fixture) -> Outcome {
    let mut pair = Pair::new(&fixture);
    let (mut ours, mut theirs) = pair.stream().await?;
    say(&mut ours, b"last words").await?;
    // On paused time this lets both drivers do all they can.
    sleep(Duration::from_secs(1)).await;
    pair.wire.lose();
    pair.listener.reason().await?;
    let mut heard = [0; 10];
    theirs.read_exact(&mut heard).await.during("data that had arrived before the loss")?;
    ensure!(&heard == b"last words", "{heard:?} was read");
    match ending(&mut theirs).await? {
        Some(error) => is_lost(&error),
        None => broken("the loss of the connection was taken for the end of file"),
    }
}

/// Dropping the driver cuts the connection off: both ends learn it.
pub async fn c5_dropping_the_driver_ends_the_connection(fixture: Fixture) -> Outcome {
    let mut pair = Pair::new(&fixture);
    let (mut ours, mut theirs) = pair.stream().await?;
    pair.dialer.driver.abort();
    pair.listener.reason().await?;
    for stream in [&mut ours, &mut theirs] {
        match ending(stream).await? {
            Some(error) => is_lost(&error)?,
            None => return broken("the end of the connection was taken for the end of file"),
        }
    }
    let opened = timeout(STUCK, pair.dialer.conn.open()).await.during("`open` without a driver waits")?;
    ensure!(opened.is_err(), "a stream was opened without a driver");
    Ok(())
}

fn is_lost(error: &StreamError) -> Outcome {
    match error {
        StreamError::ConnectionLost(_) => Ok(()),
        other => broken(format!("the connection ended, and the stream says: {other:?}")),
    }
}
