//! Everything of a reload that can fail, before anything of it has effect.

use super::{
    diff::{self, KeyChange},
    error::ReloadError,
    needs_restart,
};
use crate::{
    assemble::{Assembly, Running},
    profile::Profile,
    swarm::Inner,
};
use skep_api::Multiaddr;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// A configuration that was checked and built, with the listeners that it adds.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) assembly: Assembly,
    pub(super) changes: Vec<KeyChange>,
    /// Addresses that were bound for it, as they were asked for.
    pub(super) bound: Vec<Multiaddr>,
    /// Addresses that it does not have any more.
    pub(super) unbind: Vec<Multiaddr>,
}

impl Inner {
    /// Checks a configuration, builds what has changed in it, and binds what is new.
    pub(super) async fn prepare(self: &Arc<Self>, profile: &Profile) -> Result<Prepared, ReloadError> {
        let Some(assembled) = self.assembled() else { return Err(ReloadError::NotFromProfile) };
        let live = self.live();
        let running = Running { plan: &assembled.plan, stack: &live.given };
        let cx = &self.build_cx;
        let assemble = || profile.assemble_over(&assembled.registry, cx, assembled.fd_limit, &running);
        let assembly = catch_unwind(AssertUnwindSafe(assemble)).map_err(|panic| panicked(&*panic))??;
        let changes = diff::changes(&assembled.plan, &assembly.plan);
        let restart: Vec<_> = changes.iter().filter(|change| needs_restart(change)).cloned().collect();
        if !restart.is_empty() {
            return Err(ReloadError::Restart(restart));
        }
        let missing = |a: &[Multiaddr], b: &[Multiaddr]| -> Vec<_> {
            a.iter().filter(|addr| !b.contains(addr)).cloned().collect()
        };
        let mut prepared = Prepared {
            bound: Vec::new(),
            unbind: missing(&assembled.plan.listen, &assembly.plan.listen),
            changes,
            assembly,
        };
        for addr in missing(&prepared.assembly.plan.listen, &assembled.plan.listen) {
            if let Err(error) = self.listen(&addr).await {
                prepared.unbind(self).await;
                return Err(error.into());
            }
            prepared.bound.push(addr);
        }
        Ok(prepared)
    }
}

impl Prepared {
    /// Closes the listeners that were bound for it.
    pub(super) async fn unbind(&self, node: &Inner) {
        for addr in &self.bound {
            node.unlisten(addr).await;
        }
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> ReloadError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    ReloadError::Panicked(text.unwrap_or("no message").into())
}
