//! What a node gives to the plugins it is assembled from.

use crate::{Keypair, Multiaddr, PeerId, PublicKey, metrics::Sink, random::Random};
use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};
use tokio_util::sync::CancellationToken;

/// Runs background tasks that end with the node.
///
/// A plugin never calls `tokio::spawn`: what it spawns here is joined at shutdown, and named in the shutdown
/// report if it had to be aborted.
pub trait Spawn: fmt::Debug + Send + Sync + 'static {
    /// Starts `task`; `name` is what a report calls it. A panic in it is caught and counted, and ends nothing else.
    fn spawn(&self, name: &'static str, task: Pin<Box<dyn Future<Output = ()> + Send>>);
}

/// A handle to the node's tasks, cheap to clone.
#[derive(Clone, Debug)]
pub struct TaskScope {
    spawner: Arc<dyn Spawn>,
    cancelled: CancellationToken,
}

impl TaskScope {
    /// A scope over a spawner; `cancelled` fires when the node begins to shut down.
    pub fn new(spawner: Arc<dyn Spawn>, cancelled: CancellationToken) -> Self {
        Self { spawner, cancelled }
    }

    /// Starts a task that should end soon after [`TaskScope::cancelled`] fires.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawner.spawn(name, Box::pin(task));
    }

    /// Fires when the node begins to shut down.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }
}

/// What `build` of a plugin gets from the node that is being assembled.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BuildCx {
    /// The node's identity. Its `Debug` form shows no secret.
    pub identity: NodeIdentity,
    /// Where background tasks run.
    pub tasks: TaskScope,
    /// Where the node keeps its metrics; detached where nobody looks at them.
    pub metrics: Sink,
    /// The node's chance, for jitter and the like. Not for secrets.
    pub random: Random,
    /// What plugins of this node share; see [`BuildCx::shared`].
    commons: Commons,
    /// What a reload replaces; see [`BuildCx::predecessor`].
    replaces: Option<Arc<dyn Any + Send + Sync>>,
}

impl BuildCx {
    /// A context for one node, without metrics.
    #[must_use]
    pub fn new(identity: Keypair, tasks: TaskScope) -> Self {
        Self {
            identity: NodeIdentity(Arc::new(identity)),
            tasks,
            metrics: Sink::default(),
            random: Random::new(),
            commons: Commons::default(),
            replaces: None,
        }
    }

    /// The same with metrics.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Sink) -> Self {
        self.metrics = metrics;
        self
    }

    /// The same with this source of chance.
    #[must_use]
    pub fn with_random(mut self, random: Random) -> Self {
        self.random = random;
        self
    }

    /// The same for a plugin that takes the place of this one.
    #[must_use]
    pub fn replacing(mut self, predecessor: Option<Arc<dyn Any + Send + Sync>>) -> Self {
        self.replaces = predecessor;
        self
    }

    /// The one value of this type that the node has, made when it is first asked for. Plugins that do not know each other
    /// meet here, through a type of a crate that both depend on: such as the TCP ports that several transports share.
    #[must_use]
    pub fn shared<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        let mut commons = self.commons.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = commons.get(&TypeId::of::<T>()).cloned().and_then(|value| value.downcast().ok());
        known.unwrap_or_else(|| {
            let value = Arc::new(T::default());
            commons.insert(TypeId::of::<T>(), Arc::clone(&value) as Arc<dyn Any + Send + Sync>);
            value
        })
    }

    /// The running plugin of the same reference, when a reload builds its successor: so that what was counted or learnt
    /// can be taken over. The reload may still fail, so `build` changes nothing about it.
    #[must_use]
    pub fn predecessor<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.replaces.clone()?.downcast().ok()
    }
}

/// What the plugins of one node share, by type.
#[derive(Clone, Default)]
struct Commons(Arc<Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>>);

impl fmt::Debug for Commons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commons").finish_non_exhaustive()
    }
}

/// The key pair of a node.
#[derive(Clone)]
pub struct NodeIdentity(Arc<Keypair>);

impl NodeIdentity {
    /// The key pair, for signing.
    #[must_use]
    pub fn keypair(&self) -> &Keypair {
        &self.0
    }

    /// The peer id that follows from the key.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.0.public().to_peer_id()
    }
}

impl fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeIdentity({})", self.peer_id())
    }
}

/// What a protocol handler may ask of the running node.
pub trait NodeView: fmt::Debug + Send + Sync + 'static {
    /// The node's public key.
    fn public_key(&self) -> PublicKey;
    /// Addresses that the node is bound to, wildcards expanded, without `/p2p/…`.
    fn listen_addrs(&self) -> Vec<Multiaddr>;
    /// Ids of the protocols that the node serves.
    fn protocols(&self) -> Vec<String>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[derive(Debug)]
    struct Nowhere;

    impl Spawn for Nowhere {
        fn spawn(&self, _: &'static str, _: Pin<Box<dyn Future<Output = ()> + Send>>) {}
    }

    fn cx() -> BuildCx {
        BuildCx::new(Keypair::generate_ed25519(), TaskScope::new(Arc::new(Nowhere), CancellationToken::new()))
    }

    #[test]
    fn the_plugins_of_a_node_share_one_value_of_a_type_and_those_of_another_node_another() {
        let (node, other) = (cx(), cx());
        node.shared::<AtomicU32>().store(7, Ordering::Relaxed);
        let again = node.clone().replacing(None).shared::<AtomicU32>();
        assert_eq!(again.load(Ordering::Relaxed), 7);
        assert_eq!(other.shared::<AtomicU32>().load(Ordering::Relaxed), 0);
        assert_eq!(*node.shared::<String>(), "");
    }
}
