//! The two directions of a duplex.

use super::DuplexConfig;
use skep_api::security::Role;
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use tokio::{io::ReadBuf, time::Instant};

/// What the two ends and the wire share.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(super) fn new(config: DuplexConfig) -> Self {
        let (from_dialer, from_listener) = (Lane::default(), Lane::default());
        Self(Arc::new(Mutex::new(State { config, from_dialer, from_listener, carried: 0, lost: false })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of one end must show as such, not as a poisoned lock of the other.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct State {
    pub(super) config: DuplexConfig,
    from_dialer: Lane,
    from_listener: Lane,
    carried: usize,
    pub(super) lost: bool,
}

/// One direction.
#[derive(Default)]
pub(super) struct Lane {
    /// Bytes with the instant at which they arrive.
    queue: VecDeque<(Instant, VecDeque<u8>)>,
    queued: usize,
    pub(super) record: Vec<u8>,
    pub(super) ends_at: Option<Instant>,
    pub(super) reader_gone_at: Option<Instant>,
    pub(super) flip: Option<(usize, u8)>,
    pub(super) cut: Option<usize>,
    pub(super) reader: Option<Waker>,
    writer: Option<Waker>,
}

impl State {
    /// The direction that this end writes.
    pub(super) fn lane(&mut self, writer: Role) -> &mut Lane {
        match writer {
            Role::Dialer => &mut self.from_dialer,
            Role::Listener => &mut self.from_listener,
        }
    }

    pub(super) fn lose(&mut self) {
        self.lost = true;
        for lane in [&mut self.from_dialer, &mut self.from_listener] {
            lane.wake_reader();
            lane.wake_writer();
        }
    }

    pub(super) fn write(&mut self, role: Role, buf: &[u8], cx: &Context<'_>) -> Poll<io::Result<usize>> {
        let config = self.config;
        if self.lost {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let carried = self.carried;
        let lane = self.lane(role);
        if lane.ends_at.is_some() && lane.cut.is_none() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if let Some(gone_at) = lane.reader_gone_at {
            return Poll::Ready(lane.write_in_vain(buf, gone_at + config.latency * 2));
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

    /// A write towards an end that is gone: taken for a round trip, as on a socket, and refused after that.
    fn write_in_vain(&mut self, buf: &[u8], refused_from: Instant) -> io::Result<usize> {
        if Instant::now() >= refused_from {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.record.extend_from_slice(buf);
        Ok(buf.len())
    }

    pub(super) fn push(&mut self, at: Instant, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.queued = self.queued.saturating_add(bytes.len());
        self.queue.push_back((at, bytes.into()));
        self.wake_reader();
    }

    pub(super) fn end(&mut self, at: Instant) {
        self.ends_at.get_or_insert(at);
        self.wake_reader();
    }

    /// Reads what has arrived. `Err` is the instant to wait for, if there is one.
    pub(super) fn read(&mut self, buf: &mut ReadBuf<'_>, max_read: usize) -> Result<(), Option<Instant>> {
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

    pub(super) fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}
