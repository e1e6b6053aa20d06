//! What every command shares: where the configuration comes from, and how results are printed.

use super::{Failure, args::SourceArgs, key};
use skep::{control::reload::Source, plugins};
use skep_api::{ConfigErrors, TaskScope, metrics::Sink};
use skep_swarm::{
    Swarm, SwarmBuilder,
    assemble::Assembly,
    profile::{Profile, Sources},
    registry::Registry,
};
use std::ffi::OsStr;
use tokio::runtime::{self, Runtime};

/// The command line's part that is not the command.
#[derive(Debug)]
pub(crate) struct Context {
    sources: SourceArgs,
    /// Print JSON.
    pub json: bool,
}

/// A node as the configuration has it, not yet listening.
#[derive(Debug)]
pub(crate) struct Node {
    pub swarm: Swarm,
    pub assembly: Assembly,
    pub profile: Profile,
    /// What is spawned here ends with the node.
    pub tasks: TaskScope,
    /// Where the handlers run that do an application's work, if one is linked.
    _handlers: Option<HandlerThreads>,
}

/// Threads of their own for handlers: one that blocks its thread holds up no connection.
#[derive(Debug)]
struct HandlerThreads(Option<Runtime>);

impl HandlerThreads {
    fn start() -> Result<Self, Failure> {
        let runtime = runtime::Builder::new_multi_thread().thread_name("skep-handlers").enable_all().build();
        Ok(Self(Some(runtime.map_err(|e| Failure::Io("start the runtime of the handlers".into(), e))?)))
    }
}

impl Drop for HandlerThreads {
    fn drop(&mut self) {
        // One that is still blocked is not waited for.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Context {
    pub(crate) fn new(sources: SourceArgs, json: bool) -> Self {
        Self { sources, json }
    }

    /// The plugins that are linked.
    pub(crate) fn registry(&self) -> Result<Registry, Failure> {
        Ok(Registry::from_inventory(&plugins::expected())?)
    }

    /// The configuration, merged but not checked.
    pub(crate) fn profile(&self) -> Result<Profile, Failure> {
        Ok(self.sources.load()?)
    }

    /// Where the configuration comes from, to be read again.
    pub(crate) fn source(&self) -> Source {
        let sources = self.sources.clone();
        Source::new(move || sources.load())
    }

    /// Makes a node for one errand: without metrics, and without services, which would dial what nobody asked for.
    pub(crate) fn node(&self) -> Result<Node, Failure> {
        self.make(Sink::default(), |assembly| assembly.stack.services.clear())
    }

    /// Makes the node, which counts for `metrics`.
    pub(crate) fn node_with(&self, metrics: Sink) -> Result<Node, Failure> {
        self.make(metrics, |_| ())
    }

    fn make(&self, metrics: Sink, change: impl FnOnce(&mut Assembly)) -> Result<Node, Failure> {
        let (registry, profile) = (self.registry()?, self.profile()?);
        // First the mistakes, all of them; then the key, which may write a file.
        profile.check(&registry, fd_limit())?;
        let builder = SwarmBuilder::new(key::load(&profile.identity()?)?).metrics(metrics);
        let tasks = builder.build_cx().tasks.clone();
        let mut assembly = profile.assemble(&registry, builder.build_cx(), fd_limit())?;
        change(&mut assembly);
        let apart = assembly.stack.protocols.iter().any(|protocol| protocol.object.keeps_alive());
        let handlers = apart.then(HandlerThreads::start).transpose()?;
        let builder = match handlers.iter().find_map(|threads| threads.0.as_ref()) {
            Some(runtime) => builder.handler_runtime(runtime.handle().clone()),
            None => builder,
        };
        let swarm = builder.assembly(&assembly).build()?;
        Ok(Node { swarm, assembly, profile, tasks, _handlers: handlers })
    }
}

impl SourceArgs {
    fn load(&self) -> Result<Profile, ConfigErrors> {
        let mut sources = Sources::new().env(variables());
        if let Some(name) = &self.profile {
            sources = sources.profile(name);
        }
        if let Some(file) = &self.config {
            sources = sources.file(file);
        }
        for set in &self.set {
            sources = sources.set(set);
        }
        Profile::load(&sources)
    }
}

/// The environment. A value that is not UTF-8 is shown and refused like any other wrong one, where it is ours.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| (lossy(&name), lossy(&value)))
}

fn lossy(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

/// How many files this process may have open, where the system tells.
pub(crate) fn fd_limit() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
