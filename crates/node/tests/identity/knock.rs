//! What a bad peer does after its handshake, as if it had been let in: it asks to be served.

use crate::honest::{ANSWER, PROTOCOL};
use skep::api::{BoxIo, ConfigSection, security::Role};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The multiplexer of all nodes here.
pub(crate) const YAMUX: &str = "/yamux/1.0.0";

/// How far a bad peer came.
#[derive(Debug)]
pub(crate) enum Reached {
    /// It heard the answer of a handler.
    Served,
    /// It was stopped before, and so it learned of it.
    Stopped(String),
}

impl Reached {
    /// Stopped by this.
    pub(crate) fn stopped(by: impl std::fmt::Debug) -> Self {
        Self::Stopped(format!("{by:?}"))
    }
}

/// Over a byte stream on which both ends have agreed on yamux.
pub(crate) async fn over(io: BoxIo, role: Role) -> Reached {
    let cx = skep_testkit::build_cx();
    let yamux = (skep::muxer_yamux::PLUGIN.build)(&ConfigSection::empty("muxer.yamux"), &cx).unwrap();
    let muxed = yamux.mux(io, role);
    let ask = async {
        match muxed.conn.open().await {
            Ok(stream) => on(stream).await,
            Err(e) => Reached::stopped(e),
        }
    };
    tokio::select! {
        biased;
        reached = ask => reached,
        reason = muxed.driver => Reached::stopped(reason),
    }
}

/// On a stream that was just opened.
pub(crate) async fn on(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Reached {
    let mut asking = b"\x13/multistream/1.0.0\n".to_vec();
    asking.push(u8::try_from(PROTOCOL.len() + 1).unwrap());
    asking.extend_from_slice(PROTOCOL.as_bytes());
    asking.push(b'\n');
    let mut answer = Vec::new();
    let asked = async {
        stream.write_all(&asking).await?;
        stream.shutdown().await?;
        stream.read_to_end(&mut answer).await
    };
    match asked.await {
        Ok(_) if answer.ends_with(ANSWER) => Reached::Served,
        Ok(_) => Reached::stopped(answer),
        Err(e) => Reached::stopped(e),
    }
}
