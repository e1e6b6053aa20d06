//! Drives a connection: the one place that polls the `libp2p-mplex` crate.

mod opens;
mod waits;

use crate::{
    accepted::Accepted,
    conn::Opened,
    farewell::Farewell,
    link::{Below, Key, Link, lock},
    shared::Shared,
    stream::MplexStream,
    streams::Streams,
};
use futures::{AsyncWrite as _, future::Future};
use libp2p_core::muxing::StreamMuxer;
use libp2p_mplex::{Multiplex, Substream};
use skep_api::{CloseReason, error::chain};
use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Sleep,
};

/// Where the driver puts a stream that was asked for.
type OpenReply = oneshot::Sender<Opened>;

/// Rounds of work in one poll, before others get their turn.
const MAX_ROUNDS: usize = 32;

/// How long a connection waits for others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For the reader of a stream that is full.
    pub(crate) slow_reader: Duration,
    /// For the peer to take what is sent.
    pub(crate) write: Duration,
}

/// What a driver is made of.
pub(crate) struct Parts {
    pub(crate) mux: Multiplex<Below>,
    pub(crate) link: Arc<Mutex<Link>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) opens: mpsc::Receiver<OpenReply>,
    pub(crate) accepted: Arc<Accepted>,
    pub(crate) patience: Patience,
}

/// The driver of one connection.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    accepted: Arc<Accepted>,
    /// Gone when the connection has ended.
    running: Option<Running>,
}

struct Running {
    parts: Parts,
    /// See [`crate::link::CONTROL`].
    control: Option<Substream<Below>>,
    streams: Streams,
    /// Streams for which something passes through the crate.
    touched: Vec<Key>,
    /// The number of the next stream of ours. The crate counts alike.
    next_number: u64,
    /// The first in line, while no stream can be opened.
    next_open: Option<OpenReply>,
    /// The wait for a slow reader, and its number.
    slow: Option<(u64, Pin<Box<Sleep>>)>,
    /// Runs while the peer takes nothing.
    stall: Option<Pin<Box<Sleep>>>,
    farewell: Option<Farewell>,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let (shared, accepted) = (Arc::clone(&parts.shared), Arc::clone(&parts.accepted));
        let streams = Streams::new(Arc::clone(&shared));
        let running = Running {
            parts,
            control: None,
            streams,
            touched: Vec::new(),
            next_number: 0,
            next_open: None,
            slow: None,
            stall: None,
            farewell: None,
        };
        Self { shared, accepted, running: Some(running) }
    }

    /// Ends the connection for its handle and its streams, and closes the stream below.
    fn finish(&mut self, reason: CloseReason) -> CloseReason {
        let reason = self.shared.end(reason);
        if let Some(running) = self.running.take() {
            let states = lock(&running.parts.link).states();
            drop(running);
            states.iter().for_each(|state| state.wake());
        }
        match reason {
            // Nothing of such a peer is wanted.
            CloseReason::Violation { .. } => self.accepted.clear(),
            _ => self.accepted.close(),
        }
        self.shared.ended.cancel();
        reason
    }
}

impl Future for Driver {
    type Output = CloseReason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let this = self.get_mut();
        this.shared.register_driver(cx.waker());
        let polled = match &mut this.running {
            Some(running) => running.poll(cx),
            None => Poll::Ready(CloseReason::Lost { what: "the connection has ended before".into() }),
        };
        polled.map(|reason| this.finish(reason))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.finish(CloseReason::Lost { what: "the connection was cut off by this node".into() });
        }
    }
}

impl Running {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        for _ in 0..MAX_ROUNDS {
            self.begin_to_close();
            if self.farewell.is_some() {
                return self.poll_farewell(cx);
            }
            let mut moved = self.take_notes();
            moved |= self.read(cx);
            moved |= self.serve_opens(cx);
            moved |= self.streams.write(cx);
            let flushed = self.poll_flush(cx);
            moved |= self.after_flush(cx, flushed);
            moved |= self.give_up_on_slow_reader(cx);
            if let Some(reason) = self.stalled(cx, flushed) {
                return Poll::Ready(reason);
            }
            if moved && self.parts.accepted.is_full(0) {
                // The application accepts in the same task: it gets a turn before a stream is refused.
                break;
            }
            if !moved {
                return match lock(&self.parts.link).end() {
                    Some(reason) => Poll::Ready(reason.clone()),
                    None => Poll::Pending,
                };
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Begins to close if the application asked for it.
    fn begin_to_close(&mut self) {
        if self.farewell.is_none()
            && let Some(code) = self.parts.shared.close_asked()
        {
            self.take_notes();
            self.parts.shared.end(CloseReason::local(code));
            self.farewell = Some(Farewell::new());
            self.parts.opens.close();
            self.next_open = None;
            let states = lock(&self.parts.link).states();
            states.iter().for_each(|state| state.wake());
        }
    }

    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.take_notes();
        self.streams.write(cx);
        let flushed = self.poll_flush(cx);
        let stalled = self.stalled(cx, flushed).is_some();
        let done = match &mut self.farewell {
            Some(farewell) => farewell.poll(cx, &self.parts.link, &self.streams, flushed).is_ready(),
            None => true,
        };
        let reason = self.parts.shared.outcome().cloned();
        match reason.filter(|_| done || stalled) {
            Some(reason) => Poll::Ready(reason),
            None => Poll::Pending,
        }
    }

    /// Looks at the streams that were noted. True if there were some.
    fn take_notes(&mut self) -> bool {
        let notes = self.parts.shared.take_notes();
        let some = !notes.is_empty();
        for key in notes {
            self.streams.attend(key);
        }
        some
    }

    /// Lets the crate read, and takes out what it has read. True if there was something.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = true;
        match Pin::new(&mut self.parts.mux).poll_inbound(cx) {
            Poll::Ready(Ok(inner)) => self.deliver(inner),
            Poll::Ready(Err(e)) => {
                lock(&self.parts.link).end_with(CloseReason::Violation { what: chain(&e) });
                moved = false;
            }
            Poll::Pending => moved = false,
        }
        lock(&self.parts.link).take_touched(&mut self.touched);
        moved | self.streams.drain(cx, &self.parts.link, &mut self.touched)
    }

    /// Puts a stream that the peer opened in line for the application.
    fn deliver(&mut self, inner: Substream<Below>) {
        let Some(state) = lock(&self.parts.link).next_opened() else { return };
        self.streams.insert(inner, Arc::clone(&state));
        // One that is given back is reset by its drop.
        drop(self.parts.accepted.push(MplexStream::new(state)));
    }

    /// Has the crate hand down all that it holds. True if that is done.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> bool {
        if self.control.is_none()
            && let Poll::Ready(Ok(control)) = Pin::new(&mut self.parts.mux).poll_outbound(cx)
        {
            self.control = Some(control);
            self.next_number = 1;
            // Streams may have been asked for before.
            cx.waker().wake_by_ref();
        }
        match &mut self.control {
            Some(control) => Pin::new(control).poll_flush(cx).is_ready(),
            None => false,
        }
    }

    /// Forgets the streams that have left, and goes on with what had to wait for the flush. True if there is such.
    fn after_flush(&mut self, cx: &mut Context<'_>, flushed: bool) -> bool {
        if !flushed {
            return false;
        }
        let left = self.streams.take_left();
        let some = !left.is_empty();
        let mut link = lock(&self.parts.link);
        link.forget(left.into_iter());
        // What is sent here is little; where it has to wait, the next flush takes it along.
        let _ = link.poll_send(cx);
        link.take_room() | some
    }
}
