//! The signals that end a node, and the one that reloads it.

use std::io;

/// The signal that asks for a reload.
pub(super) const RELOAD: &str = "SIGHUP";

/// Ctrl-C, SIGTERM and SIGHUP, caught from when this is made: none is missed between two calls of `next`.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    reload: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next and says which it was.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.reload.recv() => RELOAD,
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
#[derive(Debug)]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for the next and says which it was.
    pub(super) async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}

impl Signals {
    /// Waits for the next that ends the node.
    pub(super) async fn end(&mut self) -> &'static str {
        loop {
            match self.next().await {
                RELOAD => {}
                signal => return signal,
            }
        }
    }
}
