//! A muxer of frames with a type, a stream, a length and a payload.

use async_trait::async_trait;
use futures::FutureExt;
use skep_api::{
    BoxIo, CloseReason, Code, Side,
    muxer::{Muxed, MuxedConn, MuxedStream, Muxer, MuxerError, MuxerErrorKind, Pulse},
    security::Role,
    stream::StreamError,
};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::Instant,
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    Nothing,
    MuxSendsABell,
    JunkPanics,
    WindowIsIgnored,
    OpenWaitsForTheBell,
    AcceptYieldsWithTheStream,
    BacklogIsUnbounded,
    CloseTellsAnotherCode,
    CloseDropsWhatWaits,
    CloseAfterTheEndWaits,
    LossDropsWhatArrived,
    DroppedDriverTellsNobody,
    PongIsNotHeard,
    EveryProbeIsSent,
    ResetIsAnEnd,
    NoCreditAfterShutdown,
    DropIsAnEnd,
    DropTakesBackWhatWaits,
    OneFullStreamStopsAll,
    NoCreditAfterStop,
    NumbersAreSharedByTheEnds,
    FiveHundredStreamsInAll,
    FiftyStreamsAtOnce,
    OneByteReadsAreJunk,
    GoneReadersAreNotTold,
    ResetEmptiesAFinishedStream,
    ResetsOverrideTheEnd,
    ResetDropsWhatWaits,
    LossOverridesTheEnd,
    /// No fault: the peer is told that a reader has stopped.
    StopIsTold,
    StopIsToldWithAnotherCode,
}
use Fault as F;

const DATA: u8 = 0;
const OPEN: u8 = 1;
const FIN: u8 = 2;
const RESET: u8 = 3;
const CREDIT: u8 = 4;
const STOP: u8 = 5;
const CLOSE: u8 = 6;
/// Says that an `OPEN` has arrived.
const BELL: u8 = 7;
const PING: u8 = 8;
const PONG: u8 = 9;

const HEAD: usize = 7;
const WINDOW: usize = 256 * 1024;
/// Streams that may wait to be accepted.
const BACKLOG: usize = 256;
/// Bytes that may wait to be sent before writers wait.
const MAX_OUT: usize = 256 * 1024;

#[derive(Debug)]
pub(crate) struct Frames(pub(crate) Fault);

impl Muxer for Frames {
    fn protocol(&self) -> &str {
        "/frames/1"
    }

    fn mux(&self, mut io: BoxIo, role: Role) -> Muxed {
        if self.0 == F::MuxSendsABell {
            drop(io.write_all(&frame(BELL, 0, &[])).now_or_never());
        }
        let next = if role == Role::Dialer { 1 } else { 2 };
        let heard = Some(Instant::now());
        let shared = Shared(Arc::new(Mutex::new(State { fault: self.0, next, heard, ..State::default() })));
        let driver = Box::pin(drive(shared.clone(), io));
        Muxed { conn: Arc::new(Conn(shared)), driver }
    }
}

#[derive(Clone)]
struct Shared(Arc<Mutex<State>>);

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Frames")
    }
}

#[derive(Default)]
struct State {
    fault: Fault,
    streams: BTreeMap<u32, Half>,
    waiting: VecDeque<u32>,
    out: VecDeque<u8>,
    next: u32,
    opened: usize,
    bells: usize,
    closing: Option<Code>,
    ended: Option<CloseReason>,
    wakers: Vec<Waker>,
    heard: Option<Instant>,
    probe: Option<Instant>,
    latency: Option<Duration>,
}

/// This end of a stream.
#[derive(Default)]
struct Half {
    arrived: VecDeque<u8>,
    /// How reading ends, once it is known: `Ok` is the end of file.
    read_end: Option<Result<(), StreamError>>,
    write_end: Option<StreamError>,
    credit: usize,
    discards: bool,
    stopped: Option<Code>,
    dropped: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn wait<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        poll_fn(|cx| self.lock().poll(cx, &mut ready)).await
    }
}

