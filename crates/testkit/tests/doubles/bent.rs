//! Streams of a right muxer, bent in one way each.

use super::muxer;
use async_trait::async_trait;
use skep_api::{CloseReason, Code, Side, protocol::NegotiatedStream, stream::StreamError};
use skep_testkit::{
    DuplexConfig,
    harness::{Broken, Clock},
    suite::streams::{Carries, Connected, Fixture, Stream, StreamEnd},
};
use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker, ready},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bend {
    AcceptWaitsForData,
    EmptyStreamsAreSkipped,
    EndedStreamsAreCounted,
    DropIsAnEnd,
    UntouchedStreamsAreFinished,
    DroppedReadersSayNothing,
    FinishEndsReading,
    TheEndIsReadOnce,
    WritesAfterTheEndVanish,
    EmptyWritesFinish,
    AByteIsLost,
    OneWakerForBoth,
    StopIsAReset,
    /// No fault of a muxer that carries no codes.
    CodesAreNotCarried,
    ResetsChangeTheCode,
    CloseIsAnEnd,
    LossIsAnEnd,
}
use Bend as B;

/// Pairs of ends whose streams are bent.
pub(crate) fn bent(bend: Bend, carries: Carries) -> Fixture {
    Fixture::new(Clock::Paused, carries, move || async move {
        let muxer = muxer::Frames(muxer::Fault::Nothing);
        let Connected { dialer, listener, cut } = Connected::over(DuplexConfig::default(), &muxer, &muxer);
        let bent = |inner| Arc::new(BentEnd { inner, bend }) as Arc<dyn StreamEnd>;
        Ok(Connected { dialer: bent(dialer), listener: bent(listener), cut })
    })
}

struct BentEnd {
    inner: Arc<dyn StreamEnd>,
    bend: Bend,
}

impl BentEnd {
    fn bend(&self, inner: Stream) -> Bent {
        let waker = Arc::new(Last(Mutex::new(Waker::noop().clone())));
        Bent {
            inner: Some(inner),
            bend: self.bend,
            waker,
            first: Vec::new(),
            read: 0,
            written: 0,
            writes: 0,
            is_finished: false,
            is_ended: false,
        }
    }
}

#[async_trait]
impl StreamEnd for BentEnd {
    async fn open(&self) -> Result<Stream, Broken> {
        Ok(Box::new(self.bend(self.inner.open().await?)))
    }

    async fn accept(&self) -> Result<Stream, Broken> {
        loop {
            let mut stream = self.bend(self.inner.accept().await?);
            if matches!(self.bend, B::AcceptWaitsForData | B::EmptyStreamsAreSkipped) {
                let mut first = [0];
                let reading = match self.bend {
                    B::AcceptWaitsForData => stream.read(&mut first).await,
                    // What is there already, or comes at once.
                    _ => tokio::time::timeout(std::time::Duration::from_millis(1), stream.read(&mut first))
                        .await
                        .unwrap_or(Ok(9)),
                };
                match reading {
                    Ok(1) => stream.first = first.to_vec(),
                    Ok(0) if self.bend == B::EmptyStreamsAreSkipped => continue,
                    _ => {}
                }
            }
            return Ok(Box::new(stream));
        }
    }

    async fn close(&self, code: Code) {
        self.inner.close(code).await;
    }

    async fn closed(&self) -> CloseReason {
        self.inner.closed().await
    }

    fn num_streams(&self) -> usize {
        self.inner.num_streams() + usize::from(self.bend == B::EndedStreamsAreCounted)
    }
}

#[derive(Debug)]
struct Bent {
    /// Gone only while it is dropped.
    inner: Option<Stream>,
    bend: Bend,
    waker: Arc<Last>,
    /// Read ahead.
    first: Vec<u8>,
    read: usize,
    written: usize,
    writes: usize,
    is_finished: bool,
    is_ended: bool,
}

/// Wakes only who asked last.
#[derive(Debug)]
struct Last(Mutex<Waker>);

impl Wake for Last {
    fn wake(self: Arc<Self>) {
        self.0.lock().unwrap().wake_by_ref();
    }
}

