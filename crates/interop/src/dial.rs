//! The dialling side: one connection, one operation, some streams one after another.

use crate::{
    Failure,
    args::Args,
    pattern,
    serve::{ECHO, RESET, SINK, SOURCE},
};
use serde_json::{Map, Value, json};
use skep::{
    NetStream, Swarm, SwarmConn,
    api::{Multiaddr, stream::StreamError},
    protocols::{identify, ping},
};
use std::time::Duration;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    time::Instant,
};

/// How often, and how far apart, writing is tried on a stream whose reading side has ended.
const WRITES: usize = 10;
const BETWEEN_WRITES: Duration = Duration::from_millis(50);

/// Dials and runs the operation; the result is what the line says beside `ok` and `op`.
pub(crate) async fn run(swarm: &Swarm, args: &Args) -> Result<Map<String, Value>, Failure> {
    let addr: Multiaddr = args.target.as_deref().unwrap_or_default().parse()?;
    let conn = swarm.dial_addr(&addr).await?;
    let begun = Instant::now();
    let mut line = match args.op.as_str() {
        "ping" => pings(&conn, args).await?,
        "identify" => ask(&conn).await?,
        _ => streams(&conn, args).await?,
    };
    line.insert("seconds".into(), json!(begun.elapsed().as_secs_f64()));
    Ok(line)
}

async fn pings(conn: &SwarmConn, args: &Args) -> Result<Map<String, Value>, Failure> {
    let mut stream = conn.open_stream(&[ping::PROTOCOL.into()]).await?;
    let mut total = Duration::ZERO;
    for _ in 0..args.count {
        total = total.saturating_add(ping::ping(&mut stream).await?);
    }
    stream.finish().await?;
    let mean = total.as_secs_f64() * 1e3 / args.count.max(1) as f64;
    Ok(object(json!({ "rtt_ms": mean, "count": args.count })))
}

async fn ask(conn: &SwarmConn) -> Result<Map<String, Value>, Failure> {
    // Asking checks the key against the peer id.
    let info = identify::ask(&*conn.session()).await?;
    if !info.protocols.iter().any(|p| p == ECHO) {
        return Err(Failure::Wrong(format!("{ECHO} is not among {:?}", info.protocols)));
    }
    Ok(object(json!({
        "peer_id": conn.peer().to_string(),
        "agent_version": info.agent_version,
        "protocol_version": info.protocol_version,
        "protocols": info.protocols,
        "listen_addrs": info.listen_addrs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "observed_addr": info.observed_addr.map(|a| a.to_string()),
    })))
}

async fn streams(conn: &SwarmConn, args: &Args) -> Result<Map<String, Value>, Failure> {
    let protocol = match args.op.as_str() {
        "echo" => ECHO,
        "sink" => SINK,
        "source" => SOURCE,
        "reset" => RESET,
        other => return Err(Failure::Wrong(format!("unknown operation {other}"))),
    };
    let mut ended = None;
    for _ in 0..args.count {
        let stream = conn.open_stream(&[protocol.into()]).await?;
        match protocol {
            ECHO => echo(stream, args.bytes).await?,
            SINK => sink(stream, args.bytes).await?,
            SOURCE => source(stream, args.bytes).await?,
            _ => ended = Some(reset(stream).await?),
        }
    }
    Ok(object(match ended {
        Some(ended) => json!({ "ended": ended, "count": args.count }),
        None => json!({ "bytes": args.bytes.saturating_mul(args.count), "count": args.count }),
    }))
}

async fn echo(stream: NetStream, bytes: u64) -> Result<(), Failure> {
    let (mut r, mut w) = split(stream);
    let send = async {
        pattern::write(&mut w, bytes).await?;
        w.shutdown().await?;
        Ok(())
    };
    tokio::try_join!(send, pattern::read(&mut r, bytes)).map(drop)
}

