//! One stream: a `yamux::Stream` that says how it ended.
//!
//! The crate reports the end of file, a reset and a lost connection alike. Which one it was is in the stream's
//! [`Record`]. Where the crate already knows of an end whose cause is not recorded yet, the connection is about
//! to report it, and the stream waits for that.

use crate::{shared::Shared, table::Record};
use futures::{AsyncRead as _, AsyncWrite as _, ready};
use skep_api::{Code, Side, muxer::MuxedStream, stream::StreamError};
use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream of a [`crate::conn::YamuxConn`].
pub(crate) struct YamuxStream {
    id: u32,
    /// Gone after a reset.
    inner: Option<yamux::Stream>,
    record: Arc<Record>,
    shared: Arc<Shared>,
    /// The peer knows of the stream, or will with the frames that are queued.
    announced: bool,
    finished: bool,
    stopped: Option<Code>,
    /// How reading was told to have ended. It stays so, whatever comes after.
    read_end: Option<Result<(), StreamError>>,
}

impl YamuxStream {
    /// A stream that the peer opened.
    pub(crate) fn inbound(inner: yamux::Stream, record: Arc<Record>, shared: Arc<Shared>) -> Self {
        Self::new(inner, record, shared, true)
    }

    /// A stream that we open. The peer learns of it with the first data.
    pub(crate) fn outbound(inner: yamux::Stream, record: Arc<Record>, shared: Arc<Shared>) -> Self {
        Self::new(inner, record, shared, false)
    }

    fn new(inner: yamux::Stream, record: Arc<Record>, shared: Arc<Shared>, announced: bool) -> Self {
        shared.live.fetch_add(1, Ordering::AcqRel);
        let id = inner.id().val();
        let (finished, stopped, read_end) = (false, None, None);
        Self { id, inner: Some(inner), record, shared, announced, finished, stopped, read_end }
    }

    /// Lets the crate have the stream, which ends it on the wire.
    fn release(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        self.shared.live.fetch_sub(1, Ordering::AcqRel);
        self.shared.table.release(self.id, || drop(inner));
    }

    /// Whether neither side has anything left to do.
    fn is_over(&self) -> bool {
        let finished = self.finished && self.record.fin_seen.load(Ordering::Acquire);
        let reset = self.inner.is_none() || self.record.reset_by_peer.get().is_some();
        finished || reset || self.shared.outcome().is_some()
    }

    /// How the stream was torn down, if it was.
    fn torn(&self) -> Option<StreamError> {
        if let (None, Some(&code)) = (&self.inner, self.record.reset_by_us.get()) {
            return Some(StreamError::Reset { by: Side::Local, code });
        }
        if let Some(&code) = self.record.reset_by_peer.get() {
            return Some(StreamError::Reset { by: Side::Remote, code });
        }
        self.shared.outcome().cloned().map(StreamError::ConnectionLost)
    }

    /// The error to report now that the crate has ended the stream. Waits where it is not known yet.
    fn poll_torn<T>(&self, cx: &Context<'_>, side: Half) -> Poll<io::Result<T>> {
        self.register(cx, side);
        match self.torn() {
            Some(error) => Poll::Ready(Err(error.into())),
            None => Poll::Pending,
        }
    }

    /// Waits with the crate for what the crate does not wake for: the end of the connection.
    fn poll_lost<T>(&self, cx: &Context<'_>, side: Half) -> Poll<io::Result<T>> {
        self.register(cx, side);
        match self.shared.outcome() {
            Some(reason) => Poll::Ready(Err(StreamError::ConnectionLost(reason.clone()).into())),
            None => Poll::Pending,
        }
    }

    fn register(&self, cx: &Context<'_>, side: Half) {
        match side {
            Half::Reading => self.record.reader.register(cx.waker()),
            Half::Writing => self.record.writer.register(cx.waker()),
        }
    }

