//! Operations: before, after, and dropped in between.

use super::hooks::{Hooks, Operation, Outcome};
use crate::injected::LayerError;
use std::{fmt::Display, future::Future};
use tokio::time::Instant;

/// Does an operation between the hooks. Dropping it drops the work, and tells the hooks.
pub(super) async fn run<H: Hooks, T, E: LayerError>(
    hooks: &H,
    operation: Operation,
    subject: &(dyn Display + Sync),
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let mut running = Running { hooks, operation, subject, begun: Instant::now(), ended: false };
    let result = match hooks.before(operation).await {
        Ok(()) => work.await,
        Err(why) => Err(E::injected(operation, subject, why)),
    };
    running.end(outcome(&result));
    result
}

/// Tells the hooks of an operation that was waited for.
pub(super) fn done<H: Hooks, T, E: LayerError>(
    hooks: &H,
    operation: Operation,
    subject: &dyn Display,
    result: &Result<T, E>,
) {
    hooks.after(operation, subject, outcome(result), None);
}

fn outcome<T, E: LayerError>(result: &Result<T, E>) -> Outcome<'_> {
    match result {
        Ok(_) => Outcome::Done,
        Err(error) => Outcome::Failed(error.code(), error),
    }
}

/// An operation that has begun.
struct Running<'a, H: Hooks> {
    hooks: &'a H,
    operation: Operation,
    subject: &'a (dyn Display + Sync),
    begun: Instant,
    ended: bool,
}

impl<H: Hooks> Running<'_, H> {
    fn end(&mut self, outcome: Outcome<'_>) {
        self.ended = true;
        self.hooks.after(self.operation, self.subject, outcome, Some(self.begun.elapsed()));
    }
}

impl<H: Hooks> Drop for Running<'_, H> {
    fn drop(&mut self) {
        if !self.ended {
            self.end(Outcome::Cancelled);
        }
    }
}
