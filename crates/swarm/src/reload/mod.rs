//! Hot reload: another configuration for a running node, all of it or nothing.
//!
//! ```text
//! read → check everything → compare → refuse what needs a restart → build what has changed, bind what is new
//!      → commit: one pointer, the dialler's tables, the handlers → services, listeners that go → report
//! ```
//!
//! Whatever fails before the commit leaves the node as it was; after it nothing can fail. What did not change is kept as
//! it is, the very objects: connections, dials and what plugins have learnt go on.

mod diff;
mod error;
mod prepare;

pub use diff::KeyChange;
pub use error::ReloadError;

use crate::{
    builder,
    gates::Rechecked,
    meters::Meters,
    profile::Profile,
    stack::Named,
    swarm::{Inner, Swarm},
};
use prepare::Prepared;
use skep_api::{Multiaddr, reload::Reload, service::Service};
use std::{sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::Instant};

pub(crate) use diff::changed_tables;

/// What a reload may do beside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReloadOptions {
    /// Ask the gates again about the connections that there are, and close those that are denied now.
    pub recheck: bool,
    /// Do all that can fail, then leave everything as it was.
    pub dry_run: bool,
}

impl ReloadOptions {
    /// Asks the gates again about the connections that there are.
    #[must_use]
    pub fn recheck(mut self, recheck: bool) -> Self {
        self.recheck = recheck;
        self
    }

    /// Does all that can fail, then leaves everything as it was.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

/// What a reload has done.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ReloadReport {
    /// The keys that have another value now.
    pub changes: Vec<KeyChange>,
    /// Addresses that are listened on since.
    pub bound: Vec<Multiaddr>,
    /// Addresses that are not listened on any more; the connections that came that way stay.
    pub unbound: Vec<Multiaddr>,
    /// Services that were started, those that were replaced included.
    pub started: Vec<String>,
    /// Services that were ended.
    pub stopped: Vec<String>,
    /// What the gates have said of the connections that there were, if they were asked.
    pub rechecked: Option<Rechecked>,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether everything was left as it was.
    pub dry_run: bool,
}

impl Swarm {
    /// Gives the node another configuration: all of it, or none of it if anything fails. Keys that are live take effect
    /// at once, others for connections that are made from now on, and one that needs a restart refuses the whole. Keys
    /// that did not change, and what was built from them, stay; so do all connections, unless `recheck` is asked for.
    ///
    /// It runs in a task of the node's: dropping the future ends the waiting, not the reload.
    ///
    /// # Errors
    /// [`ReloadError`]; the node runs as before.
    pub async fn reload(
        &self,
        profile: &Profile,
        options: ReloadOptions,
    ) -> Result<ReloadReport, ReloadError> {
        let one_at_a_time = Arc::clone(&self.0.reloading).try_lock_owned().map_err(|_| ReloadError::Busy)?;
        if self.0.is_draining() {
            return Err(ReloadError::ShuttingDown);
        }
        let (answer, answered) = oneshot::channel();
        let (node, profile) = (self.clone(), profile.clone());
        self.0.tasks.spawn("reload", async move {
            let outcome = node.0.reload(&profile, options).await;
            drop(one_at_a_time);
            let _ = answer.send(outcome);
        });
        answered.await.unwrap_or(Err(ReloadError::ShuttingDown))
    }

    /// The configuration in effect, if the node was assembled from a profile.
    #[must_use]
    pub fn plan(&self) -> Option<crate::assemble::Plan> {
        self.0.assembled().map(|assembled| assembled.plan.clone())
    }
}

impl Inner {
    async fn reload(
        self: &Arc<Self>,
        profile: &Profile,
        options: ReloadOptions,
    ) -> Result<ReloadReport, ReloadError> {
        let begun = Instant::now();
        let prepared = self.prepare(profile).await?;
        let mut report =
            if options.dry_run { self.undo(prepared).await } else { self.commit(prepared).await? };
        if options.recheck && !options.dry_run {
            report.rechecked = Some(Swarm(Arc::clone(self)).recheck_gates().await);
        }
        report.elapsed = begun.elapsed();
        Ok(report)
    }

    /// Nothing happened.
    async fn undo(&self, prepared: Prepared) -> ReloadReport {
        prepared.unbind(self).await;
        ReloadReport { changes: prepared.changes, dry_run: true, ..ReloadReport::default() }
    }

    async fn commit(self: &Arc<Self>, prepared: Prepared) -> Result<ReloadReport, ReloadError> {
        let before = self.live();
        let Prepared { assembly, changes, bound, unbind } = prepared;
        // The last thing that can fail: the application may have taken a protocol meanwhile.
        if let Err(error) = self.handlers.exchange(&before.given.protocols, &assembly.stack.protocols) {
            for addr in &bound {
                self.unlisten(addr).await;
            }
            return Err(error.into());
        }
        let meters = Meters::new(&self.sink, &assembly.stack);
        let live = builder::live(
            assembly.stack.clone(),
            Arc::new(assembly.settings.clone()),
            &meters,
            Some(&before),
        );
        self.dialer.configure(assembly.dial.clone(), assembly.retry.clone());
        self.tags.set_grace(live.settings.tag_grace.0);
        self.go_live(live);
        self.set_assembled(&assembly);
        let (stopped, started) = self.replace_services(&before.given.services).await;
        for addr in &unbind {
            self.unlisten(addr).await;
        }
        self.prune_if_needed();
        for change in &changes {
            tracing::info!(%change, "A key of the configuration has changed.");
        }
        Ok(ReloadReport { changes, bound, unbound: unbind, started, stopped, ..ReloadReport::default() })
    }

    /// Ends the services that are gone or replaced, and starts those that are new.
    async fn replace_services(self: &Arc<Self>, before: &[Named<dyn Service>]) -> (Vec<String>, Vec<String>) {
        let now = self.live().given.services.clone();
        let same = |a: &Named<dyn Service>, b: &Named<dyn Service>| {
            a.name == b.name && Arc::ptr_eq(&a.object, &b.object)
        };
        let (mut stopped, mut started) = (Vec::new(), Vec::new());
        for service in before.iter().filter(|old| !now.iter().any(|new| same(old, new))) {
            self.stop_service(&service.name).await;
            stopped.push(service.name.clone());
        }
        for service in now.iter().filter(|new| !before.iter().any(|old| same(old, new))) {
            self.start_service(service.clone());
            started.push(service.name.clone());
        }
        (stopped, started)
    }
}

/// Whether a change can be made in a running node.
pub(crate) fn needs_restart(change: &KeyChange) -> bool {
    change.reload == Reload::Restart
}