    /// Tells the peer of the stream, for it may be the one to speak first.
    fn poll_announce(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.announced {
            return Poll::Ready(Ok(()));
        }
        if let Some(inner) = &mut self.inner {
            // An empty write is a data frame without data, and the first frame opens the stream. It needs no
            // window, for a stream without data has all of its window left.
            ready!(Pin::new(inner).poll_write(cx, &[]))?;
            self.announced = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads, where reading has not ended yet.
    fn poll_read_on(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(code) = self.stopped {
            self.discard(cx);
            return Poll::Ready(Err(StreamError::Reset { by: Side::Local, code }.into()));
        }
        let Some(inner) = &mut self.inner else { return self.poll_torn(cx, Half::Reading) };
        match Pin::new(inner).poll_read(cx, buf.initialize_unfilled()) {
            Poll::Ready(Ok(0)) if self.record.fin_seen.load(Ordering::Acquire) => Poll::Ready(Ok(())),
            Poll::Ready(Ok(0)) => {
                let torn = self.poll_torn(cx, Half::Reading);
                // The end of file may have been noted while this looked for another cause.
                let finished = torn.is_pending() && self.record.fin_seen.load(Ordering::Acquire);
                if finished { Poll::Ready(Ok(())) } else { torn }
            }
            Poll::Ready(Ok(n)) => {
                buf.advance(n);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(_)) => self.poll_torn(cx, Half::Reading),
            Poll::Pending => {
                self.record.unread.store(0, Ordering::Relaxed);
                // The peer may be waiting to hear of the stream before it says anything.
                if let Poll::Ready(Err(_)) = self.poll_announce(cx) {
                    return self.poll_torn(cx, Half::Reading);
                }
                self.poll_lost(cx, Half::Reading)
            }
        }
    }

    /// Reads and throws away what has arrived.
    fn discard(&mut self, cx: &mut Context<'_>) {
        let mut bytes = [0; 4096];
        let Some(inner) = &mut self.inner else { return };
        while let Poll::Ready(Ok(1..)) = Pin::new(&mut *inner).poll_read(cx, &mut bytes) {}
    }
}

#[derive(Clone, Copy)]
enum Half {
    Reading,
    Writing,
}

impl AsyncRead for YamuxStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if this.read_end.is_none() {
            let before = buf.filled().len();
            match ready!(this.poll_read_on(cx, buf)) {
                Ok(()) if buf.filled().len() > before => return Poll::Ready(Ok(())),
                Ok(()) => this.read_end = Some(Ok(())),
                Err(e) => match StreamError::of(&e) {
                    Some(error) => this.read_end = Some(Err(error.clone())),
                    None => return Poll::Ready(Err(e)),
                },
            }
        }
        Poll::Ready(this.read_end.clone().unwrap_or(Ok(())).map_err(Into::into))
    }
}

impl AsyncWrite for YamuxStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.finished {
            return Poll::Ready(Err(StreamError::Finished.into()));
        }
        if let Some(error) = this.torn() {
            return Poll::Ready(Err(error.into()));
        }
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let Some(inner) = &mut this.inner else { return this.poll_torn(cx, Half::Writing) };
        match Pin::new(inner).poll_write(cx, buf) {
            Poll::Ready(Ok(n)) => {
                this.announced = true;
                this.shared.note_given(n);
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(_)) => this.poll_torn(cx, Half::Writing),
            Poll::Pending => this.poll_lost(cx, Half::Writing),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Poll::Ready(Ok(())) = this.poll_announce(cx)
            && let Some(inner) = &mut this.inner
            && let Poll::Ready(Ok(())) = Pin::new(inner).poll_flush(cx)
        {
            return Poll::Ready(Ok(()));
        }
        match this.torn() {
            Some(error) => Poll::Ready(Err(error.into())),
            None => this.poll_lost(cx, Half::Writing),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.finished {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = this.torn() {
            return Poll::Ready(Err(error.into()));
        }
        let Some(inner) = &mut this.inner else { return this.poll_torn(cx, Half::Writing) };
        match Pin::new(inner).poll_close(cx) {
            // The crate calls a stream closed that the peer has reset.
            Poll::Ready(Ok(())) if this.record.reset_by_peer.get().is_some() => {
                this.poll_torn(cx, Half::Writing)
            }
            Poll::Ready(Ok(())) => {
                (this.finished, this.announced) = (true, true);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(_)) => this.poll_torn(cx, Half::Writing),
            Poll::Pending => this.poll_lost(cx, Half::Writing),
        }
    }
}

impl MuxedStream for YamuxStream {
    fn id(&self) -> u64 {
        self.id.into()
    }

    fn reset(&mut self, code: Code) {
        if !self.is_over() {
            let _ = self.record.reset_by_us.set(code);
            self.release();
        }
    }

    fn stop_reading(&mut self, code: Code) {
        if self.stopped.is_none() && self.read_end.is_none() {
            self.stopped = Some(code);
            // What arrives from now on does not get this far; what has arrived would fill the window for ever.
            self.record.stopped.store(true, Ordering::Release);
            self.discard(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl Drop for YamuxStream {
    fn drop(&mut self) {
        if !self.finished && self.inner.is_some() {
            let _ = self.record.reset_by_us.set(Code::DROPPED);
        }
        self.release();
    }
}

impl fmt::Debug for YamuxStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("YamuxStream");
        f.field("id", &self.id).field("finished", &self.finished).finish_non_exhaustive()
    }
}
