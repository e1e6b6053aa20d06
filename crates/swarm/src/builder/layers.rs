//! The layers of a node, one by one.

use super::SwarmBuilder;
use crate::stack::Named;
use skep_api::{
    gate::Gate, muxer::Muxer, peerstore::PeerStore, protector::Protector, protocol::ProtocolHandler,
    pruner::Pruner, ranker::DialRanker, resolver::Resolver, resources::ResourceManager, security::Upgrader,
    selector::ConnectionSelector, service::Service, transport::Transport,
};
use std::sync::Arc;

impl SwarmBuilder {
    /// Adds a transport, after those added before.
    #[must_use]
    pub fn transport(mut self, name: &str, object: Arc<dyn Transport>) -> Self {
        self.stack.transports.push(Named::new(name, "", object));
        self
    }

    /// Sets what keeps raw links within a private network. Transports whose links come secured cannot have it.
    #[must_use]
    pub fn protector(mut self, name: &str, object: Arc<dyn Protector>) -> Self {
        self.stack.protector = Some(Named::new(name, "", object));
        self
    }

    /// Adds a security upgrade; the first is preferred.
    #[must_use]
    pub fn security(mut self, name: &str, object: Arc<dyn Upgrader>) -> Self {
        self.stack.security.push(Named::new(name, "", object));
        self
    }

    /// Adds a muxer; the first is preferred.
    #[must_use]
    pub fn muxer(mut self, name: &str, object: Arc<dyn Muxer>) -> Self {
        self.stack.muxers.push(Named::new(name, "", object));
        self
    }

    /// Adds a gate, asked after those added before.
    #[must_use]
    pub fn gate(mut self, name: &str, object: Arc<dyn Gate>) -> Self {
        self.stack.gates.push(Named::new(name, "", object));
        self
    }

    /// Sets the pruner.
    #[must_use]
    pub fn pruner(mut self, name: &str, object: Arc<dyn Pruner>) -> Self {
        self.stack.pruner = Some(Named::new(name, "", object));
        self
    }

    /// Sets the resolver.
    #[must_use]
    pub fn resolver(mut self, name: &str, object: Arc<dyn Resolver>) -> Self {
        self.stack.resolver = Some(Named::new(name, "", object));
        self
    }

    /// Sets the ranker.
    #[must_use]
    pub fn ranker(mut self, name: &str, object: Arc<dyn DialRanker>) -> Self {
        self.stack.ranker = Some(Named::new(name, "", object));
        self
    }

    /// Sets the peer store.
    #[must_use]
    pub fn peerstore(mut self, name: &str, object: Arc<dyn PeerStore>) -> Self {
        self.stack.peerstore = Some(Named::new(name, "", object));
        self
    }

    /// Sets the connection selector.
    #[must_use]
    pub fn selector(mut self, name: &str, object: Arc<dyn ConnectionSelector>) -> Self {
        self.stack.selector = Some(Named::new(name, "", object));
        self
    }

    /// Sets the resource manager.
    #[must_use]
    pub fn resources(mut self, name: &str, object: Arc<dyn ResourceManager>) -> Self {
        self.stack.resources = Some(Named::new(name, "", object));
        self
    }

    /// Adds a protocol handler.
    #[must_use]
    pub fn protocol(mut self, name: &str, object: Arc<dyn ProtocolHandler>) -> Self {
        self.stack.protocols.push(Named::new(name, "", object));
        self
    }

    /// Adds a service. It runs from the start of the node.
    #[must_use]
    pub fn service(mut self, name: &str, object: Arc<dyn Service>) -> Self {
        self.stack.services.push(Named::new(name, "", object));
        self
    }

    /// Has a gate asked and counted only: its denials have no effect.
    #[must_use]
    pub fn shadow_gate(mut self, name: &str) -> Self {
        self.stack.shadow_gates.push(name.into());
        self
    }
}
