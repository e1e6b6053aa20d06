//! What a reload can replace: the layers, the settings, the chain of gates. One pointer, so that it changes at once.

use crate::{
    assemble::{Assembly, Plan},
    gates::GateChain,
    registry::Registry,
    settings::Settings,
    stack::Stack,
    swarm::Inner,
};
use skep_api::{peerstore::PeerStore, resources::ResourceManager};
use std::sync::{Arc, PoisonError};

/// What a node runs with until the next reload. Whoever needs several of these takes one and keeps to it.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    /// The layers as they were given.
    pub(crate) given: Arc<Stack>,
    /// The layers as they are used: some are decorated, to be counted.
    pub(crate) stack: Arc<Stack>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) gates: Arc<GateChain>,
}

/// What a node was assembled from, so that it can be reloaded.
#[derive(Debug)]
pub(crate) struct Assembled {
    pub(crate) registry: Registry,
    pub(crate) plan: Plan,
    pub(crate) fd_limit: Option<u64>,
}

impl Assembled {
    pub(crate) fn of(assembly: &Assembly) -> Self {
        let Assembly { registry, plan, fd_limit, .. } = assembly;
        Self { registry: registry.clone(), plan: plan.clone(), fd_limit: *fd_limit }
    }
}

impl Inner {
    /// What the node was assembled from, if it was.
    pub(crate) fn assembled(&self) -> Option<Arc<Assembled>> {
        self.assembled.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_assembled(&self, assembly: &Assembly) {
        let assembled = Arc::new(Assembled::of(assembly));
        *self.assembled.lock().unwrap_or_else(PoisonError::into_inner) = Some(assembled);
    }

    /// What the node runs with now.
    pub(crate) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on the node runs with this.
    pub(crate) fn go_live(&self, live: Live) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
    }

    /// The peer store, which no reload replaces.
    pub(crate) fn store(&self) -> Option<Arc<dyn PeerStore>> {
        self.live().stack.peerstore.as_ref().map(|store| Arc::clone(&store.object))
    }

    /// The resource manager, which no reload replaces.
    pub(crate) fn resources(&self) -> Option<Arc<dyn ResourceManager>> {
        self.live().stack.resources.as_ref().map(|resources| Arc::clone(&resources.object))
    }
}
