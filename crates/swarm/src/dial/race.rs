//! When the next address is started: a clockwork without a clock, which is told what happened and when.
//!
//! Addresses start in the ranker's order and at its pace, with two exceptions: a failure starts the next at once, and a
//! handshake under way holds the next back by its head start. Never more than the limit run at the same time.

use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

use super::later;

/// A line of the dial in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Runner {
    /// Which one.
    pub(crate) line: usize,
    /// How long after the start of the one before it; `None` to wait for a failure.
    pub(crate) gap: Option<Duration>,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Start this line now.
    Start(usize),
    /// Ask again then, or when something has happened.
    WaitUntil(Instant),
    /// Ask again when something has happened.
    Wait,
    /// There is nothing to start.
    Empty,
}

/// The order of the addresses that have not been started.
#[derive(Debug)]
pub(crate) struct Race {
    waiting: VecDeque<Runner>,
    limit: usize,
    running: usize,
    /// When the last one started; the beginning of the dial before the first.
    last_start: Instant,
    /// A failure has made room for the next.
    hurry: bool,
    /// No start before this, unless in a hurry.
    held_back: Instant,
}

impl Race {
    pub(crate) fn new(limit: usize, now: Instant) -> Self {
        Self {
            waiting: VecDeque::new(),
            limit: limit.max(1),
            running: 0,
            last_start: now,
            hurry: false,
            held_back: now,
        }
    }

    /// Sets who waits, in order.
    pub(crate) fn line_up(&mut self, runners: impl IntoIterator<Item = Runner>) {
        self.waiting = runners.into_iter().collect();
    }

    /// Sets one that could not run to the head of the line, to wait until another has ended.
    pub(crate) fn put_back(&mut self, line: usize) {
        self.waiting.push_front(Runner { line, gap: None });
    }

    /// Whether the first in the line waits for time, and not for a failure.
    pub(crate) fn is_paced(&self) -> bool {
        self.waiting.front().is_some_and(|first| first.gap.is_some())
    }

    /// Sets one that has to start anew to the end of the line.
    pub(crate) fn line_up_last(&mut self, line: usize) {
        self.waiting.push_back(Runner { line, gap: Some(Duration::ZERO) });
    }

    /// What to do now. What it says to start counts as started.
    pub(crate) fn next(&mut self, now: Instant) -> Step {
        let step = self.peek(now);
        if matches!(step, Step::Start(_)) {
            self.waiting.pop_front();
            self.started(now);
        }
        step
    }

    /// What there is to do, without doing it.
    pub(crate) fn peek(&self, now: Instant) -> Step {
        let Some(first) = self.waiting.front() else { return Step::Empty };
        if !self.has_room() {
            return Step::Wait;
        }
        // Nobody waits for a race in which nobody runs.
        if self.hurry || self.running == 0 {
            return Step::Start(first.line);
        }
        match first.gap.map(|gap| later(self.last_start, gap).max(self.held_back)) {
            None => Step::Wait,
            Some(due) if now < due => Step::WaitUntil(due),
            Some(_) => Step::Start(first.line),
        }
    }

    /// A line was started out of turn, as a retry is.
    pub(crate) fn started(&mut self, now: Instant) {
        self.running = self.running.saturating_add(1);
        self.last_start = now;
        self.hurry = false;
    }

    /// Whether one more may run.
    pub(crate) fn has_room(&self) -> bool {
        self.running < self.limit
    }

    /// One that ran has failed.
    pub(crate) fn failed(&mut self) {
        self.ended();
        self.hurry = true;
    }

    /// One that ran has come to its end.
    pub(crate) fn ended(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// The connection of one that runs stands, and its handshake is under way.
    pub(crate) fn connected(&mut self, head_start: Duration, now: Instant) {
        self.held_back = self.held_back.max(later(now, head_start));
    }
}

#[cfg(test)]
mod tests;
