//! Accepted connections that have not shown yet which transport they are for.

use crate::{
    accepted::Accepted,
    alarm::Alarm,
    kind::{Kind, LONGEST_START, guess},
};
use std::{
    collections::VecDeque,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{io::ReadBuf, time::Instant};

/// Most connections of a port that wait. Each holds a file descriptor.
pub(crate) const MAX_WAITING: usize = 256;
/// How long a connection may be silent.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection that sent too few bytes is left alone: while those are unread, it always has something to say.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The connections, oldest first. A full set gives up its oldest, so that silent ones do not keep out the honest.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    entries: VecDeque<Entry>,
    alarm: Alarm,
}

#[derive(Debug)]
struct Entry {
    connection: Accepted,
    until: Instant,
    /// Not to be looked at before.
    rests_until: Option<Instant>,
}

/// What is known of a connection.
enum Look {
    Kind(Kind),
    /// Silent so far.
    Silent,
    /// Too few bytes to tell.
    Unclear,
    Gone,
}

impl Waiting {
    pub(crate) fn push(&mut self, connection: Accepted) {
        if self.entries.len() >= MAX_WAITING {
            tracing::debug!("a connection that shows no kind makes room for a new one");
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { connection, until: Instant::now() + PATIENCE, rests_until: None });
    }

    /// The oldest, without a look at it.
    pub(crate) fn pop(&mut self) -> Option<Accepted> {
        self.entries.pop_front().map(|entry| entry.connection)
    }

    /// Hands those on whose kind is known by now. `cx` is woken when there may be more.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, mut hand_on: impl FnMut(Kind, Accepted)) {
        loop {
            let now = Instant::now();
            let mut wake_at: Option<Instant> = None;
            for _ in 0..self.entries.len() {
                let Some(mut entry) = self.entries.pop_front() else { break };
                if entry.rests_until.is_none_or(|until| until <= now) {
                    entry.rests_until = match look(&entry.connection, cx) {
                        Look::Kind(kind) => {
                            hand_on(kind, entry.connection);
                            continue;
                        }
                        Look::Silent => None,
                        Look::Unclear => Some(now + LOOK_AGAIN),
                        Look::Gone => continue,
                    };
                }
                if entry.until > now {
                    let at = entry.rests_until.map_or(entry.until, |at| at.min(entry.until));
                    wake_at = Some(wake_at.map_or(at, |earlier| earlier.min(at)));
                    self.entries.push_back(entry);
                }
            }
            match wake_at {
                Some(at) if self.alarm.poll(at, cx).is_ready() => {}
                _ => return,
            }
        }
    }
}

/// Looks at the first bytes and leaves them where they are.
fn look(connection: &Accepted, cx: &mut Context<'_>) -> Look {
    let Some(stream) = connection.stream() else { return Look::Gone };
    let mut start = [0; LONGEST_START];
    let mut start = ReadBuf::new(&mut start);
    match stream.poll_peek(cx, &mut start) {
        Poll::Pending => Look::Silent,
        Poll::Ready(Ok(1..)) => guess(start.filled()).map_or(Look::Unclear, Look::Kind),
        Poll::Ready(Ok(0) | Err(_)) => Look::Gone,
    }
}
