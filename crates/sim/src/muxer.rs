//! The muxer without its one look at the clock on the wall.
//!
//! The `yamux` crate asks for the round-trip time at the start of a connection and again ten seconds after each answer,
//! by a clock that does not pause: when it asks depends on how fast the simulation runs. Here its questions are not sent.
//! It waits for an answer to the first and asks no more. The signs of life that `[swarm] dead_after` asks for are pings
//! with other numbers, and pass.

use skep::api::{
    BoxIo,
    muxer::{Muxed, Muxer},
    security::Role,
};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The bytes of a header: version, kind, flags (2), stream (4), length or number (4).
const HEADER: usize = 12;

/// A muxer that asks for no round-trip times.
#[derive(Debug)]
pub(crate) struct SimMuxer(pub(crate) Arc<dyn Muxer>);

impl Muxer for SimMuxer {
    fn protocol(&self) -> &str {
        self.0.protocol()
    }

    fn mux(&self, io: BoxIo, role: Role) -> Muxed {
        self.0.mux(Box::new(Quiet { io, header: Vec::new(), ready: Vec::new(), body: 0 }), role)
    }
}

/// Lets through what is written, but for those questions.
struct Quiet {
    io: BoxIo,
    /// What has been written of a header.
    header: Vec<u8>,
    /// What is left to be sent of one.
    ready: Vec<u8>,
    /// What is still to come of the body of a frame.
    body: usize,
}

impl Quiet {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.ready.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.ready))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => drop(self.ready.drain(..sent.min(self.ready.len()))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes some of a header. How much it took.
    fn take(&mut self, buf: &[u8]) -> usize {
        let part = buf.get(..HEADER.saturating_sub(self.header.len())).unwrap_or(buf);
        self.header.extend_from_slice(part);
        if let [_, kind, _, flags, _, _, _, _, rest @ ..] = self.header.as_slice()
            && let Ok(number) = rest.try_into().map(u32::from_be_bytes)
        {
            let asks = *kind == 2 && *flags == 1 && number < 1 << 31;
            self.body = if *kind == 0 { usize::try_from(number).unwrap_or(usize::MAX) } else { 0 };
            let header = std::mem::take(&mut self.header);
            self.ready = if asks { Vec::new() } else { header };
        }
        part.len()
    }
}

impl AsyncRead for Quiet {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Quiet {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_ready(cx))?;
        if this.body == 0 {
            return Poll::Ready(Ok(this.take(buf)));
        }
        let body = buf.get(..this.body).unwrap_or(buf);
        let sent = ready!(Pin::new(&mut this.io).poll_write(cx, body))?;
        this.body = this.body.saturating_sub(sent);
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_ready(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_ready(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn frame(kind: u8, flags: u8, number: u32, body: &[u8]) -> Vec<u8> {
        [&[0, kind, 0, flags, 0, 0, 0, 1], &number.to_be_bytes()[..], body].concat()
    }

    #[tokio::test]
    async fn questions_of_the_crate_are_left_out_however_they_are_cut() {
        let question = frame(2, 1, 7, &[]);
        // A body that looks like a question, an answer to one, a sign of life that is asked for, a window, the end.
        let kept = [
            frame(0, 1, 12, &question),
            frame(2, 2, 7, &[]),
            frame(2, 1, 1 << 31, &[]),
            frame(1, 1, 0, &[]),
            frame(3, 0, 0, &[]),
        ];
        let written: Vec<u8> =
            kept.iter().flat_map(|kept| [question.clone(), kept.clone()].concat()).collect();
        for size in 1..=written.len() {
            let (near, mut far) = tokio::io::duplex(256);
            let mut quiet = Quiet { io: Box::new(near), header: Vec::new(), ready: Vec::new(), body: 0 };
            for part in written.chunks(size) {
                quiet.write_all(part).await.unwrap();
            }
            quiet.shutdown().await.unwrap();
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, kept.concat(), "{size} bytes at a time");
        }
    }
}
