//! One direction of a link: bytes that are on their way, bytes that have arrived, and how it ends.
//!
//! No task moves the bytes. The writer stamps them with the time of their arrival, and the reader waits for that
//! time; so a link costs nothing while it is idle, and paused time measures it exactly.

use crate::{
    LinkConditions,
    line::{Arrival, Line},
    news::{End, News},
    node::Node,
    shape::Shape,
    timer::Timer,
};
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::{io::ReadBuf, time::Instant};

/// One direction of a link, shared by its writer and its reader.
#[derive(Debug)]
pub(crate) struct Pipe {
    from: Arc<Node>,
    to: Arc<Node>,
    /// What the writer's configuration says, where nothing else was set.
    base: LinkConditions,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    line: Line,
    /// What was written and not read, at most the line's capacity.
    bytes: VecDeque<u8>,
    /// How many of `bytes` have arrived.
    arrived: usize,
    end: Option<(End, News)>,
    /// When the writer learns that nobody reads any more.
    abandoned: Option<News>,
    /// What was written since nobody reads, of which nothing is kept.
    lost: usize,
    reader: Option<Waker>,
    /// A reader that waits for a time of arrival, and is to be told only if that changes.
    sleeper: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    /// A direction between two nodes with the shape that the writer's configuration gives it.
    pub(crate) fn new(from: Arc<Node>, to: Arc<Node>, shape: Shape) -> Self {
        let base = shape.conditions;
        let state = State {
            line: Line::new(shape),
            bytes: VecDeque::new(),
            arrived: 0,
            end: None,
            abandoned: None,
            lost: 0,
            reader: None,
            sleeper: None,
            writer: None,
        };
        Self { from, to, base, state: Mutex::new(state) }
    }

    /// The node that writes, and the one that reads.
    pub(crate) fn ends(&self) -> (&Node, &Node) {
        (&self.from, &self.to)
    }

