//! A muxed stream in two hands: the negotiation layer's, which moves its bytes, and the application's, which resets it.

use crate::meters::StreamMeter;
use skep_api::{Code, muxer::MuxedStream};
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A muxed stream that the negotiation layer reads and writes while the application can still reset it: the
/// negotiation layer does not give its inner stream back. The lock is never contended.
#[derive(Clone, Debug)]
pub(crate) struct Muxed(Arc<Mutex<Metered>>);

/// The stream with what counts its end, if the node still is.
#[derive(Debug)]
pub(crate) struct Metered {
    stream: Box<dyn MuxedStream>,
    meter: Option<StreamMeter>,
}

impl Muxed {
    pub(crate) fn new(stream: Box<dyn MuxedStream>, meter: Option<StreamMeter>) -> Self {
        Self(Arc::new(Mutex::new(Metered { stream, meter })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Metered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metered {
    /// A protocol was agreed on.
    pub(crate) fn agreed(&mut self, protocol: &str) {
        self.note(|meter| meter.agreed(protocol));
    }

    /// The peer does not take the protocol that was proposed as the last one.
    pub(crate) fn refused(&mut self) {
        self.note(StreamMeter::refused);
    }

    pub(crate) fn reset(&mut self, code: Code) {
        self.note(StreamMeter::reset);
        self.stream.reset(code);
    }

    pub(crate) fn stop_reading(&mut self, code: Code) {
        self.stream.stop_reading(code);
    }

    fn note(&mut self, what: impl FnOnce(&mut StreamMeter)) {
        self.meter.as_mut().map(what);
    }

    /// Tells the meter of a failure.
    fn checked<T>(&mut self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &result {
            self.note(|meter| meter.failed(error));
        }
        result
    }
}

impl AsyncRead for Muxed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut this = self.lock();
        let read = Pin::new(&mut *this.stream).poll_read(cx, buf);
        this.checked(read)
    }
}

impl AsyncWrite for Muxed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut this = self.lock();
        let written = Pin::new(&mut *this.stream).poll_write(cx, buf);
        this.checked(written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut this = self.lock();
        let flushed = Pin::new(&mut *this.stream).poll_flush(cx);
        this.checked(flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut this = self.lock();
        let ended = Pin::new(&mut *this.stream).poll_shutdown(cx);
        if matches!(ended, Poll::Ready(Ok(()))) {
            this.note(StreamMeter::finished);
        }
        this.checked(ended)
    }
}
