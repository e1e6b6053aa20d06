//! A byte stream with a tap: every read and write is put to it before, and told to it after.

use super::{
    below::Below,
    end::Watch,
    hooks::{Event, Flow, PerFlow, Tap, Verdict},
};
use crate::injected::Injected;
use skep_api::{Code, muxer::MuxedStream, stream::StreamError};
use std::{
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
    /// The end of the connection that a stream is on, which outlives what is swallowed.
    watch: Option<Watch>,
    /// The end of file was told to the tap.
    ended: bool,
}

impl<S: Below, T: Tap> Tapped<S, T> {
    pub(super) fn new(inner: S, tap: T) -> Self {
        Self { inner, tap, broken: None, swallows: PerFlow::default(), watch: None, ended: false }
    }

    pub(super) fn watching(self, watch: Watch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    fn check(&self) -> io::Result<()> {
        self.broken.as_ref().map_or(Ok(()), |why| Err(S::cut_error(why)))
    }

    fn cut(&mut self, why: Injected) -> io::Error {
        self.inner.cut();
        let error = S::cut_error(&why);
        self.broken = Some(why);
        self.failed(error)
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
            Err(error) => Poll::Ready(Err(self.failed(error))),
        }
    }

    /// Throws away what comes. The reader hears of nothing any more, not even of an end, but of that of the connection.
    fn discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 4_096];
        for _ in 0..DISCARDS {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                Poll::Ready(Err(error)) if S::is_over(&error) => return Poll::Ready(Err(self.failed(error))),
                _ => {
                    let Some(watch) = &mut self.watch else { return Poll::Pending };
                    let error = ready!(watch.poll(cx));
                    return Poll::Ready(Err(self.failed(error)));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn failed(&mut self, error: impl Into<io::Error>) -> io::Error {
        let error = error.into();
        self.tap.happened(Event::Failed(&error));
        error
    }

    /// Throws away what is written, as if it were sent, until there is nothing any more that it could be sent on.
    fn swallow(&mut self, count: usize) -> io::Result<usize> {
        self.swallows.sent = true;
        let error: Option<StreamError> = self.watch.as_mut().and_then(|watch| watch.error(Flow::Sent));
        error.map_or(Ok(count), |error| Err(self.failed(error)))
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
            Verdict::Swallow => Poll::Ready(self.swallow(bytes.len())),
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
            Verdict::Swallow => Poll::Ready(this.swallow(wanted)),
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
            return Poll::Ready(this.swallow(0).map(drop));
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
        if let Some(watch) = &mut self.watch {
            for flow in Flow::ALL {
                watch.reset(flow, code);
            }
        }
        self.tap.happened(Event::Reset(code));
    }

    fn stop_reading(&mut self, code: Code) {
        self.inner.stop_reading(code);
        if let Some(watch) = &mut self.watch {
            watch.reset(Flow::Received, code);
        }
        self.tap.happened(Event::StoppedReading(code));
    }
}
