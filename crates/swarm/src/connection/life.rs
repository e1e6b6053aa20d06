//! The one rule of how long a connection lives, and how a dead peer is noticed.
//!
//! A connection lives while somebody holds a [`Lease`], while it has an open stream of a protocol that counts
//! ([`ProtocolHandler::keeps_alive`](skep_api::protocol::ProtocolHandler::keeps_alive)), and while its peer is protected.
//! Otherwise `[swarm] idle_timeout` runs, from the end of the last of these. Whether the peer is still there is another
//! question, which `[swarm] dead_after` answers.

use super::Shared;
use crate::dial::later;
use skep_api::{
    CloseReason, Code, Side,
    config::{DurationOrNever, DurationText},
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// What keeps a connection alive beside its streams.
#[derive(Debug)]
pub(crate) struct Life {
    leases: AtomicUsize,
    /// When it was of use last.
    used: Mutex<Instant>,
}

impl Life {
    pub(super) fn new(now: Instant) -> Self {
        Self { leases: AtomicUsize::new(0), used: Mutex::new(now) }
    }

    /// It was of use until now.
    pub(crate) fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn add_lease(&self) {
        self.leases.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn leases(&self) -> usize {
        self.leases.load(Ordering::Acquire)
    }

    fn used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a connection from being closed for idleness, until it is dropped. It does not keep it from ending otherwise.
#[derive(Debug)]
#[must_use = "dropping it ends the lease"]
pub struct Lease(Arc<Shared>);

impl Lease {
    pub(super) fn new(conn: Arc<Shared>) -> Self {
        conn.add_lease();
        Self(conn)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // First: the moment at which the last lease ends is the one that counts.
        self.0.life.touch();
        self.0.life.leases.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How a connection ends by the rules of this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Closed in order.
    Idle(CloseReason),
    /// Cut off.
    Dead(CloseReason),
}

/// Waits until the connection is idle for too long, or its peer dead. For ever, if neither can be.
pub(super) async fn watch(conn: &Shared, idle: DurationOrNever, dead: DurationOrNever) -> Verdict {
    loop {
        let now = Instant::now();
        let next = match (check_idle(conn, now, idle), check_dead(conn, now, dead)) {
            (_, Check::Over(reason)) => return Verdict::Dead(reason),
            (Check::Over(reason), _) => return Verdict::Idle(reason),
            (Check::At(a), Check::At(b)) => a.min(b),
            (Check::At(at), Check::Never) | (Check::Never, Check::At(at)) => at,
            (Check::Never, Check::Never) => std::future::pending().await,
        };
        sleep_until(next).await;
    }
}

enum Check {
    Over(CloseReason),
    At(Instant),
    Never,
}

fn check_idle(conn: &Shared, now: Instant, idle: DurationOrNever) -> Check {
    let Some(limit) = idle.0 else { return Check::Never };
    if conn.in_use() {
        // Whenever it falls idle, it is not over before this.
        return Check::At(later(now, limit));
    }
    let due = later(conn.life.used(), limit);
    if now < due {
        return Check::At(due);
    }
    let idle_for = DurationText(whole(now.saturating_duration_since(conn.life.used())));
    let text = format!("of no use for {idle_for}; `swarm.idle_timeout` is {idle}");
    Check::Over(CloseReason::Closed { by: Side::Local, code: Code::GARBAGE_COLLECTED, text })
}

fn check_dead(conn: &Shared, now: Instant, dead: DurationOrNever) -> Check {
    let (Some(limit), Some(pulse)) = (dead.0, conn.conn.pulse()) else { return Check::Never };
    let left = limit.saturating_sub(pulse.silent);
    if left.is_zero() {
        let silent = DurationText(whole(pulse.silent));
        let what = format!("nothing came from the peer for {silent}; `swarm.dead_after` is {dead}");
        return Check::Over(CloseReason::Lost { what });
    }
    let half = limit / 2;
    if pulse.silent < half {
        return Check::At(later(now, half.saturating_sub(pulse.silent)));
    }
    conn.conn.probe();
    Check::At(later(now, left))
}

/// Milliseconds are what the configuration knows.
fn whole(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
