//! A byte stream with a tap: every read and write is put to it before, and told to it after.

use super::hooks::{Event, Flow, PerFlow, Tap, Verdict};
use crate::injected::{INJECTED, Injected};
use skep_api::{BoxIo, Code, Side, muxer::MuxedStream, stream::StreamError};
use std::{
    fmt::Debug,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads that are thrown away before others get their turn.
const DISCARDS: usize = 16;

/// A byte stream with a tap.
#[derive(Debug)]
pub(super) struct Tapped<S, T> {
    inner: S,
    tap: T,
    /// Set once the tap has cut the stream.
    broken: Option<Injected>,
    /// In which direction the tap swallows everything.
    swallows: PerFlow<bool>,
    /// The end of file was told to the tap.
    ended: bool,
}

/// What lies under a tap.
pub(super) trait Below: AsyncRead + AsyncWrite + Debug + Send + Unpin + 'static {
    /// Ends both directions at once.
    fn cut(&mut self);

    /// The error of a stream that was cut.
    fn cut_error(why: &Injected) -> io::Error;
}

impl Below for BoxIo {
    fn cut(&mut self) {
        // What is below sees the drop; nothing is read from what is in its place.
        *self = Box::new(tokio::io::empty());
    }

    fn cut_error(why: &Injected) -> io::Error {
        io::Error::new(io::ErrorKind::ConnectionReset, why.clone())
    }
}

impl Below for Box<dyn MuxedStream> {
    fn cut(&mut self) {
        self.reset(INJECTED);
    }

    fn cut_error(_: &Injected) -> io::Error {
        StreamError::Reset { by: Side::Local, code: INJECTED }.into()
    }
}

impl<S: Below, T: Tap> Tapped<S, T> {
    pub(super) fn new(inner: S, tap: T) -> Self {
        Self { inner, tap, broken: None, swallows: PerFlow::default(), ended: false }
    }

    fn check(&self) -> io::Result<()> {
        self.broken.as_ref().map_or(Ok(()), |why| Err(S::cut_error(why)))
    }

    fn cut(&mut self, why: Injected) -> io::Error {
        self.inner.cut();
        let error = S::cut_error(&why);
        self.broken = Some(why);
        self.tap.happened(Event::Failed(&error));
        error
    }

    /// Reads at most so many bytes, and turns bits of the first of them over.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        most: usize,
        flip: u8,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = if most >= buf.remaining() {
            Pin::new(&mut self.inner).poll_read(cx, buf)
        } else {
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
            let result = Pin::new(&mut self.inner).poll_read(cx, &mut part);
            let read = part.filled().len();
            buf.advance(read);
            result
        };
        match ready!(result) {
            Ok(()) => {
                let read = buf.filled_mut().get_mut(before..).unwrap_or_default();
                if let Some(first) = read.first_mut() {
                    *first ^= flip;
                    self.tap.passed(Flow::Received, read);
                } else if !self.ended {
                    self.ended = true;
                    self.tap.happened(Event::EndOfFile);
                }
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                self.tap.happened(Event::Failed(&error));
                Poll::Ready(Err(error))
            }
        }
    }

    /// Throws away what comes. The reader waits for ever: nothing is heard any more, not even an end.
    fn discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 4_096];
        for _ in 0..DISCARDS {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                _ => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Tells the tap how a write ended; `sent` are the slices that were written from.
    fn written(&mut self, result: &Poll<io::Result<usize>>, sent: &[IoSlice<'_>]) {
        match result {
            Poll::Ready(Ok(written)) => {
                let mut left = *written;
                for slice in sent {
                    let part = slice.get(..left.min(slice.len())).unwrap_or_default();
                    if !part.is_empty() {
                        self.tap.passed(Flow::Sent, part);
                    }
                    left = left.saturating_sub(part.len());
                }
            }
            Poll::Ready(Err(error)) => self.tap.happened(Event::Failed(error)),
            Poll::Pending => {}
        }
    }

    /// Writes one slice.
    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.written(&result, &[IoSlice::new(bytes)]);
        result
    }

    fn write_as_told(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        verdict: Verdict,
    ) -> Poll<io::Result<usize>> {
        match verdict {
            Verdict::Pass(most) => self.write(cx, bytes.get(..most).unwrap_or(bytes)),
            Verdict::Flip(bits) => self.write(cx, &[bytes.first().map_or(bits, |byte| byte ^ bits)]),
            Verdict::Swallow => {
                self.swallows.sent = true;
                Poll::Ready(Ok(bytes.len()))
            }
            Verdict::Cut(why) => Poll::Ready(Err(self.cut(why))),
        }
    }
}

impl<S: Below, T: Tap> AsyncRead for Tapped<S, T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.check()?;
        if buf.remaining() == 0 {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        if this.swallows.received {
            return this.discard(cx);
        }
        match ready!(this.tap.poll_verdict(cx, Flow::Received, buf.remaining())) {
            Verdict::Pass(most) => this.read(cx, buf, most, 0),
            Verdict::Flip(bits) => this.read(cx, buf, 1, bits),
            Verdict::Swallow => {
                this.swallows.received = true;
                this.discard(cx)
            }
            Verdict::Cut(why) => Poll::Ready(Err(this.cut(why))),
        }
    }
}

impl<S: Below, T: Tap> AsyncWrite for Tapped<S, T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.check()?;
        if bytes.is_empty() {
            return Pin::new(&mut this.inner).poll_write(cx, bytes);
        }
        let verdict = ready!(this.tap.poll_verdict(cx, Flow::Sent, bytes.len()));
        this.write_as_told(cx, bytes, verdict)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.check()?;
        let wanted = slices.iter().fold(0usize, |sum, slice| sum.saturating_add(slice.len()));
        let Some(first) = slices.iter().find(|slice| !slice.is_empty()) else {
            return Pin::new(&mut this.inner).poll_write(cx, &[]);
        };
        match ready!(this.tap.poll_verdict(cx, Flow::Sent, wanted)) {
            Verdict::Pass(most) if most >= wanted => {
                let result = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
                this.written(&result, slices);
                result
            }
            Verdict::Swallow => {
                this.swallows.sent = true;
                Poll::Ready(Ok(wanted))
            }
            verdict => this.write_as_told(cx, first, verdict),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.check()?;
        if this.swallows.sent {
            return Poll::Ready(Ok(()));
        }
        let result = ready!(Pin::new(&mut this.inner).poll_shutdown(cx));
        match &result {
            Ok(()) => this.tap.happened(Event::Finished),
            Err(error) => this.tap.happened(Event::Failed(error)),
        }
        Poll::Ready(result)
    }
}

impl<T: Tap> MuxedStream for Tapped<Box<dyn MuxedStream>, T> {
    fn id(&self) -> u64 {
        self.inner.id()
    }

    fn reset(&mut self, code: Code) {
        self.inner.reset(code);
        self.tap.happened(Event::Reset(code));
    }

    fn stop_reading(&mut self, code: Code) {
        self.inner.stop_reading(code);
        self.tap.happened(Event::StoppedReading(code));
    }
}
