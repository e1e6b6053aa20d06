//! `reload`: another configuration for the running node.

use super::protocol::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use skep_api::ConfigErrors;
use skep_swarm::{KeyChange, ReloadError, ReloadOptions, ReloadReport, Swarm, profile::Profile};
use std::{fmt, sync::Arc};

/// Reads the configuration again, from where it was read when the node was started.
#[derive(Clone)]
pub struct Source(Arc<dyn Fn() -> Result<Profile, ConfigErrors> + Send + Sync>);

impl Source {
    /// A source that reads by this function.
    #[must_use]
    pub fn new(read: impl Fn() -> Result<Profile, ConfigErrors> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// Reads it and gives it to the node.
    ///
    /// # Errors
    /// [`ReloadError`]; the node runs as before.
    pub async fn reload(&self, node: &Swarm, options: ReloadOptions) -> Result<ReloadReport, ReloadError> {
        node.reload(&(self.0)()?, options).await
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

/// The answer to `reload`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reloaded {
    /// Whether everything was left as it was.
    pub dry_run: bool,
    /// Keys whose value differs.
    pub changes: Vec<Change>,
    /// Addresses that are listened on since.
    pub bound: Vec<String>,
    /// Addresses that are not listened on any more.
    pub unbound: Vec<String>,
    /// Services that were started.
    pub started: Vec<String>,
    /// Services that were ended.
    pub stopped: Vec<String>,
    /// Connections that the gates were asked about again; `None` if they were not asked.
    pub rechecked: Option<usize>,
    /// Those that were closed because a gate denies them now.
    pub closed: Vec<Closed>,
    /// How long it took.
    pub seconds: f64,
}

/// A key whose value differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// Its path.
    pub key: String,
    /// The value that was in effect.
    pub before: Option<Value>,
    /// The value that is.
    pub after: Option<Value>,
    /// Where that came from.
    pub origin: String,
    /// When it has effect: `live` or `new_connections`.
    pub effect: String,
}

/// A connection that was closed because a gate denies it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Closed {
    /// The connection.
    pub id: u64,
    /// The peer.
    pub peer: String,
    /// The gate.
    pub gate: String,
    /// Its reason and its rule.
    pub denial: String,
}

impl From<KeyChange> for Change {
    fn from(change: KeyChange) -> Self {
        let (origin, effect) = (change.origin.to_string(), change.reload.name().into());
        Self { key: change.path, before: change.before, after: change.after, origin, effect }
    }
}

impl From<ReloadReport> for Reloaded {
    fn from(report: ReloadReport) -> Self {
        let rechecked = report.rechecked.unwrap_or_default();
        let closed = rechecked.closed.into_iter().map(|closed| Closed {
            id: closed.id,
            peer: closed.peer.to_string(),
            gate: closed.gate,
            denial: closed.denial,
        });
        Self {
            dry_run: report.dry_run,
            changes: report.changes.into_iter().map(Change::from).collect(),
            bound: report.bound.iter().map(ToString::to_string).collect(),
            unbound: report.unbound.iter().map(ToString::to_string).collect(),
            started: report.started,
            stopped: report.stopped,
            rechecked: (rechecked.judged > 0).then_some(rechecked.judged),
            closed: closed.collect(),
            seconds: report.elapsed.as_secs_f64(),
        }
    }
}

/// Why it was not done, in a form for the other end.
pub(super) fn refusal(error: &ReloadError) -> Refusal {
    let unchanged = "the node runs as before";
    match error {
        ReloadError::Config(errors) => {
            let problems =
                errors.iter().map(|e| format!("{}: {} [{}]; {}", e.key, e.problem, e.origin, e.help));
            let refusal = Refusal::new("the new configuration has mistakes", unchanged);
            refusal.with_problems(problems.collect())
        }
        ReloadError::Restart(changes) => {
            let problems = changes.iter().map(ToString::to_string).collect();
            let advice = format!("restart the node, or leave these keys as they are; {unchanged}");
            Refusal::new("keys have changed that need a restart", advice).with_problems(problems)
        }
        other => Refusal::new(skep_api::error::chain(other), unchanged),
    }
}
