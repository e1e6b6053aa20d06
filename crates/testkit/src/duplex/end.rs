//! An end of a duplex.

use super::lane::Shared;
use skep_api::security::Role;
use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// One end; `role` is whose.
pub(super) struct End {
    shared: Shared,
    role: Role,
    timer: Option<Pin<Box<Sleep>>>,
}

impl End {
    pub(super) fn new(shared: Shared, role: Role) -> Self {
        Self { shared, role, timer: None }
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let mut shared = this.shared.lock();
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
        self.shared.lock().write(self.role, buf, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.shared.lock().lost {
            true => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            false => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.shared.lock();
        let at = Instant::now() + shared.config.latency;
        shared.lane(self.role).end(at);
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut shared = self.shared.lock();
        let at = Instant::now() + shared.config.latency;
        shared.lane(self.role).end(at);
        let lane = shared.lane(other(self.role));
        lane.reader_gone_at = Some(Instant::now());
        lane.wake_writer();
    }
}

fn other(role: Role) -> Role {
    match role {
        Role::Dialer => Role::Listener,
        Role::Listener => Role::Dialer,
    }
}
