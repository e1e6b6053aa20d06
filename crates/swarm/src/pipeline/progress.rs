//! How far an attempt has come, readable from outside while it runs and when a deadline ends it.

use crate::error::{AttemptError, Cause, Stage};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// How far an attempt has come.
#[derive(Default)]
pub(crate) struct Progress {
    state: Mutex<State>,
    watcher: Option<Arc<Notify>>,
}

#[derive(Debug, Default)]
struct State {
    started: Option<Instant>,
    at: Option<(Stage, String)>,
}

impl Progress {
    /// One that wakes `watcher` when it is under way, and when its connection stands.
    pub(crate) fn watched(watcher: Arc<Notify>) -> Self {
        Self { watcher: Some(watcher), ..Self::default() }
    }

    /// For another try, which the same watcher watches.
    pub(crate) fn anew(&self) -> Self {
        Self { watcher: self.watcher.clone(), ..Self::default() }
    }

    /// Something is sent from now on. Counts once.
    pub(crate) fn start(&self) {
        self.lock().started.get_or_insert_with(Instant::now);
    }

    /// The attempt is at this stage now, in the hands of this plugin.
    pub(crate) fn at(&self, stage: Stage, plugin: &str) {
        let before = self.lock().at.replace((stage, plugin.into()));
        // Nobody waits for more than that it is under way, and that its connection stands.
        let stands = stage > Stage::Connect && before.is_none_or(|(before, _)| before <= Stage::Connect);
        if let Some(watcher) = self.watcher.as_ref().filter(|_| stands || stage == Stage::Connect) {
            watcher.notify_one();
        }
    }

    /// When something was sent first.
    pub(crate) fn started(&self) -> Option<Instant> {
        self.lock().started
    }

    pub(crate) fn stage(&self) -> Stage {
        self.lock().at.as_ref().map_or(Stage::Queue, |(stage, _)| *stage)
    }

    /// The plugin in whose hands it is; empty where it is the framework itself.
    pub(crate) fn plugin(&self) -> String {
        self.lock().at.as_ref().map(|(_, plugin)| plugin.clone()).unwrap_or_default()
    }

    /// The error of an attempt that a deadline has ended where it is.
    pub(crate) fn timed_out(&self, after: Duration) -> AttemptError {
        let (stage, plugin) = self.lock().at.clone().unwrap_or((Stage::Queue, String::new()));
        AttemptError::new(stage, plugin, Cause::TimedOut(after))
    }

    /// The error of an attempt in which a plugin has panicked.
    pub(crate) fn panicked(&self) -> AttemptError {
        let (stage, plugin) = self.lock().at.clone().unwrap_or((Stage::Queue, String::new()));
        tracing::error!(%stage, %plugin, "A plugin panicked over an address that was dialled.");
        AttemptError::new(stage, plugin, Cause::Panicked)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.lock(), f)
    }
}
