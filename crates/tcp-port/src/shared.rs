//! A listening socket, and its connections on their way to the transports on it.
//!
//! No task drives it: each transport that waits in `accept` does what there is to do, for itself and for the others. All
//! state is here and none in the futures of `accept`, so any of them can be dropped at any time; the socket closes with
//! the last listener and not a moment later; and while no transport accepts, connections stay in the system's queue.

use crate::{
    accepted::Accepted,
    judge::{Rests, Verdict, judge},
    kind::Kind,
    lanes::Lanes,
    socket,
    waiting::Waiting,
    wakers::Wakers,
};
use skep_api::Multiaddr;
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};
use tokio::net::TcpListener;

/// A bound port.
#[derive(Debug)]
pub(crate) struct Shared {
    wakers: Arc<Wakers>,
    /// `wakers` as what sockets and timers are given.
    waker: Waker,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    socket: TcpListener,
    /// What logs call it.
    addr: Multiaddr,
    rests: Rests,
    lanes: Lanes,
    waiting: Waiting,
}

impl Shared {
    /// A port without a lane.
    pub(crate) fn new(socket: TcpListener, addr: Multiaddr) -> Self {
        let wakers = Arc::new(Wakers::default());
        let waker = Arc::clone(&wakers).into();
        let (rests, lanes, waiting) = Default::default();
        Self { wakers, waker, state: Mutex::new(State { socket, addr, rests, lanes, waiting }) }
    }

    /// Opens the lane of a kind; false if it is taken.
    pub(crate) fn open(&self, kind: Kind) -> bool {
        self.lock().lanes.open(kind)
    }

    /// Closes the lane of a kind; true if that was the last.
    pub(crate) fn close(&self, kind: Kind) -> bool {
        let mut state = self.lock();
        state.lanes.close(kind);
        let last = state.lanes.is_empty();
        drop(state);
        // What was left behind may now be for another.
        Kind::ALL.into_iter().for_each(|kind| self.wakers.wake_kind(kind));
        last
    }

    /// Lets dials start from this port.
    pub(crate) fn let_dials_share(&self) -> io::Result<()> {
        socket::share_port(&socket2::SockRef::from(&self.lock().socket))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.lock().socket.local_addr()
    }

    /// The next connection of a kind. An error means that the socket is dead.
    pub(crate) fn poll_accept(&self, kind: Kind, cx: &Context<'_>) -> Poll<io::Result<Accepted>> {
        self.wakers.set(kind, cx.waker());
        let mut state = self.lock();
        state.poll(kind, &self.wakers, &mut Context::from_waker(&self.waker))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn poll(&mut self, kind: Kind, wakers: &Wakers, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        loop {
            self.tell_apart(kind, wakers, cx);
            let ready = self.lanes.pop(kind);
            if let Some(connection) = ready.or_else(|| self.left_behind()) {
                return Poll::Ready(Ok(connection));
            }
            let connection = ready!(self.poll_socket(cx))?;
            if self.lanes.is_single() {
                return Poll::Ready(Ok(connection));
            }
            self.waiting.push(connection);
        }
    }

    /// One that waited to be told apart from those of transports that are gone: nothing has to be told apart any more.
    fn left_behind(&mut self) -> Option<Accepted> {
        if self.lanes.is_single() { self.waiting.pop() } else { None }
    }

    /// Moves those that wait into the lane of their kind, and wakes whoever waits there.
    fn tell_apart(&mut self, polled: Kind, wakers: &Wakers, cx: &mut Context<'_>) {
        let Self { lanes, waiting, .. } = self;
        if lanes.is_single() {
            return;
        }
        waiting.poll(cx, |kind, connection| match lanes.lane_for(kind) {
            Some(lane) => {
                lanes.push(lane, connection);
                if lane != polled {
                    wakers.wake_kind(lane);
                }
            }
            None => tracing::debug!(?kind, "a connection is turned away: no transport here takes its kind"),
        });
    }

    /// The next connection of any kind.
    fn poll_socket(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        loop {
            ready!(self.rests.poll(cx));
            let error = match ready!(self.socket.poll_accept(cx)) {
                Ok((stream, remote)) => match Accepted::new(stream, remote) {
                    Ok(connection) => {
                        self.rests.end();
                        return Poll::Ready(Ok(connection));
                    }
                    Err(_) => continue,
                },
                Err(error) => error,
            };
            match judge(&error) {
                Verdict::Skip => tracing::debug!(addr = %self.addr, %error, "a connection died in the queue"),
                Verdict::Rest => self.rests.begin(&self.addr, &error),
                Verdict::Dead => return Poll::Ready(Err(error)),
            }
        }
    }
}