impl Bent {
    fn call<T>(
        &mut self,
        cx: &mut Context<'_>,
        call: impl FnOnce(Pin<&mut Stream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let inner = Pin::new(self.inner.as_mut().unwrap());
        let result = if self.bend == B::OneWakerForBoth {
            *self.waker.0.lock().unwrap() = cx.waker().clone();
            call(inner, &mut Context::from_waker(&Waker::from(Arc::clone(&self.waker))))
        } else {
            call(inner, cx)
        };
        result.map_err(|e| self.bend_error(e))
    }

    fn bend_error(&self, error: io::Error) -> io::Error {
        match StreamError::of(&error) {
            Some(StreamError::Reset { by: Side::Remote, .. }) if self.bend == B::CodesAreNotCarried => {
                StreamError::Reset { by: Side::Remote, code: Code::UNKNOWN }.into()
            }
            _ => error,
        }
    }

    fn is_end(&self, error: &io::Error) -> bool {
        match StreamError::of(error) {
            Some(StreamError::ConnectionLost(CloseReason::Closed { .. })) => self.bend == B::CloseIsAnEnd,
            Some(StreamError::ConnectionLost(_)) => self.bend == B::LossIsAnEnd,
            _ => false,
        }
    }
}

impl AsyncRead for Bent {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 || (this.bend == B::FinishEndsReading && this.is_finished) {
            return Poll::Ready(Ok(()));
        }
        if !this.first.is_empty() {
            buf.put_slice(&std::mem::take(&mut this.first));
            return Poll::Ready(Ok(()));
        }
        if this.bend == B::TheEndIsReadOnce && this.is_ended {
            return Poll::Ready(Err(StreamError::Reset { by: Side::Remote, code: Code::UNKNOWN }.into()));
        }
        let before = buf.filled().len();
        let result = ready!(this.call(cx, |inner, cx| inner.poll_read(cx, buf)));
        let n = buf.filled().len() - before;
        this.read += n;
        this.is_ended |= n == 0;
        match result {
            Err(e) if this.is_end(&e) => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

impl AsyncWrite for Bent {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.bend == B::WritesAfterTheEndVanish && this.is_finished {
            return Poll::Ready(Ok(buf.len()));
        }
        if this.bend == B::EmptyWritesFinish && buf.is_empty() {
            return this.call(cx, |inner, cx| inner.poll_shutdown(cx)).map_ok(|()| 0);
        }
        let lost = usize::from(this.bend == B::AByteIsLost && this.writes > 1_000 && buf.len() == 7);
        let n = ready!(this.call(cx, |inner, cx| inner.poll_write(cx, &buf[lost..])))?;
        this.written += n;
        this.writes += 1;
        Poll::Ready(Ok(n + lost))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().call(cx, |inner, cx| inner.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.is_finished = true;
        this.call(cx, |inner, cx| inner.poll_shutdown(cx))
    }
}

impl NegotiatedStream for Bent {
    fn reset(&mut self, code: Code) {
        let changed = if self.bend == B::ResetsChangeTheCode { Code(code.0 + 1) } else { code };
        self.inner.as_mut().unwrap().reset(changed);
    }

    fn stop_reading(&mut self, code: Code) {
        match self.bend {
            B::StopIsAReset => self.inner.as_mut().unwrap().reset(code),
            _ => self.inner.as_mut().unwrap().stop_reading(code),
        }
    }
}

impl Drop for Bent {
    fn drop(&mut self) {
        let untouched = self.read == 0 && self.written == 0;
        let finishes =
            self.bend == B::DropIsAnEnd || (self.bend == B::UntouchedStreamsAreFinished && untouched);
        let Some(mut inner) = self.inner.take() else { return };
        if finishes {
            let shutdown = pin!(tokio::io::AsyncWriteExt::shutdown(&mut inner));
            let _ = shutdown.poll(&mut Context::from_waker(Waker::noop()));
        }
        if self.bend == B::DroppedReadersSayNothing && self.read > 0 && self.written == 0 {
            std::mem::forget(inner);
        }
    }
}
