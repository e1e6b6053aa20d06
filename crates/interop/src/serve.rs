//! The listening side: the four interop protocols.

use crate::pattern;
use async_trait::async_trait;
use skep::api::{
    Code,
    protocol::{InboundStream, NegotiatedStream, ProtocolError, ProtocolErrorKind, ProtocolHandler},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const ECHO: &str = "/interop/echo/1.0.0";
pub(crate) const SINK: &str = "/interop/sink/1.0.0";
pub(crate) const SOURCE: &str = "/interop/source/1.0.0";
pub(crate) const RESET: &str = "/interop/reset/1.0.0";

/// Serves all four.
#[derive(Debug)]
pub(crate) struct Interop;

#[async_trait]
impl ProtocolHandler for Interop {
    fn protocols(&self) -> Vec<String> {
        [ECHO, SINK, SOURCE, RESET].map(String::from).to_vec()
    }

    async fn serve(&self, inbound: InboundStream) -> Result<(), ProtocolError> {
        let mut stream = inbound.stream;
        match inbound.protocol.as_str() {
            ECHO => echo(&mut stream).await?,
            SINK => {
                let count = drain(&mut stream).await?;
                stream.write_all(&count.to_be_bytes()).await?;
            }
            SOURCE => {
                let count = stream.read_u64().await?;
                pattern::write(&mut stream, count)
                    .await
                    .map_err(|e| ProtocolError::new(ProtocolErrorKind::Io, "while sending").with_source(e))?;
                stream.shutdown().await?;
                // To go before the dialler has ended its side would tell it, over QUIC, that nobody reads: some take
                // that for the end of what they are sent, too.
                drain(&mut stream).await?;
                return Ok(());
            }
            _ => {
                stream.read_u8().await?;
                stream.reset(Code::DROPPED);
                return Ok(());
            }
        }
        stream.shutdown().await?;
        Ok(())
    }
}

async fn echo(stream: &mut Box<dyn NegotiatedStream>) -> std::io::Result<()> {
    let mut buf = vec![0; 64 * 1024];
    loop {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(buf.get(..n).unwrap_or_default()).await?;
        // The peer may wait for this before it sends more.
        stream.flush().await?;
    }
}

async fn drain(stream: &mut Box<dyn NegotiatedStream>) -> std::io::Result<u64> {
    let (mut buf, mut total) = (vec![0; 64 * 1024], 0_u64);
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(total),
            n => total = total.saturating_add(n as u64),
        }
    }
}
