//! Steps that take time: counted at their end, and where they are dropped before it.

use super::{CANCELLED, Meters, direction, or_none};
use crate::{
    dial::{DialError, Dialed},
    error::{AttemptError, Stage},
    pipeline::progress::Progress,
};
use skep_api::security::Role;
use std::future::Future;
use tokio::time::Instant;

impl Meters {
    /// Counts and times one step of an upgrade, also one that a deadline or a faster connection ends.
    pub(crate) async fn handshake<T>(
        &self,
        (stage, role): (Stage, Role),
        progress: &Progress,
        step: impl Future<Output = Result<(String, T), AttemptError>>,
    ) -> Result<(String, T), AttemptError> {
        let count = |plugin: &str, outcome: &str| {
            self.handshakes.with(&[stage.name(), or_none(plugin), direction(role), outcome]).inc();
        };
        let begun = Instant::now();
        let unfinished = Unfinished::new(|| count(&progress.plugin(), CANCELLED));
        let result = step.await;
        unfinished.finish();
        match &result {
            Ok((plugin, _)) => {
                count(plugin, "ok");
                let time = self.handshake_time.with(&[stage.name(), or_none(plugin), direction(role)]);
                time.observe_duration(begun.elapsed());
            }
            Err(error) => count(&progress.plugin(), error.cause.code()),
        }
        result
    }

    /// Counts and times what a caller of a dial waits for, also one that stops waiting.
    pub(crate) async fn dial(
        &self,
        dial: impl Future<Output = Result<Dialed, DialError>>,
    ) -> Result<Dialed, DialError> {
        let begun = Instant::now();
        let ended = |outcome: &str, class: Option<&str>| {
            self.dials.with(&[outcome]).inc();
            if let Some(class) = class {
                self.dial_time.with(&[class]).observe_duration(begun.elapsed());
            }
        };
        let unfinished = Unfinished::new(|| ended(CANCELLED, Some(CANCELLED)));
        let result = dial.await;
        unfinished.finish();
        match &result {
            Ok(dialed) if dialed.report.existing => ended("existing", None),
            Ok(_) => ended("connected", Some("connected")),
            Err(error) => ended(error.code(), Some("failed")),
        }
        result
    }

    /// Counts a try of an address that fails or is given up. One that leads to a connection is counted when that is
    /// registered, by [`Meters::registered`].
    pub(crate) async fn attempt<T>(
        &self,
        transport: &str,
        progress: &Progress,
        attempt: impl Future<Output = Result<T, AttemptError>>,
    ) -> Result<T, AttemptError> {
        let unfinished = Unfinished::new(|| {
            self.attempts.with(&[transport, progress.stage().name(), CANCELLED]).inc();
        });
        let result = attempt.await;
        unfinished.finish();
        if let Err(error) = &result {
            self.attempts.with(&[transport, error.stage.name(), error.cause.code()]).inc();
        }
        result
    }
}

/// Calls `count` when it is dropped, unless [`Unfinished::finish`] came first.
pub(super) struct Unfinished<F: FnMut()>(Option<F>);

impl<F: FnMut()> Unfinished<F> {
    pub(super) fn new(count: F) -> Self {
        Self(Some(count))
    }

    pub(super) fn finish(mut self) {
        self.0 = None;
    }
}

impl<F: FnMut()> Drop for Unfinished<F> {
    fn drop(&mut self) {
        if let Some(count) = &mut self.0 {
            count();
        }
    }
}
