//! Reading and writing.

use super::{Half, NetStream};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

impl AsyncRead for NetStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = this.read_some(cx, buf);
        this.deadlines.read.or(cx, result)
    }
}

impl NetStream {
    fn read_some(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.used = true;
        if self.read == Half::Finished {
            // It says again how reading ended, which is no end of writing. The negotiation must not see an error: it is
            // of no use after one, and a stream that is not read may never have got its answer.
            return Pin::new(&mut self.muxed).poll_read(cx, buf);
        }
        let before = buf.filled().len();
        match ready!(self.poll_io(cx, |h| &h.reader, |io, cx| io.poll_read(cx, buf))) {
            Ok(()) if buf.filled().len() == before && buf.remaining() > 0 => {
                self.read = Half::Finished;
                self.settle();
            }
            Ok(()) => {}
            Err(e) => return Poll::Ready(Err(self.unanswered(e))),
        }
        self.agree();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for NetStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.used = true;
        let result = this.poll_io(cx, |h| &h.writer, |io, cx| io.poll_write(cx, buf));
        let result = ready!(this.deadlines.write.or(cx, result));
        Poll::Ready(result.map_err(|e| this.failed(e)))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = this.poll_io(cx, |h| &h.writer, |io, cx| io.poll_flush(cx));
        let result = ready!(this.deadlines.write.or(cx, result));
        Poll::Ready(result.map_err(|e| this.failed(e)))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = this.finish_sending(cx);
        this.deadlines.write.or(cx, result)
    }
}

impl NetStream {
    fn finish_sending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // js-libp2p resets a stream whose proposal, data and end arrive together: the end waits for its answer.
        ready!(self.poll_agreed(cx))?;
        let result = ready!(self.poll_io(cx, |h| &h.writer, |io, cx| io.poll_shutdown(cx)));
        match result {
            Ok(()) => {
                self.write = Half::Finished;
                self.settle();
            }
            Err(e) => return Poll::Ready(Err(self.failed(e))),
        }
        Poll::Ready(Ok(()))
    }
}
