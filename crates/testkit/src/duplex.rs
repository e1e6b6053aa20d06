//! An in-memory duplex byte stream with the faults of a real one.
//!
//! It works under paused time: delays are timers, and nothing runs in the background.

use skep_api::{BoxIo, security::Role};
use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// How a duplex behaves. The default is a fast and faultless one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuplexConfig {
    /// How long a byte is on its way, in each direction.
    pub latency: Duration,
    /// Most bytes that are on their way in each direction; a writer waits for room.
    pub capacity: usize,
    /// Most bytes that one read returns.
    pub max_read: usize,
    /// Most bytes that one write takes.
    pub max_write: usize,
    /// After so many bytes, both directions together, the connection is lost: everything fails.
    pub lose_after: Option<usize>,
}

impl Default for DuplexConfig {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            capacity: 64 * 1024,
            max_read: usize::MAX,
            max_write: usize::MAX,
            lose_after: None,
        }
    }
}

impl DuplexConfig {
    /// Reads and writes of at most so many bytes each.
    #[must_use]
    pub fn short(max_read: usize, max_write: usize) -> Self {
        Self { max_read, max_write, ..Self::default() }
    }

    /// The same with a latency in each direction.
    #[must_use]
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// The same, lost after so many bytes.
    #[must_use]
    pub fn lost_after(mut self, bytes: usize) -> Self {
        self.lose_after = Some(bytes);
        self
    }

    /// The same with room for so many bytes in each direction.
    #[must_use]
    pub fn with_capacity(mut self, bytes: usize) -> Self {
        self.capacity = bytes;
        self
    }
}

/// Two ends that are connected, the dialler's first.
#[must_use]
pub fn duplex(config: DuplexConfig) -> (BoxIo, BoxIo) {
    let (dialer, listener, _) = wiretap(config);
    (dialer, listener)
}

/// Two ends that are connected, the dialler's first, and a hand on the wire between them.
#[must_use]
pub fn wiretap(config: DuplexConfig) -> (BoxIo, BoxIo, Wire) {
    let shared = Arc::new(Mutex::new(Shared {
        config,
        from_dialer: Lane::default(),
        from_listener: Lane::default(),
        carried: 0,
        lost: false,
    }));
    let end = |role| Box::new(End { shared: Arc::clone(&shared), role, timer: None });
    (end(Role::Dialer), end(Role::Listener), Wire { shared: Arc::clone(&shared) })
}

/// The wire of a duplex: sees what passes, and does to it what an attacker or a bad line would.
///
/// Offsets count the bytes that one end wrote since the start.
#[derive(Clone)]
pub struct Wire {
    shared: Arc<Mutex<Shared>>,
}

impl Wire {
    /// What this end has written so far, before any tampering.
    #[must_use]
    pub fn sent_by(&self, role: Role) -> Vec<u8> {
        lock(&self.shared).lane(role).record.clone()
    }

    /// Changes a byte that this end is still to write: it arrives as `byte ^ mask`.
    pub fn flip(&self, role: Role, offset: usize, mask: u8) {
        lock(&self.shared).lane(role).flip = Some((offset, mask));
    }

    /// Lets the bytes of this end up to `offset` pass, and then the end of file; the writer does not notice.
    pub fn cut(&self, role: Role, offset: usize) {
        let mut shared = lock(&self.shared);
        let at = Instant::now() + shared.config.latency;
        let lane = shared.lane(role);
        lane.cut = Some(offset);
        if lane.record.len() >= offset {
            lane.end(at);
        }
    }

    /// Puts bytes on the wire as if this end had written them. They are not recorded.
    pub fn inject(&self, role: Role, bytes: &[u8]) {
        let mut shared = lock(&self.shared);
        let at = Instant::now() + shared.config.latency;
        shared.lane(role).push(at, bytes.to_vec());
    }

