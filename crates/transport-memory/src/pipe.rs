//! One direction of a link: bytes that are on their way, bytes that have arrived, and how it ends.
//!
//! No task moves the bytes. The writer stamps them with the time of their arrival, and the reader waits for that
//! time; so a link costs nothing while it is idle, and paused time measures it exactly.

use crate::shape::{SEGMENT, Shape};
use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};
use tokio::{
    io::ReadBuf,
    time::{Instant, Sleep, sleep_until},
};

/// How a direction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The writer said all.
    Finished,
    /// The writer went away.
    Reset,
}

/// One direction of a link, shared by its writer and its reader.
#[derive(Debug)]
pub(crate) struct Pipe(Mutex<State>);

#[derive(Debug)]
struct State {
    shape: Shape,
    /// What was written and not read, at most the shape's capacity.
    bytes: VecDeque<u8>,
    /// How many of `bytes` have arrived.
    arrived: usize,
    /// The others, in order, with the time at which they arrive. Each has at least one byte.
    on_the_way: VecDeque<Batch>,
    end: Option<(End, Arrival)>,
    /// When the writer learns that nobody reads any more.
    abandoned: Option<Arrival>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug)]
struct Batch {
    at: Instant,
    len: usize,
}

/// A time of arrival; `None` is at once.
type Arrival = Option<Instant>;

fn has_come(arrival: Arrival) -> bool {
    arrival.is_none_or(|at| at <= Instant::now())
}

impl Pipe {
    pub(crate) fn new(shape: Shape) -> Self {
        Self(Mutex::new(State {
            shape,
            bytes: VecDeque::new(),
            arrived: 0,
            on_the_way: VecDeque::new(),
            end: None,
            abandoned: None,
            reader: None,
            writer: None,
        }))
    }

    /// Takes as much of `data` as there is room for.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        if state.end.is_some() {
            return Poll::Ready(Err(broken_pipe("this end was shut down")));
        }
        match state.abandoned {
            Some(arrival) if has_come(arrival) => {
                return Poll::Ready(Err(broken_pipe("the other end is gone")));
            }
            // The news is still on its way, and so would be the bytes.
            Some(_) => return Poll::Ready(Ok(data.len())),
            None => {}
        }
        let room = state.shape.capacity().saturating_sub(state.bytes.len());
        let taken = data.get(..room).unwrap_or(data);
        if taken.is_empty() && !data.is_empty() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.send(taken);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        Poll::Ready(Ok(taken.len()))
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
                    wake(writer);
                    return Poll::Ready(Ok(()));
                }
                match (state.on_the_way.front(), state.end) {
                    (Some(batch), _) => batch.at,
                    (None, Some((_, Some(at)))) if at > Instant::now() => at,
                    (None, Some((End::Finished, _))) => return Poll::Ready(Ok(())),
                    (None, Some((End::Reset, _))) => {
                        let gone = io::Error::new(io::ErrorKind::ConnectionReset, "the other end is gone");
                        return Poll::Ready(Err(gone));
                    }
                    (None, None) => {
                        state.reader = Some(cx.waker().clone());
                        return Poll::Pending;
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
        state.end = Some((end, state.arrival_of_end()));
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }

    /// When news that is sent now arrives, behind all that was written.
    pub(crate) fn arrival_of_news(&self) -> Arrival {
        self.lock().arrival_of_end()
    }

    /// Nobody reads any more, which the writer learns with the `arrival` of the news.
    pub(crate) fn abandon(&self, arrival: Arrival) {
        let mut state = self.lock();
        state.abandoned = Some(arrival);
        state.bytes = VecDeque::new();
        state.on_the_way = VecDeque::new();
        state.arrived = 0;
        let writer = state.writer.take();
        drop(state);
        wake(writer);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn send(&mut self, data: &[u8]) {
        self.bytes.extend(data);
        if self.shape.is_instant() {
            self.arrived = self.arrived.saturating_add(data.len());
            return;
        }
        let now = Instant::now();
        // Segments that cannot be lost all arrive together.
        let segment = if self.shape.loses() { SEGMENT } else { data.len().max(1) };
        for segment in data.chunks(segment) {
            let at = now + self.shape.delay_of_segment();
            match self.on_the_way.back_mut() {
                Some(last) if last.at >= at => last.len = last.len.saturating_add(segment.len()),
                _ => self.on_the_way.push_back(Batch { at, len: segment.len() }),
            }
        }
    }

    /// Counts what has arrived by now.
    fn land(&mut self) {
        if self.on_the_way.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(batch) = self.on_the_way.front().filter(|batch| batch.at <= now) {
            self.arrived = self.arrived.saturating_add(batch.len);
            self.on_the_way.pop_front();
        }
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

    fn arrival_of_end(&self) -> Arrival {
        if self.shape.is_instant() {
            return None;
        }
        let straight = Instant::now() + self.shape.latency();
        Some(self.on_the_way.back().map_or(straight, |last| last.at.max(straight)))
    }
}

/// Wakes a task; to be called without the lock, which the task will want.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn broken_pipe(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, problem)
}

/// Waits for times of arrival. Allocates nothing on a link without delays.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut().poll(cx)
    }
}
