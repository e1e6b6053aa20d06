//! How the tries of a dial end, and what follows for the address, the peer and the race.

use super::{
    attempt::{Attempted, is_wrong_peer},
    flight::Flight,
    later,
    lines::LineState,
    report::AddrOutcome,
};
use crate::{
    connection::SwarmConn,
    error::{AttemptError, Cause, Stage},
    pipeline::admit::Approved,
};
use skep_api::error::Retry;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use tokio::time::Instant;

impl Flight {
    pub(super) fn attempted(&mut self, attempted: Attempted) {
        let Attempted { line, target, result } = attempted;
        let established = match result {
            Ok(established) => established,
            Err(error) => return self.failed(line, target, error),
        };
        let found = established.info.peer;
        // A gate that panics costs this address, as a transport does.
        let register = || self.node.register(established);
        let registered = catch_unwind(AssertUnwindSafe(register));
        let panicked = |_| Err(AttemptError::new(Stage::Gate, "", Cause::Panicked));
        let registered = registered.unwrap_or_else(panicked);
        self.node.meters.registered(target.transport(), &registered);
        match registered {
            Ok(connection) => self.connected(line, &connection),
            Err(error) => {
                self.failed(line, target, error);
                // The peer may have come first and taken the last place there was for it.
                if self.place.is_some() {
                    self.take_existing(found, false);
                }
            }
        }
    }

    fn connected(&mut self, position: usize, connection: &SwarmConn) {
        self.race.ended();
        let Some(line) = self.lines.all.get_mut(position) else { return };
        line.end(AddrOutcome::Connected { connection: connection.id() });
        let started = line.started();
        self.node.dialer.succeeded(line.expected(self.peer), &line.addr);
        self.won = Some(connection.clone());
        self.answer(connection, false, |_| true);
        if self.waiters.is_empty() {
            for line in self.lines.all.iter().filter(|line| line.is_silent()) {
                self.node.dialer.outrun(line, started);
            }
        }
    }

    fn failed(&mut self, position: usize, target: Approved, error: AttemptError) {
        if self.put_back(position, &target, &error) {
            return;
        }
        if self.lines.all.get(position).is_some_and(|line| line.cut.is_cancelled()) {
            return self.start_anew(position, target, error);
        }
        self.race.failed();
        let (now, begun) = (Instant::now(), self.lines.begun);
        let Some(line) = self.lines.all.get_mut(position) else { return };
        let dialer = &self.node.dialer;
        let retry = (error.cause.retry() == Retry::Soon)
            .then(|| dialer.retry().delay(line.retries, dialer.random()))
            .flatten()
            .map(|delay| later(now, delay))
            .filter(|at| *at <= later(begun, dialer.retry().max_elapsed.0));
        if let Some(at) = retry {
            return line.retry(target, at, error);
        }
        let expected = line.expected(self.peer);
        dialer.failed(expected, &line.addr, &error);
        if let (Some(expected), None, true) = (expected, &line.resolved_from, is_wrong_peer(&error)) {
            // Only this address: one that is stale, or a lie, must not cost the peer the others. A name may lead to
            // the peer tomorrow.
            self.node.forget_addr(&expected, &line.addr);
        }
        if line.started().is_some() {
            line.end(AddrOutcome::Failed(Arc::new(error)));
        } else {
            line.skip(error);
        }
    }

    /// Sets an address that was cut off to make room for others to the end of the line.
    fn start_anew(&mut self, position: usize, target: Approved, error: AttemptError) {
        let Some(line) = self.lines.all.get_mut(position) else { return };
        line.start_anew(target, error);
        self.race.ended();
        self.race.line_up_last(position);
    }

    /// Lets an address wait that found no room for one more connection, if others of this dial take that room: when one of
    /// them ends there is some again.
    fn put_back(&mut self, position: usize, target: &Approved, error: &AttemptError) -> bool {
        let full = matches!((error.stage, &error.cause), (Stage::Queue, Cause::Limit(_)));
        let running = self.lines.all.iter().filter(|line| matches!(line.state, LineState::Running)).count();
        let Some(line) = self.lines.all.get_mut(position).filter(|_| full && running > 1) else {
            return false;
        };
        line.state = LineState::Waiting(target.clone());
        self.race.ended();
        self.race.put_back(position);
        true
    }
}