async fn sink(mut stream: NetStream, bytes: u64) -> Result<(), Failure> {
    pattern::write(&mut stream, bytes).await?;
    stream.finish().await?;
    let count = stream.read_u64().await?;
    let mut end = [0];
    if stream.read(&mut end).await? != 0 {
        return Err(Failure::Wrong("more than 8 bytes in the answer".into()));
    }
    if count == bytes {
        Ok(())
    } else {
        Err(Failure::Wrong(format!("the peer counted {count} of {bytes} bytes")))
    }
}

async fn source(mut stream: NetStream, bytes: u64) -> Result<(), Failure> {
    stream.write_u64(bytes).await?;
    match stream.finish().await {
        // It has read the number, and waits for nothing else.
        Err(e) if is_reset(&e) => {}
        finished => finished?,
    }
    pattern::read(&mut stream, bytes).await
}

/// How a stream ends that the peer resets: some implementations tell no more than that it has ended and that nobody reads.
async fn reset<S>(mut stream: S) -> Result<&'static str, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_u8(1).await?;
    stream.flush().await?;
    match stream.read(&mut [0; 64]).await {
        Err(e) if is_reset(&e) => Ok("reset"),
        Err(e) => Err(e.into()),
        Ok(0) => refused(&mut stream).await,
        Ok(_) => Err(Failure::Wrong("data on the stream, not a reset".into())),
    }
}

/// After an end: writing fails, at the latest when the peer has had time to say that it reads no more.
async fn refused<S>(stream: &mut S) -> Result<&'static str, Failure>
where
    S: AsyncWrite + Unpin,
{
    for _ in 0..WRITES {
        let written = async {
            stream.write_u8(1).await?;
            stream.flush().await
        };
        match written.await {
            Ok(()) => tokio::time::sleep(BETWEEN_WRITES).await,
            Err(e) if is_reset(&e) => return Ok("refused"),
            Err(e) => return Err(e.into()),
        }
    }
    Err(Failure::Wrong("the stream ended cleanly, without a reset".into()))
}

/// Whether the peer ended the stream, or stopped reading it, and not the connection.
fn is_reset(error: &std::io::Error) -> bool {
    matches!(StreamError::of(error), Some(StreamError::Reset { .. } | StreamError::Stopped { .. }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep::api::{Code, codes::Side};
    use std::{
        io,
        pin::Pin,
        task::{Context, Poll},
    };
    use tokio::io::ReadBuf;

    /// A stream of which reading ends in some way, and writing after some more writes.
    struct Ended {
        read: Option<StreamError>,
        write: StreamError,
        writes: usize,
    }

    impl AsyncRead for Ended {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(self.read.clone().map_or(Ok(()), |e| Err(e.into())))
        }
    }

    impl AsyncWrite for Ended {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            match self.writes.checked_sub(1) {
                Some(left) => self.writes = left,
                None => return Poll::Ready(Err(self.write.clone().into())),
            }
            Poll::Ready(Ok(buf.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn lost() -> StreamError {
        let reason = skep::api::CloseReason::local(Code::SHUTDOWN);
        StreamError::ConnectionLost(reason)
    }

    #[tokio::test(start_paused = true)]
    async fn the_ends_of_a_stream_are_told_apart() {
        let by_reset = StreamError::Reset { by: Side::Remote, code: Code::UNKNOWN };
        let stopped = StreamError::Stopped { code: Code::NONE };
        let ended = |read, write, writes| reset(Ended { read, write, writes });
        assert_eq!(ended(Some(by_reset.clone()), by_reset.clone(), 9).await.unwrap(), "reset");
        assert_eq!(ended(None, stopped.clone(), 1).await.unwrap(), "refused");
        // The peer's word may take a while.
        assert_eq!(ended(None, by_reset, WRITES).await.unwrap(), "refused");
        let error = ended(None, stopped.clone(), 1 + WRITES).await.unwrap_err();
        assert!(error.to_string().contains("ended cleanly"), "{error}");
        // A connection that is gone is neither.
        assert!(ended(Some(lost()), stopped, 9).await.is_err());
        assert!(ended(None, lost(), 1).await.is_err());
    }
}