impl State {
    /// Asks now and after every change.
    fn poll<T>(&mut self, cx: &Context<'_>, ready: impl FnOnce(&mut Self) -> Option<T>) -> Poll<T> {
        match ready(self) {
            Some(value) => Poll::Ready(value),
            None => {
                self.wakers.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn changed(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    fn push(&mut self, kind: u8, id: u32, payload: &[u8]) {
        self.out.extend(frame(kind, id, payload));
        self.changed();
    }

    fn end(&mut self, reason: CloseReason) {
        if self.ended.is_some() {
            return;
        }
        let clear = self.fault == F::LossDropsWhatArrived && matches!(reason, CloseReason::Lost { .. });
        let lost = StreamError::ConnectionLost(reason.clone());
        for half in self.streams.values_mut() {
            if self.fault == F::LossOverridesTheEnd {
                half.read_end = None;
            }
            half.read_end.get_or_insert(Err(lost.clone()));
            half.write_end.get_or_insert(lost.clone());
            if clear {
                half.arrived.clear();
            }
        }
        self.ended = Some(reason);
        self.changed();
    }

    /// False if the stream had ended already.
    fn reset(&mut self, id: u32, by: Side, code: Code) -> bool {
        let Some(half) = self.streams.get_mut(&id) else { return false };
        if half.read_end.is_some() && half.write_end.is_some() && self.fault != F::ResetsOverrideTheEnd {
            return false;
        }
        let error = StreamError::Reset { by, code };
        // What the peer had finished before its reset can still be read.
        let is_kept = by == Side::Remote && half.read_end == Some(Ok(()));
        if !is_kept || self.fault == F::ResetEmptiesAFinishedStream {
            half.arrived.clear();
        }
        if !is_kept {
            half.read_end = Some(Err(error.clone()));
            if self.fault == F::ResetIsAnEnd && code != Code::DROPPED {
                half.read_end = Some(Ok(()));
            }
        }
        if half.write_end != Some(StreamError::Finished) || self.fault == F::ResetsOverrideTheEnd {
            half.write_end = Some(error);
        }
        self.forget(id);
        self.changed();
        true
    }

    /// Removes a stream that nobody holds and that has ended both ways.
    fn forget(&mut self, id: u32) {
        let is_over = |half: &Half| half.dropped && half.read_end.is_some() && half.write_end.is_some();
        if self.streams.get(&id).is_some_and(is_over) {
            self.streams.remove(&id);
        }
    }

    /// Whether `close` may go on to wait for the end.
    fn start_close(&mut self, code: Code) -> bool {
        if self.fault == F::CloseAfterTheEndWaits && self.ended.is_some() {
            return false;
        }
        if self.fault == F::CloseDropsWhatWaits {
            self.out.clear();
        }
        let told = if self.fault == F::CloseTellsAnotherCode { Code(code.0 + 1) } else { code };
        self.push(CLOSE, 0, &told.0.to_be_bytes());
        self.closing = Some(code);
        true
    }

    fn open_streams(&self) -> usize {
        self.streams.values().filter(|half| half.read_end.is_none() || half.write_end.is_none()).count()
    }

    fn grant(&mut self, id: u32, n: usize) {
        let Some(half) = self.streams.get(&id) else { return };
        let shut = half.write_end == Some(StreamError::Finished) && !half.dropped;
        let kept = (self.fault == F::NoCreditAfterShutdown && shut)
            || (self.fault == F::NoCreditAfterStop && half.discards);
        if n > 0 && !kept {
            self.push(CREDIT, id, &(n as u32).to_be_bytes());
        }
    }

    /// Does what a frame says; the reason if it ends the connection.
    fn take(&mut self, kind: u8, id: u32, payload: &[u8]) -> Option<CloseReason> {
        let number = payload.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        if self.fault != F::PongIsNotHeard || kind != PONG {
            self.heard = Some(Instant::now());
        }
        let half = self.streams.get_mut(&id);
        match kind {
            DATA => {
                let half = half?;
                match half.discards || half.dropped || half.read_end.is_some() {
                    true => self.grant(id, payload.len()),
                    false => half.arrived.extend(payload),
                }
            }
            OPEN => {
                self.push(BELL, id, &[]);
                let full = self.waiting.len() >= BACKLOG && self.fault != F::BacklogIsUnbounded;
                let crowded = self.fault == F::FiftyStreamsAtOnce && self.open_streams() >= 50;
                if full || crowded {
                    self.push(RESET, id, &Code::RESOURCE_LIMIT.0.to_be_bytes());
                } else {
                    self.streams.insert(id, Half { credit: WINDOW, ..Half::default() });
                    self.waiting.push_back(id);
                }
            }
            FIN => {
                if let Some(half) = half {
                    half.read_end.get_or_insert(Ok(()));
                }
                self.forget(id);
            }
            RESET => {
                self.reset(id, Side::Remote, Code(number));
            }
            CREDIT => {
                if let Some(half) = half {
                    half.credit = half.credit.saturating_add(number as usize);
                }
            }
            STOP if matches!(self.fault, F::StopIsTold | F::StopIsToldWithAnotherCode) => {
                let wrong = u32::from(self.fault == F::StopIsToldWithAnotherCode);
                if let Some(half) = half {
                    half.write_end.get_or_insert(StreamError::Stopped { code: Code(number + wrong) });
                }
            }
            STOP => {}
            CLOSE => return Some(CloseReason::remote(Code(number))),
            BELL => self.bells += 1,
            PING => self.push(PONG, 0, &[]),
            PONG => self.latency = self.probe.take().map(|sent| sent.elapsed()),
            _ if self.fault == F::JunkPanics => panic!("frame of type {kind}"),
            _ => return Some(CloseReason::Violation { what: format!("frame of type {kind}") }),
        }
        self.changed();
        None
    }
}

fn frame(kind: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16).to_be_bytes();
    [&[kind], id.to_be_bytes().as_slice(), &len, payload].concat()
}

/// Ends the connection also for a driver that is dropped.
struct Ends(Shared);

impl Drop for Ends {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if state.fault != F::DroppedDriverTellsNobody {
            state.end(CloseReason::Lost { what: "the driver was dropped".into() });
        }
    }
}

async fn drive(shared: Shared, io: BoxIo) -> CloseReason {
    let ends = Ends(shared.clone());
    let reason = carry(&shared, io).await;
    shared.lock().end(reason.clone());
    drop(ends);
    reason
}

async fn carry(shared: &Shared, io: BoxIo) -> CloseReason {
    let (mut read, mut write) = tokio::io::split(io);
    let mut inbox = Vec::new();
    let fault = shared.lock().fault;
    loop {
        while let Some((kind, id, payload)) = next_frame(&mut inbox) {
            if let Some(reason) = shared.lock().take(kind, id, &payload) {
                return reason;
            }
        }
        let (chunk, closing, stopped) = {
            let state = shared.lock();
            let is_full = |half: &Half| half.arrived.len() >= WINDOW;
            let stopped = fault == F::OneFullStreamStopsAll && state.streams.values().any(is_full);
            let waiting = state.out.as_slices().0;
            let chunk = waiting[..waiting.len().min(4 * 1024)].to_vec();
            (chunk, state.closing, stopped)
        };
        if let (true, Some(code)) = (chunk.is_empty(), closing) {
            let _ = write.shutdown().await;
            // Until the peer has read all, and goes.
            let mut sink = tokio::io::sink();
            let drained = tokio::io::copy(&mut read, &mut sink);
            let _ = tokio::time::timeout(Duration::from_secs(1), drained).await;
            return CloseReason::local(code);
        }
        let idle = chunk.is_empty();
        tokio::select! {
            n = read.read_buf(&mut inbox), if !stopped => match n {
                Ok(0) => return CloseReason::Lost { what: "end of file".into() },
                Ok(1) if fault == F::OneByteReadsAreJunk => {
                    return CloseReason::Violation { what: "a single byte".into() };
                }
                Ok(_) => {}
                Err(e) => return CloseReason::Lost { what: e.to_string() },
            },
            n = write.write(&chunk), if !idle => match n {
                Ok(n) => {
                    let mut state = shared.lock();
                    let sent = n.min(state.out.len());
                    state.out.drain(..sent);
                    state.changed();
                }
                Err(e) => return CloseReason::Lost { what: e.to_string() },
            },
            () = changes(shared), if idle || stopped => {}
        }
    }
}

/// The next change of the state.
async fn changes(shared: &Shared) {
    let mut asked = false;
    shared.wait(|_| std::mem::replace(&mut asked, true).then_some(())).await;
}

fn next_frame(inbox: &mut Vec<u8>) -> Option<(u8, u32, Vec<u8>)> {
    let head = inbox.first_chunk::<HEAD>()?;
    let [kind, a, b, c, d, e, f] = *head;
    let len = usize::from(u16::from_be_bytes([e, f]));
    if inbox.len() < HEAD + len {
        return None;
    }
    let payload = inbox[HEAD..HEAD + len].to_vec();
    inbox.drain(..HEAD + len);
    Some((kind, u32::from_be_bytes([a, b, c, d]), payload))
}

#[derive(Debug)]
struct Conn(Shared);

fn closed() -> MuxerError {
    MuxerError::new(MuxerErrorKind::Closed, "")
}

#[async_trait]
impl MuxedConn for Conn {
    async fn open(&self) -> Result<Box<dyn MuxedStream>, MuxerError> {
        let opened = self.0.wait(|state| {
            if state.ended.is_some() || state.closing.is_some() {
                return Some(Err(closed()));
            }
            if state.fault == F::FiveHundredStreamsInAll && state.opened >= 500 {
                return Some(Err(MuxerError::new(MuxerErrorKind::TooManyStreams, "")));
            }
            if state.out.len() > MAX_OUT {
                return None;
            }
            let id = state.next;
            state.next += 2;
            state.opened += 1;
            state.streams.insert(id, Half { credit: WINDOW, ..Half::default() });
            state.push(OPEN, id, &[]);
            Some(Ok((id, state.opened)))
        });
        let (id, number) = opened.await?;
        let waits = self.0.lock().fault == F::OpenWaitsForTheBell;
        if waits {
            self.0.wait(|state| (state.bells >= number || state.ended.is_some()).then_some(())).await;
        }
        Ok(Box::new(Stream { shared: self.0.clone(), id, told: None }))
    }

    async fn accept(&self) -> Result<Box<dyn MuxedStream>, MuxerError> {
        let next = self.0.wait(|state| match state.waiting.pop_front() {
            Some(id) => Some(Ok(id)),
            None => state.ended.is_some().then(|| Err(closed())),
        });
        let id = next.await?;
        let yields = self.0.lock().fault == F::AcceptYieldsWithTheStream;
        if yields {
            tokio::task::yield_now().await;
        }
        Ok(Box::new(Stream { shared: self.0.clone(), id, told: None }))
    }

    async fn close(&self, code: Code) {
        if !self.0.lock().start_close(code) {
            return std::future::pending().await;
        }
        self.0.wait(|state| state.ended.is_some().then_some(())).await;
    }

    fn num_streams(&self) -> usize {
        self.0.lock().open_streams()
    }

    fn pulse(&self) -> Option<Pulse> {
        let state = self.0.lock();
        Some(Pulse::new(state.heard?.elapsed(), state.latency))
    }

    fn probe(&self) {
        let mut state = self.0.lock();
        if state.probe.is_none() || state.fault == F::EveryProbeIsSent {
            state.probe = Some(Instant::now());
            state.push(PING, 0, &[]);
        }
    }
}

#[derive(Debug)]
struct Stream {
    shared: Shared,
    id: u32,
    /// How reading has ended, once the reader knows.
    told: Option<Result<(), StreamError>>,
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let this = self.get_mut();
        if let Some(told) = &this.told {
            return Poll::Ready(told.clone().map_err(Into::into));
        }
        this.shared.lock().poll(cx, |state| {
            let half = state.streams.get_mut(&this.id)?;
            if let Some(code) = half.stopped {
                this.told = Some(Err(StreamError::Reset { by: Side::Local, code }));
                return Some(Err(StreamError::Reset { by: Side::Local, code }.into()));
            }
            if half.arrived.is_empty() {
                this.told = half.read_end.clone();
                return half.read_end.clone().map(|end| end.map_err(Into::into));
            }
            let n = half.arrived.as_slices().0.len().min(buf.remaining());
            buf.put_slice(&half.arrived.as_slices().0[..n]);
            half.arrived.drain(..n);
            state.grant(this.id, n);
            state.changed();
            Some(Ok(()))
        })
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.lock().poll(cx, |state| {
            let ignores = state.fault == F::WindowIsIgnored;
            let room = MAX_OUT.saturating_sub(state.out.len());
            let half = state.streams.get_mut(&self.id)?;
            if let Some(error) = &half.write_end {
                return Some(Err(error.clone().into()));
            }
            let credit = if ignores { usize::MAX } else { half.credit };
            let n = buf.len().min(credit).min(room).min(16 * 1024);
            if n == 0 && !buf.is_empty() {
                return None;
            }
            half.credit = half.credit.saturating_sub(n);
            state.push(DATA, self.id, &buf[..n]);
            Some(Ok(n))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.shared.lock();
        let Some(half) = state.streams.get_mut(&self.id) else { return Poll::Ready(Ok(())) };
        match &half.write_end {
            None => {
                half.write_end = Some(StreamError::Finished);
                state.push(FIN, self.id, &[]);
            }
            Some(StreamError::Finished) => {}
            Some(error) => return Poll::Ready(Err(error.clone().into())),
        }
        Poll::Ready(Ok(()))
    }
}

impl MuxedStream for Stream {
    fn id(&self) -> u64 {
        match self.shared.lock().fault {
            F::NumbersAreSharedByTheEnds => u64::from(self.id.div_ceil(2)),
            _ => u64::from(self.id),
        }
    }

    fn reset(&mut self, code: Code) {
        let mut state = self.shared.lock();
        if state.reset(self.id, Side::Local, code) {
            if state.fault == F::ResetDropsWhatWaits {
                state.out.clear();
            }
            state.push(RESET, self.id, &code.0.to_be_bytes());
        }
    }

    fn stop_reading(&mut self, code: Code) {
        let mut state = self.shared.lock();
        let Some(half) = state.streams.get_mut(&self.id).filter(|_| self.told.is_none()) else { return };
        half.discards = true;
        half.stopped.get_or_insert(code);
        let unread = std::mem::take(&mut half.arrived).len();
        state.grant(self.id, unread);
        state.push(STOP, self.id, &code.0.to_be_bytes());
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let Some(half) = state.streams.get_mut(&self.id) else { return };
        half.dropped = true;
        let unread = std::mem::take(&mut half.arrived).len();
        let unfinished = half.write_end.is_none();
        let half_open = half.read_end.is_none();
        if unfinished && state.fault == F::DropIsAnEnd {
            if let Some(half) = state.streams.get_mut(&self.id) {
                half.write_end = Some(StreamError::Finished);
            }
            state.push(FIN, self.id, &[]);
        } else if unfinished {
            state.reset(self.id, Side::Local, Code::DROPPED);
            state.push(RESET, self.id, &Code::DROPPED.0.to_be_bytes());
        } else if state.fault == F::DropTakesBackWhatWaits && state.out.len() > 50_000 {
            state.out.clear();
        } else if half_open && state.fault != F::GoneReadersAreNotTold {
            // The peer may be writing still.
            if let Some(half) = state.streams.get_mut(&self.id) {
                half.read_end = Some(Err(StreamError::Reset { by: Side::Local, code: Code::DROPPED }));
            }
            state.push(RESET, self.id, &Code::DROPPED.0.to_be_bytes());
        }
        state.grant(self.id, unread);
        state.forget(self.id);
    }
}
