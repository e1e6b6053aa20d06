//! Drives a connection: the one place that polls the `yamux` crate.

use crate::{
    conn::{Opened, closed},
    frames::{FrameFilter, header::Header, wire_code},
    queue::{Asks, Queue},
    reason,
    shared::Shared,
    stream::YamuxStream,
    table::Record,
};
use skep_api::{
    CloseReason, Code,
    muxer::{MuxedStream, MuxerError, MuxerErrorKind},
};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Sleep, sleep},
};

/// Where the driver puts a stream that was asked for.
type OpenReply = oneshot::Sender<Opened>;

/// How long a peer that broke the protocol gets to take the farewell.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The driver of one connection.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    /// Gone when the connection has ended.
    running: Option<Running>,
}

struct Running {
    yamux: yamux::Connection<FrameFilter>,
    shared: Arc<Shared>,
    opens: Arc<Asks<Opened>>,
    /// The first in line, while no stream can be opened.
    next_open: Option<OpenReply>,
    accepted: Arc<Queue<Box<dyn MuxedStream>>>,
    /// Streams that the application let go of before the crate was last polled.
    leaving: Vec<u32>,
    /// Those among them that the crate has been polled for since, and found nothing more to do.
    settled: Vec<u32>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Driver {
    pub(crate) fn new(
        yamux: yamux::Connection<FrameFilter>,
        shared: Arc<Shared>,
        opens: Arc<Asks<Opened>>,
        accepted: Arc<Queue<Box<dyn MuxedStream>>>,
    ) -> Self {
        let running = Running {
            yamux,
            shared: Arc::clone(&shared),
            opens,
            next_open: None,
            accepted,
            leaving: Vec::new(),
            settled: Vec::new(),
            deadline: None,
        };
        Self { shared, running: Some(running) }
    }

    /// Ends the connection for its handle and its streams, and closes the stream below.
    fn finish(&mut self, reason: CloseReason) -> CloseReason {
        let reason = self.shared.end(reason, None);
        drop(self.running.take());
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
            None => Poll::Ready(reason::of_end(&this.shared)),
        };
        this.shared.signs.note_time();
        let end = std::task::ready!(polled);
        Poll::Ready(this.finish(end))
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
        loop {
            self.begin_to_end(cx);
            self.shared.table.take_dropped(&mut self.leaving);
            match self.yamux.poll_next_inbound(cx) {
                Poll::Ready(Some(Ok(stream))) => {
                    self.deliver(stream);
                    if self.accepted.is_full() {
                        // The application accepts in the same task: it gets a turn before a stream is refused.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                Poll::Ready(Some(Err(e))) => return Poll::Ready(reason::of_error(e, &self.shared)),
                Poll::Ready(None) => return Poll::Ready(reason::of_end(&self.shared)),
                Poll::Pending => {
                    let ending = self.shared.outcome().is_some();
                    if !ending && (self.shared.violation().is_some() || self.shared.close_asked().is_some()) {
                        continue;
                    }
                    if let Some(deadline) = &mut self.deadline
                        && deadline.as_mut().poll(cx).is_ready()
                    {
                        return Poll::Ready(reason::of_end(&self.shared));
                    }
                    let swept = self.sweep();
                    if !self.leaving.is_empty() {
                        // The crate may pause with a stream's last frames unread: it is asked once more for these.
                        self.settled.append(&mut self.leaving);
                        continue;
                    }
                    if !self.serve_opens(cx) && !swept {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Begins to close if the application asked for it, or if the peer broke the protocol.
    fn begin_to_end(&mut self, cx: &mut Context<'_>) {
        if self.shared.outcome().is_some() {
            return;
        }
        if let Some(what) = self.shared.violation() {
            let reason = CloseReason::Violation { what: what.to_string() };
            self.shared.end(reason, Some(reason::PROTOCOL_ERROR));
            let mut deadline = Box::pin(sleep(LAST_WORD));
            // The first poll of a timer sets it; it is not due yet.
            let _ = deadline.as_mut().poll(cx);
            self.deadline = Some(deadline);
        } else if let Some(code) = self.shared.close_asked() {
            self.shared.end(CloseReason::local(code), Some(wire_code(code)));
        }
    }

    /// Puts a stream that the peer opened in line for the application.
    fn deliver(&mut self, stream: yamux::Stream) {
        let Some(record) = self.shared.table.get(stream.id().val()) else { return };
        let stream = YamuxStream::inbound(stream, record, Arc::clone(&self.shared));
        match self.accepted.push(Box::new(stream)) {
            Ok(()) => self.shared.opening_taken(),
            Err(mut stream) => {
                self.shared.opening_refused();
                stream.reset(Code::RESOURCE_LIMIT);
            }
        }
    }

    /// Forgets streams that the crate has let go of. True if there is something to send for it.
    ///
    /// The crate has found nothing to do, twice. If it holds no frame that it could not write, it has seen the end
    /// of each stream that was dropped before, and all they had written is on its way.
    fn sweep(&mut self) -> bool {
        if self.settled.is_empty() || self.shared.write_waits.load(Ordering::Acquire) {
            return false;
        }
        let owed = self.shared.table.remove(&mut self.settled);
        for (id, code) in &owed {
            self.shared.post(Header::reset(*id, wire_code(*code)));
        }
        !owed.is_empty()
    }

    /// Opens the streams that were asked for. True if there was one: the crate has to be polled for it.
    fn serve_opens(&mut self, cx: &mut Context<'_>) -> bool {
        let mut opened = false;
        while let Some(reply) = self.next_request() {
            let refusal = if self.shared.outcome().is_some() {
                Some(closed(&self.shared))
            } else if self.shared.live.load(Ordering::Acquire) >= self.shared.table.max() {
                Some(MuxerError::new(MuxerErrorKind::TooManyStreams, format!("{}", self.shared.table.max())))
            } else {
                None
            };
            if let Some(refusal) = refusal {
                drop(reply.send(Err(refusal)));
                continue;
            }
            if self.shared.table.is_full() {
                // Room comes when the crate lets go of streams that were dropped.
                self.next_open = Some(reply);
                break;
            }
            match self.yamux.poll_new_outbound(cx) {
                Poll::Ready(Ok(stream)) => {
                    opened = true;
                    self.hand_out(stream, reply);
                }
                // The crate has ended the connection, and says so when it is polled next.
                Poll::Ready(Err(e)) => {
                    self.shared.end(reason::of_error(e, &self.shared), None);
                    self.next_open = Some(reply);
                    return true;
                }
                Poll::Pending => {
                    self.next_open = Some(reply);
                    break;
                }
            }
        }
        opened
    }

    fn hand_out(&mut self, stream: yamux::Stream, reply: OpenReply) {
        // There is room, for nothing else enters streams while this runs.
        let Some(record) = self.shared.table.insert(stream.id().val(), Record::default()) else { return };
        drop(reply.send(Ok(YamuxStream::outbound(stream, record, Arc::clone(&self.shared)))));
    }

    /// The first in line that still waits.
    fn next_request(&mut self) -> Option<OpenReply> {
        self.next_open.take().filter(|reply| !reply.is_closed()).or_else(|| self.opens.next())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.opens.close();
        self.accepted.close();
    }
}
