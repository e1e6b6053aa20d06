//! From a profile and the plugins there are to the layers of a node.
//!
//! References in `[stack]` are resolved to plugins and their tables (`references.rs`), the addresses to listen on
//! are read (`listen.rs`), the plugins are built (`build.rs`), and the rules that no plugin can check by itself
//! are applied (`rules.rs`, `resources.rs`, `security.rs`, `services.rs`). Each step goes on after a mistake, so that all
//! of them are reported at once. No step opens a socket or starts a task, or reads a file but those that a table names,
//! such as keys and certificates, and what the system says of itself.

mod around;
mod build;
mod explain;
mod listen;
mod references;
mod resources;
mod rules;
mod schema;
mod security;
mod services;
mod shadow;

pub use around::Around;
pub use explain::KeyInfo;
pub use references::{Plan, Planned};
pub use schema::schema;

use crate::{
    dial::{DialSettings, RetryConfig},
    profile::{IdentityConfig, KeyPath, Profile},
    registry::Registry,
    settings::Settings,
    stack::Stack,
};
use rules::Facts;
use skep_api::{BuildCx, ConfigError, ConfigErrors, Keypair, Multiaddr, TaskScope, context::Spawn};
use std::{future::Future, pin::Pin, sync::Arc};
use tokio_util::sync::CancellationToken;

/// A node that is ready to be started.
#[derive(Debug)]
#[non_exhaustive]
pub struct Assembly {
    /// The layers.
    pub stack: Stack,
    /// The table `[swarm]`.
    pub settings: Settings,
    /// The table `[dial]`.
    pub dial: DialSettings,
    /// The table `[retry]`.
    pub retry: RetryConfig,
    /// The table `[identity]`.
    pub identity: IdentityConfig,
    /// The addresses to listen on.
    pub listen: Vec<Multiaddr>,
    /// What was assembled from what.
    pub plan: Plan,
    /// What is as it should be, but not as one would read it in the profile: limits that this machine lowers.
    pub notes: Vec<String>,
    /// What an operator has to know whenever the node runs: that it trusts what it should not, or records what is secret.
    pub warnings: Vec<String>,
    /// What it was assembled with.
    pub(crate) registry: Registry,
    pub(crate) fd_limit: Option<u64>,
}

/// A configuration that is in effect: what has not changed is taken from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) stack: &'a Stack,
}

impl Profile {
    /// Assembles a node. `fd_limit` is how many files the process may have open, if that is known.
    ///
    /// # Errors
    /// All mistakes in the profile at once.
    pub fn assemble(
        &self,
        registry: &Registry,
        cx: &BuildCx,
        fd_limit: Option<u64>,
    ) -> Result<Assembly, ConfigErrors> {
        self.assemble_from(registry, cx, fd_limit, None)
    }

    /// The same for a node that runs: plugins whose tables have not changed are those that it has.
    pub(crate) fn assemble_over(
        &self,
        registry: &Registry,
        cx: &BuildCx,
        fd_limit: Option<u64>,
        running: &Running<'_>,
    ) -> Result<Assembly, ConfigErrors> {
        self.assemble_from(registry, cx, fd_limit, Some(running))
    }

    fn assemble_from(
        &self,
        registry: &Registry,
        cx: &BuildCx,
        fd_limit: Option<u64>,
        running: Option<&Running<'_>>,
    ) -> Result<Assembly, ConfigErrors> {
        let mut errors = self.findings().to_vec();
        let mut plan = references::resolve(self, registry, &mut errors);
        let mut built = build::build(self, &plan, registry, cx, running, &mut errors);
        let left_out = listen::leave_out_unserved(&mut plan, &built);
        security::order_by_hardware(&mut plan, &mut built.stack);
        let settings = keep(self.section(&KeyPath::new(["swarm"])).decode::<Settings>(), &mut errors);
        let dial = keep(self.section(&KeyPath::new(["dial"])).decode::<DialSettings>(), &mut errors);
        let retry = keep(self.section(&KeyPath::new(["retry"])).decode::<RetryConfig>(), &mut errors);
        let identity = keep(self.identity(), &mut errors);
        let facts =
            Facts { profile: self, plan: &plan, built: &built, settings: settings.as_ref(), fd_limit };
        let mut notes = rules::check(&facts, &mut errors);
        ConfigErrors::check(errors)?;
        notes.extend(left_out);
        notes.extend(security::fingerprints(&built.stack));
        let warnings = security::warnings(&built.stack);
        Ok(Assembly {
            stack: built.stack,
            settings: settings.unwrap_or_default(),
            dial: dial.unwrap_or_default(),
            retry: retry.unwrap_or_default(),
            identity: identity.unwrap_or_default(),
            listen: plan.listen.clone(),
            plan,
            notes,
            warnings,
            registry: registry.clone(),
            fd_limit,
        })
    }

    /// Does all that [`Profile::assemble`] does, with a key of its own, and throws the node away.
    ///
    /// # Errors
    /// All mistakes in the profile at once.
    pub fn check(&self, registry: &Registry, fd_limit: Option<u64>) -> Result<Plan, ConfigErrors> {
        let tasks = TaskScope::new(Arc::new(NoTasks), CancellationToken::new());
        let cx = BuildCx::new(Keypair::generate_ed25519(), tasks);
        self.assemble(registry, &cx, fd_limit).map(|assembly| assembly.plan)
    }
}

/// The value, or `None` with the errors noted.
fn keep<T>(result: Result<T, ConfigErrors>, errors: &mut Vec<ConfigError>) -> Option<T> {
    result.map_err(|found| errors.extend(found.into_vec())).ok()
}

/// A check runs nothing: what a plugin would start is dropped.
#[derive(Debug)]
struct NoTasks;

impl Spawn for NoTasks {
    fn spawn(&self, _name: &'static str, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(task);
    }
}
