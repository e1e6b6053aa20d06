//! The one application protocol of the benchmark. The first byte of a stream says what the rest is:
//! `E` echoes until the end of the stream; `U` and a length upload so many bytes, answered by one byte;
//! `D` and a length ask for so many bytes.

use async_trait::async_trait;
use skep::api::protocol::{InboundStream, ProtocolError, ProtocolErrorKind, ProtocolHandler};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The id that all implementations negotiate.
pub(crate) const PROTOCOL: &str = "/bench/1";
/// Bytes of one read or write, where nothing else is asked for.
pub(crate) const BLOCK: usize = 64 * 1024;

/// The server's side.
#[derive(Debug)]
pub(crate) struct Bench;

#[async_trait]
impl ProtocolHandler for Bench {
    fn protocols(&self) -> Vec<String> {
        vec![PROTOCOL.into()]
    }

    async fn serve(&self, inbound: InboundStream) -> Result<(), ProtocolError> {
        let mut stream = inbound.stream;
        match stream.read_u8().await? {
            b'E' => echo(&mut stream).await?,
            b'U' => {
                let n = stream.read_u64().await?;
                read_n(&mut stream, n, BLOCK).await?;
                stream.write_u8(1).await?;
                stream.flush().await?;
            }
            b'D' => {
                let n = stream.read_u64().await?;
                write_n(&mut stream, n, BLOCK).await?;
            }
            other => {
                return Err(ProtocolError::new(ProtocolErrorKind::Malformed, format!("operation {other}")));
            }
        }
        stream.shutdown().await?;
        Ok(())
    }
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    let mut buf = vec![0; 4096];
    loop {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(buf.get(..n).unwrap_or_default()).await?;
        stream.flush().await?;
    }
}

async fn read_n<S: AsyncRead + Unpin>(stream: &mut S, total: u64, block: usize) -> io::Result<()> {
    let (mut buf, mut left) = (vec![0; block], total);
    while left > 0 {
        let want = left.min(block as u64) as usize;
        match stream.read(buf.get_mut(..want).unwrap_or_default()).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => left = left.saturating_sub(n as u64),
        }
    }
    Ok(())
}

async fn write_n<S: AsyncWrite + Unpin>(stream: &mut S, total: u64, block: usize) -> io::Result<()> {
    let (buf, mut left) = (vec![0x5a; block], total);
    while left > 0 {
        let want = left.min(block as u64) as usize;
        match stream.write(buf.get(..want).unwrap_or_default()).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => left = left.saturating_sub(n as u64),
        }
    }
    stream.flush().await
}

fn head(op: u8, n: u64) -> Vec<u8> {
    let mut head = vec![op];
    head.extend_from_slice(&n.to_be_bytes());
    head
}

/// Uploads `n` bytes and waits for the answer.
pub(crate) async fn upload<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    n: u64,
    block: usize,
) -> io::Result<()> {
    stream.write_all(&head(b'U', n)).await?;
    write_n(stream, n, block).await?;
    stream.read_u8().await?;
    end(stream).await;
    Ok(())
}

/// Downloads `n` bytes.
pub(crate) async fn download<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    n: u64,
    block: usize,
) -> io::Result<()> {
    stream.write_all(&head(b'D', n)).await?;
    stream.flush().await?;
    read_n(stream, n, block).await?;
    end(stream).await;
    Ok(())
}

/// Ends the sending side. The server has answered in full: it may have gone, which over QUIC says that nobody reads.
async fn end<S: AsyncWrite + Unpin>(stream: &mut S) {
    let _ = stream.shutdown().await;
}

/// One byte there and back on a fresh stream, which then echoes.
pub(crate) async fn first_echo<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    stream.write_all(b"Ex").await?;
    stream.flush().await?;
    if stream.read_u8().await? == b'x' { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
