//! What the application does with a stream.

use super::{State, grow};
use skep_api::{Code, Side, stream::StreamError};
use std::{
    io,
    task::{Context, Poll},
};
use tokio::io::ReadBuf;

impl State {
    /// Reads what is there. The end comes again and again only if the caller remembers it.
    pub(crate) fn poll_read(&self, cx: &Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        if let Some(error @ StreamError::Reset { by: Side::Local, .. }) = &inner.torn {
            return Poll::Ready(Err(error.clone().into()));
        }
        if let Some(code) = inner.stopped {
            return Poll::Ready(Err(StreamError::Reset { by: Side::Local, code }.into()));
        }
        if !inner.unread.is_empty() {
            inner.give(buf);
            let half = self.shared.limits.max_buffer / 2;
            if inner.holds && inner.backlog() <= half {
                inner.holds = false;
                self.shared.wake_driver();
            }
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = &inner.read_end {
            return Poll::Ready(end.clone().map_err(Into::into));
        }
        if let Some(error) = self.lost() {
            return Poll::Ready(Err(error.into()));
        }
        inner.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn poll_write(&self, cx: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.lock();
        if inner.finished {
            return Poll::Ready(Err(StreamError::Finished.into()));
        }
        if let Some(error) = inner.torn.clone().or_else(|| self.lost()) {
            return Poll::Ready(Err(error.into()));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = self.shared.limits.max_unsent.saturating_sub(inner.unsent.len());
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        if taken.is_empty() {
            inner.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        grow(&mut inner.unsent, taken.len(), self.shared.limits.max_unsent);
        inner.unsent.extend(taken);
        self.shared.note_given(taken.len());
        self.note(&mut inner);
        Poll::Ready(Ok(taken.len()))
    }

    /// Waits until the driver has handed down what was written before; it flushes whatever it hands down. Not what is
    /// written meanwhile: who reads the answer to a lazy proposal flushes first, and would wait for as long as the other
    /// half of the stream goes on writing.
    pub(crate) fn poll_flush(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        if let Some(error) = inner.torn.clone() {
            return Poll::Ready(Err(error.into()));
        }
        if inner.unsent.is_empty() || inner.to_flush == Some(0) {
            inner.to_flush = None;
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = self.lost() {
            return Poll::Ready(Err(error.into()));
        }
        inner.to_flush = inner.to_flush.or(Some(inner.unsent.len()));
        inner.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Finishes the sending side. The driver sends what is left, then the end of file.
    pub(crate) fn finish(&self) -> Result<(), StreamError> {
        let mut inner = self.lock();
        if inner.finished {
            return Ok(());
        }
        if let Some(error) = inner.torn.clone().or_else(|| self.lost()) {
            return Err(error);
        }
        inner.finished = true;
        self.note(&mut inner);
        Ok(())
    }

    pub(crate) fn reset(&self, code: Code) {
        let mut inner = self.lock();
        if !self.is_over(&inner) {
            self.abort(&mut inner, code);
        }
    }

    pub(crate) fn stop_reading(&self, code: Code) {
        let mut inner = self.lock();
        if inner.stopped.is_none() && inner.torn.is_none() {
            inner.stopped = Some(code);
            inner.forget_unread();
            self.shared.wake_driver();
        }
    }

    /// The application drops the stream.
    pub(crate) fn release(&self) {
        let mut inner = self.lock();
        if !inner.finished && !self.is_over(&inner) {
            self.abort(&mut inner, Code::DROPPED);
        }
        self.let_go(&mut inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        link::Key,
        shared::{Limits, Shared},
    };
    use std::{sync::Arc, task::Waker};

    #[test]
    fn a_flush_waits_for_what_was_written_before_it() {
        let limits =
            Limits { max_inbound: 1, max_outbound: 1, max_buffer: 100, max_unsent: 100, frame_size: 10 };
        let state = State::new(Key { number: 1, ours: true }, Arc::new(Shared::new(limits)));
        let cx = Context::from_waker(Waker::noop());
        let write = || assert!(matches!(state.poll_write(&cx, &[0; 10]), Poll::Ready(Ok(10))));
        let flushed = || state.poll_flush(&cx).map(Result::unwrap).is_ready();
        assert!(flushed());
        write();
        assert!(!flushed());
        state.sent(4);
        write();
        assert!(!flushed());
        state.sent(6);
        // The other ten are a matter of the next flush.
        assert!(flushed());
        assert!(!flushed());
        state.sent(10);
        assert!(flushed());
    }
}
