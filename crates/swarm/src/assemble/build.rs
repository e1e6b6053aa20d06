//! Builds the plugins of a plan.

use super::{
    Plan, Running,
    around::{self, Decorated},
    rules,
};
use crate::{
    profile::Profile,
    registry::Registry,
    reload::changed_tables,
    stack::{Named, Stack},
};
use skep_api::{BuildCx, ConfigError, ConfigErrors, decorator::Decorator, plugin::layer};
use std::collections::BTreeSet;

/// The layers that could be built.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) stack: Stack,
    /// Layers that lack something the profile asks for.
    pub(super) broken: BTreeSet<&'static str>,
}

/// Builds every plugin, also after one has failed.
/// Those of a node that runs are taken as they are, where their tables have not changed.
pub(super) fn build(
    profile: &Profile,
    plan: &Plan,
    registry: &Registry,
    cx: &BuildCx,
    running: Option<&Running<'_>>,
    errors: &mut Vec<ConfigError>,
) -> Built {
    let changed = running.map(|running| changed_tables(running.plan, plan)).unwrap_or_default();
    let running = running.map(|running| running.stack);
    let broken = plan.broken.clone();
    let decorators = Vec::new();
    let mut builder = Builder { profile, plan, registry, cx, running, changed, errors, broken, decorators };
    // First, for they go around the others.
    builder.decorators = builder.layer::<layer::Decorator>(|s| &s.decorators);
    let stack = Stack {
        transports: builder.layer::<layer::Transport>(|s| &s.transports),
        protector: builder.layer::<layer::Protector>(|s| s.protector.as_slice()).pop(),
        security: builder.layer::<layer::Security>(|s| &s.security),
        muxers: builder.layer::<layer::Muxer>(|s| &s.muxers),
        gates: builder.layer::<layer::Gate>(|s| &s.gates),
        pruner: builder.layer::<layer::Pruner>(|s| s.pruner.as_slice()).pop(),
        resolver: builder.layer::<layer::Resolver>(|s| s.resolver.as_slice()).pop(),
        ranker: builder.layer::<layer::Ranker>(|s| s.ranker.as_slice()).pop(),
        peerstore: builder.layer::<layer::Peerstore>(|s| s.peerstore.as_slice()).pop(),
        selector: builder.layer::<layer::Selector>(|s| s.selector.as_slice()).pop(),
        resources: builder.layer::<layer::Resources>(|s| s.resources.as_slice()).pop(),
        protocols: builder.layer::<layer::Protocol>(|s| &s.protocols),
        services: builder.layer::<layer::Service>(|s| &s.services),
        shadow_gates: plan.shadow_gates.clone(),
        decorators: builder.decorators.clone(),
    };
    Built { stack, broken: builder.broken }
}

struct Builder<'a> {
    profile: &'a Profile,
    plan: &'a Plan,
    registry: &'a Registry,
    cx: &'a BuildCx,
    running: Option<&'a Stack>,
    /// Tables in which something differs from what runs.
    changed: BTreeSet<String>,
    errors: &'a mut Vec<ConfigError>,
    broken: BTreeSet<&'static str>,
    decorators: Vec<Named<dyn Decorator>>,
}

impl Builder<'_> {
    fn layer<L: Decorated>(&mut self, of: impl Fn(&Stack) -> &[Named<L::Object>]) -> Vec<Named<L::Object>> {
        let mut objects = Vec::new();
        for planned in self.plan.of(L::NAME) {
            // The plan has only plugins of this registry, so that each is found.
            let Some(plugin) = self.registry.find::<L>(planned.info.name) else { continue };
            let old =
                self.running.and_then(|stack| of(stack).iter().find(|old| old.name == planned.reference));
            if let Some(old) = old.filter(|_| !self.changed.contains(planned.section.path())) {
                objects.push(old.clone());
                continue;
            }
            let cx = self.cx.clone().replacing(old.and_then(|old| L::any(&old.object)));
            let built = (plugin.build)(&planned.section, &cx).map_err(ConfigErrors::into_vec);
            let decorated = built.and_then(|object| {
                around::wrap::<L>(&self.plan.around, &self.decorators, planned, object)
                    .map_err(|(path, problem)| vec![rules::error(self.profile, &path, problem, around::HELP)])
            });
            match decorated {
                Ok(object) => {
                    objects.push(Named::new(planned.reference.clone(), planned.info.origin.krate, object));
                }
                Err(found) => {
                    self.errors.extend(found);
                    self.broken.insert(L::NAME);
                }
            }
        }
        objects
    }
}