    /// Loses the connection, in both directions at once.
    pub fn lose(&self) {
        lock(&self.shared).lose();
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

struct Shared {
    config: DuplexConfig,
    from_dialer: Lane,
    from_listener: Lane,
    carried: usize,
    lost: bool,
}

/// One direction.
#[derive(Default)]
struct Lane {
    /// Bytes with the instant at which they arrive.
    queue: VecDeque<(Instant, VecDeque<u8>)>,
    queued: usize,
    record: Vec<u8>,
    ends_at: Option<Instant>,
    reader_is_gone: bool,
    flip: Option<(usize, u8)>,
    cut: Option<usize>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Shared {
    /// The direction that this end writes.
    fn lane(&mut self, writer: Role) -> &mut Lane {
        match writer {
            Role::Dialer => &mut self.from_dialer,
            Role::Listener => &mut self.from_listener,
        }
    }

    fn lose(&mut self) {
        self.lost = true;
        for lane in [&mut self.from_dialer, &mut self.from_listener] {
            lane.wake_reader();
            lane.wake_writer();
        }
    }

    fn write(&mut self, role: Role, buf: &[u8], cx: &Context<'_>) -> Poll<io::Result<usize>> {
        let config = self.config;
        if self.lost {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let carried = self.carried;
        let lane = self.lane(role);
        if lane.reader_is_gone || (lane.ends_at.is_some() && lane.cut.is_none()) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = config.capacity.saturating_sub(lane.queued);
        if room == 0 && !buf.is_empty() {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let budget = config.lose_after.map_or(usize::MAX, |limit| limit.saturating_sub(carried));
        let taken = buf.len().min(room).min(config.max_write).min(budget);
        lane.carry(buf.get(..taken).unwrap_or(buf), Instant::now() + config.latency);
        self.carried = carried.saturating_add(taken);
        if config.lose_after.is_some_and(|limit| self.carried >= limit) {
            self.lose();
        }
        Poll::Ready(Ok(taken))
    }
}

impl Lane {
    /// Takes what the writer wrote, with the tampering that was asked for.
    fn carry(&mut self, bytes: &[u8], at: Instant) {
        let start = self.record.len();
        self.record.extend_from_slice(bytes);
        let mut bytes = bytes.to_vec();
        if let Some((offset, mask)) = self.flip
            && let Some(byte) = offset.checked_sub(start).and_then(|i| bytes.get_mut(i))
        {
            *byte ^= mask;
        }
        let Some(cut) = self.cut else { return self.push(at, bytes) };
        bytes.truncate(cut.saturating_sub(start));
        self.push(at, bytes);
        if self.record.len() >= cut {
            self.end(at);
        }
    }

    fn push(&mut self, at: Instant, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.queued = self.queued.saturating_add(bytes.len());
        self.queue.push_back((at, bytes.into()));
        self.wake_reader();
    }

    fn end(&mut self, at: Instant) {
        self.ends_at.get_or_insert(at);
        self.wake_reader();
    }

    /// Reads what has arrived. `Err` is the instant to wait for, if there is one.
    fn read(&mut self, buf: &mut ReadBuf<'_>, max_read: usize) -> Result<(), Option<Instant>> {
        let now = Instant::now();
        let Some((at, bytes)) = self.queue.front_mut() else {
            return match self.ends_at {
                Some(at) if at <= now => Ok(()),
                at => Err(at),
            };
        };
        if *at > now {
            return Err(Some(*at));
        }
        let (front, _) = bytes.as_slices();
        let taken = front.len().min(max_read).min(buf.remaining());
        buf.put_slice(front.get(..taken).unwrap_or_default());
        bytes.drain(..taken);
        if bytes.is_empty() {
            self.queue.pop_front();
        }
        self.queued = self.queued.saturating_sub(taken);
        self.wake_writer();
        Ok(())
    }

    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

struct End {
    shared: Arc<Mutex<Shared>>,
    role: Role,
    timer: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let mut shared = lock(&this.shared);
            if shared.lost {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            let max_read = shared.config.max_read;
            let lane = shared.lane(other(this.role));
            match lane.read(buf, max_read) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(wait_for) => {
                    lane.reader = Some(cx.waker().clone());
                    drop(shared);
                    let Some(at) = wait_for else { return Poll::Pending };
                    let timer = this.timer.insert(Box::pin(sleep_until(at)));
                    if timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        lock(&self.shared).write(self.role, buf, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match lock(&self.shared).lost {
            true => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            false => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = lock(&self.shared);
        let at = Instant::now() + shared.config.latency;
        shared.lane(self.role).end(at);
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        let at = Instant::now() + shared.config.latency;
        shared.lane(self.role).end(at);
        let lane = shared.lane(other(self.role));
        lane.reader_is_gone = true;
        lane.wake_writer();
    }
}

fn other(role: Role) -> Role {
    match role {
        Role::Dialer => Role::Listener,
        Role::Listener => Role::Dialer,
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // A panic of one end must show as such, not as a poisoned lock of the other.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
