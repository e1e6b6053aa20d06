//! Streams of a model node: what the peer at the other end does is scripted.

use skep_api::{CloseReason, Code, Side, protocol::NegotiatedStream, stream::StreamError};
use std::{
    collections::VecDeque,
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// What a peer does with streams that are opened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Streams {
    /// It sends back what comes, after so long.
    Echo(Duration),
    /// It takes the stream and what is written, and never answers.
    Silent,
    /// It takes the stream, and resets it with this code when something is written.
    Resets(Code),
    /// It serves none of the protocols: `open` fails at once with `NotSupported`.
    Refused,
    /// It does not answer to the opening: `open` fails with `TimedOut` after ten seconds.
    Never,
    /// The connection breaks under the opening: `open` fails at once with `Io`.
    Breaks,
}

/// One stream as its connection knows it.
#[derive(Debug)]
pub(super) struct Pipe(Mutex<State>);

#[derive(Debug)]
struct State {
    script: Streams,
    /// What comes back, and when.
    back: VecDeque<(Instant, Vec<u8>)>,
    finished: bool,
    failure: Option<StreamError>,
    reader: Option<Waker>,
}

impl State {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Pipe {
    pub(super) fn new(script: Streams) -> Arc<Self> {
        let (back, finished, failure, reader) = (VecDeque::new(), false, None, None);
        Arc::new(Self(Mutex::new(State { script, back, finished, failure, reader })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is written from now on is treated so.
    pub(super) fn script(&self, script: Streams) {
        self.lock().script = script;
    }

    /// The connection has ended.
    pub(super) fn lose(&self, reason: &CloseReason) {
        self.fail(StreamError::ConnectionLost(reason.clone()));
    }

    fn fail(&self, error: StreamError) {
        let mut state = self.lock();
        state.failure.get_or_insert(error);
        state.wake();
    }
}

/// This node's end of a stream.
pub(super) struct FakeStream {
    pipe: Arc<Pipe>,
    sleep: Pin<Box<Sleep>>,
}

impl FakeStream {
    pub(super) fn new(pipe: Arc<Pipe>) -> Self {
        Self { pipe, sleep: Box::pin(tokio::time::sleep(Duration::ZERO)) }
    }
}

impl fmt::Debug for FakeStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FakeStream").field(&self.pipe).finish()
    }
}

impl AsyncRead for FakeStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let mut state = this.pipe.lock();
            if let Some(error) = &state.failure {
                return Poll::Ready(Err(error.clone().into()));
            }
            let Some((at, bytes)) = state.back.front_mut() else {
                if state.finished && matches!(state.script, Streams::Echo(_)) {
                    return Poll::Ready(Ok(()));
                }
                state.reader = Some(cx.waker().clone());
                return Poll::Pending;
            };
            if *at <= Instant::now() {
                let rest = bytes.split_off(bytes.len().min(buf.remaining()));
                buf.put_slice(bytes);
                *bytes = rest;
                if bytes.is_empty() {
                    state.back.pop_front();
                }
                return Poll::Ready(Ok(()));
            }
            this.sleep.as_mut().reset(*at);
            state.reader = Some(cx.waker().clone());
            drop(state);
            ready!(this.sleep.as_mut().poll(cx));
        }
    }
}

impl AsyncWrite for FakeStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.pipe.lock();
        if let Some(error) = &state.failure {
            return Poll::Ready(Err(error.clone().into()));
        }
        if state.finished {
            return Poll::Ready(Err(StreamError::Finished.into()));
        }
        match state.script {
            Streams::Echo(delay) => {
                let now = Instant::now();
                state.back.push_back((now.checked_add(delay).unwrap_or(now), buf.to_vec()));
                state.wake();
            }
            Streams::Resets(code) => {
                drop(state);
                self.pipe.fail(StreamError::Reset { by: Side::Remote, code });
            }
            _ => {}
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.pipe.lock();
        state.finished = true;
        state.wake();
        Poll::Ready(Ok(()))
    }
}

impl NegotiatedStream for FakeStream {
    fn reset(&mut self, code: Code) {
        self.pipe.fail(StreamError::Reset { by: Side::Local, code });
    }

    fn stop_reading(&mut self, code: Code) {
        self.reset(code);
    }
}