    /// Takes as much of `data` as there is room for. Without room, `timer` waits for the news that nobody reads.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        timer: &mut Timer,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut state = self.lock();
            if state.end.is_some() {
                return Poll::Ready(Err(broken_pipe("this end was shut down")));
            }
            let news = match state.abandoned {
                Some(news) if news.has_come() => {
                    return Poll::Ready(Err(broken_pipe("the other end is gone")));
                }
                // Still on its way, as the bytes would be.
                Some(News::Comes(at)) => at,
                // Nothing is known of it in a partition.
                Some(News::Held(_)) | None => None,
            };
            let taken = data.get(..state.room()).unwrap_or(data);
            if !taken.is_empty() || data.is_empty() {
                let reader = state.put(taken, news.is_some());
                drop(state);
                wake([reader]);
                return Poll::Ready(Ok(taken.len()));
            }
            state.writer = Some(cx.waker().clone());
            drop(state);
            match news {
                Some(at) => ready!(timer.poll_until(at, cx)),
                None => return Poll::Pending,
            }
        }
    }

    /// Reads what has arrived, waiting for it with `timer`.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        timer: &mut Timer,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            let next = {
                let mut state = self.lock();
                state.land();
                if state.arrived > 0 {
                    state.read(buf);
                    let writer = state.writer.take();
                    drop(state);
                    wake([writer]);
                    return Poll::Ready(Ok(()));
                }
                match state.next() {
                    Next::At(at) => {
                        state.sleeper = Some(cx.waker().clone());
                        at
                    }
                    Next::Unknown => {
                        state.reader = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                    Next::Ended(End::Finished) => return Poll::Ready(Ok(())),
                    Next::Ended(End::Reset) => {
                        let gone = io::Error::new(io::ErrorKind::ConnectionReset, "the other end is gone");
                        return Poll::Ready(Err(gone));
                    }
                }
            };
            ready!(timer.poll_until(next, cx));
        }
    }

    /// Ends the direction behind all that was written. The first end counts.
    pub(crate) fn end(&self, end: End) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        let news = match state.line.is_held() {
            true => News::Held(state.line.delay_of_news()),
            false => News::Comes(state.line.arrival_of_end()),
        };
        state.end = Some((end, news));
        let reader = state.reader.take();
        drop(state);
        wake([reader]);
    }

    /// When news that is sent now arrives, behind all that was written, and how long it takes to send it again.
    pub(crate) fn news(&self) -> (Arrival, Duration) {
        let state = self.lock();
        (state.line.arrival_of_news(), state.line.delay_of_news())
    }

    /// Nobody reads any more, which the writer learns from the news.
    pub(crate) fn abandon(&self, (arrival, delay): (Arrival, Duration)) {
        let mut state = self.lock();
        if state.line.is_held() {
            state.abandoned = Some(News::Held(delay));
            return;
        }
        state.abandoned = Some(News::Comes(arrival));
        state.forget();
        let writer = state.writer.take();
        drop(state);
        wake([writer]);
    }

    /// Sets what is between the nodes: conditions other than those of the configuration, and a partition. Returns who
    /// is to be woken, once no lock is held.
    #[must_use]
    pub(crate) fn set(&self, conditions: Option<LinkConditions>, parted: bool) -> [Option<Waker>; 3] {
        let mut state = self.lock();
        state.land();
        state.line.change(conditions.unwrap_or(self.base));
        match (state.line.is_held(), parted) {
            (false, true) => state.hold(),
            (true, false) => state.release(),
            _ => return [state.sleeper.take(), None, None],
        }
        [state.sleeper.take(), state.reader.take(), state.writer.take()]
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a reader that has nothing to read can wait for.
enum Next {
    /// Something comes at this time.
    At(Instant),
    /// Nobody knows.
    Unknown,
    /// Nothing any more.
    Ended(End),
}

impl State {
    /// Bytes that the writer may still write.
    fn room(&self) -> usize {
        self.line.capacity().saturating_sub(self.bytes.len()).saturating_sub(self.lost)
    }

    /// Takes bytes that there is room for. Returns the reader, if it has to hear of them.
    #[must_use]
    fn put(&mut self, bytes: &[u8], for_nobody: bool) -> Option<Waker> {
        if for_nobody {
            self.lost = self.lost.saturating_add(bytes.len());
            return None;
        }
        self.bytes.extend(bytes);
        let arrived = self.line.send(bytes.len());
        self.arrived = self.arrived.saturating_add(arrived);
        self.reader.take()
    }

    /// Counts what has arrived by now.
    fn land(&mut self) {
        self.arrived = self.arrived.saturating_add(self.line.land());
    }

    fn read(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.arrived.min(buf.remaining());
        let (front, back) = self.bytes.as_slices();
        let from_front = front.get(..count).unwrap_or(front);
        let from_back = back.get(..count.saturating_sub(from_front.len())).unwrap_or(back);
        buf.put_slice(from_front);
        buf.put_slice(from_back);
        self.bytes.drain(..count);
        self.arrived = self.arrived.saturating_sub(count);
    }

    fn next(&self) -> Next {
        if let Some(at) = self.line.next() {
            return Next::At(at);
        }
        match self.end {
            Some((end, news)) if news.has_come() && !self.line.holds_bytes() => Next::Ended(end),
            Some((_, News::Comes(Some(at)))) if !self.line.holds_bytes() => Next::At(at),
            _ => Next::Unknown,
        }
    }

    /// Forgets all that was written.
    fn forget(&mut self) {
        self.bytes = VecDeque::new();
        self.lost = 0;
        self.arrived = 0;
        self.line.clear();
    }

    fn hold(&mut self) {
        let delay = self.line.delay_of_news();
        self.line.hold();
        for news in self.end.iter_mut().map(|(_, news)| news).chain(&mut self.abandoned) {
            news.hold(delay);
        }
    }

    fn release(&mut self) {
        self.line.release();
        for news in self.end.iter_mut().map(|(_, news)| news).chain(&mut self.abandoned) {
            news.release();
        }
        if self.abandoned.is_some() {
            self.forget();
        }
    }
}

/// Wakes tasks; to be called without the lock, which they will want.
pub(crate) fn wake(wakers: impl IntoIterator<Item = Option<Waker>>) {
    for waker in wakers.into_iter().flatten() {
        waker.wake();
    }
}

fn broken_pipe(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, problem)
}
