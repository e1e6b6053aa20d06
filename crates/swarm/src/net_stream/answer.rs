//! The peer's answer to the proposal of a protocol, which comes with its first data.

use super::NetStream;
use crate::{
    muxed::Muxed,
    pipeline::negotiate::{Agreed, refused},
};
use futures::task::AtomicWaker;
use skep_api::{
    protocol::{ProtocolError, ProtocolErrorKind},
    stream::StreamError,
};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker, ready},
};
use tokio::io::{AsyncRead, ReadBuf};

/// Whoever waits on either direction. Until the proposal is answered, reading, writing and finishing all wait for the
/// same answer, and the muxer wakes one task only: so it is given a waker for both.
#[derive(Debug, Default)]
pub(super) struct Halves {
    pub(super) reader: AtomicWaker,
    pub(super) writer: AtomicWaker,
}

impl Wake for Halves {
    fn wake(self: Arc<Self>) {
        self.reader.wake();
        self.writer.wake();
    }
}

/// How a negotiation failed, to be told again by every later call.
#[derive(Clone, Debug)]
pub(super) enum Dead {
    /// The peer does not serve the protocol.
    Refused,
    /// The stream or its connection ended before the answer.
    Ended(StreamError),
    /// Anything else.
    Other(io::ErrorKind),
}

impl NetStream {
    /// The answer has come: from now on each direction wakes for itself.
    pub(super) fn agree(&mut self) {
        if let Some(halves) = self.asked.take() {
            halves.wake();
        }
    }

    /// Calls the negotiation layer for one direction.
    pub(super) fn poll_io<T>(
        &mut self,
        cx: &mut Context<'_>,
        half: fn(&Halves) -> &AtomicWaker,
        call: impl FnOnce(Pin<&mut Agreed<Muxed>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Some(dead) = &self.dead {
            return Poll::Ready(Err(self.error_of(dead)));
        }
        let Some(halves) = &self.asked else { return call(Pin::new(&mut self.io), cx) };
        half(halves).register(cx.waker());
        let both = Waker::from(Arc::clone(halves));
        call(Pin::new(&mut self.io), &mut Context::from_waker(&both))
    }

    /// Waits for the peer's answer to the proposal, if it is still to come.
    pub(super) fn poll_agreed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.asked.is_none() {
            return Poll::Ready(Ok(()));
        }
        // Reading into no room at all reads the answer and nothing else.
        let answer = self.poll_io(cx, |h| &h.writer, |io, cx| io.poll_read(cx, &mut ReadBuf::new(&mut [])));
        match ready!(answer) {
            Ok(()) => self.agree(),
            Err(e) => return Poll::Ready(Err(self.unanswered(e))),
        }
        Poll::Ready(Ok(()))
    }

    /// Notes that there will be no answer: every later call gets the same error.
    pub(super) fn unanswered(&mut self, error: io::Error) -> io::Error {
        if self.dead.is_none() && self.asked.is_some() {
            let dead = match StreamError::of(&error) {
                _ if refused(&error) => Dead::Refused,
                Some(ended) => Dead::Ended(ended.clone()),
                None => Dead::Other(error.kind()),
            };
            if matches!(dead, Dead::Refused) {
                self.muxed.lock().refused();
            }
            let error = self.error_of(&dead);
            self.dead = Some(dead);
            self.agree();
            return self.failed(error);
        }
        self.failed(error)
    }

    fn error_of(&self, dead: &Dead) -> io::Error {
        match dead {
            Dead::Refused => {
                let error = ProtocolError::new(ProtocolErrorKind::NotSupported, self.protocol.to_string());
                io::Error::new(io::ErrorKind::Unsupported, error)
            }
            Dead::Ended(error) => error.clone().into(),
            Dead::Other(kind) => (*kind).into(),
        }
    }
}
