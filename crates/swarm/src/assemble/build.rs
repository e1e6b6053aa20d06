//! Builds the plugins of a plan.

use super::Plan;
use crate::{
    registry::Registry,
    stack::{Named, Stack},
};
use skep_api::{BuildCx, ConfigError, Layer, plugin::layer};
use std::collections::BTreeSet;

/// The layers that could be built.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) stack: Stack,
    /// Layers that lack something the profile asks for.
    pub(super) broken: BTreeSet<&'static str>,
}

/// Builds every plugin, also after one has failed.
pub(super) fn build(plan: &Plan, registry: &Registry, cx: &BuildCx, errors: &mut Vec<ConfigError>) -> Built {
    let mut builder = Builder { plan, registry, cx, errors, broken: plan.broken.clone() };
    let stack = Stack {
        transports: builder.layer::<layer::Transport>(),
        security: builder.layer::<layer::Security>(),
        muxers: builder.layer::<layer::Muxer>(),
        gates: builder.layer::<layer::Gate>(),
        pruner: builder.layer::<layer::Pruner>().pop(),
        resolver: builder.layer::<layer::Resolver>().pop(),
        ranker: builder.layer::<layer::Ranker>().pop(),
        peerstore: builder.layer::<layer::Peerstore>().pop(),
        selector: builder.layer::<layer::Selector>().pop(),
        resources: builder.layer::<layer::Resources>().pop(),
        protocols: builder.layer::<layer::Protocol>(),
        services: builder.layer::<layer::Service>(),
        shadow_gates: Vec::new(),
    };
    Built { stack, broken: builder.broken }
}

struct Builder<'a> {
    plan: &'a Plan,
    registry: &'a Registry,
    cx: &'a BuildCx,
    errors: &'a mut Vec<ConfigError>,
    broken: BTreeSet<&'static str>,
}

impl Builder<'_> {
    fn layer<L: Layer>(&mut self) -> Vec<Named<L::Object>> {
        let mut objects = Vec::new();
        for planned in self.plan.of(L::NAME) {
            // The plan has only plugins of this registry, so that each is found.
            let Some(plugin) = self.registry.find::<L>(planned.info.name) else { continue };
            match (plugin.build)(&planned.section, self.cx) {
                Ok(object) => {
                    objects.push(Named::new(planned.reference.clone(), planned.info.origin.krate, object));
                }
                Err(found) => {
                    self.errors.extend(found.into_vec());
                    self.broken.insert(L::NAME);
                }
            }
        }
        objects
    }
}
