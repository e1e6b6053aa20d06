//! The layers of one node, as trait objects with the names they were asked for by.

use skep_api::{
    decorator::Decorator, gate::Gate, muxer::Muxer, peerstore::PeerStore, protector::Protector,
    protocol::ProtocolHandler, pruner::Pruner, ranker::DialRanker, resolver::Resolver,
    resources::ResourceManager, security::Upgrader, selector::ConnectionSelector, service::Service,
    transport::Transport,
};
use std::sync::Arc;

/// A layer object and what errors and listings call it.
#[derive(Debug)]
pub struct Named<T: ?Sized> {
    /// The word in the profile, with its instance: `tcp`, `tcp/lan`.
    pub name: String,
    /// The crate it comes from; empty for objects given in code.
    pub krate: &'static str,
    /// The object.
    pub object: Arc<T>,
}

impl<T: ?Sized> Clone for Named<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), krate: self.krate, object: Arc::clone(&self.object) }
    }
}

impl<T: ?Sized> Named<T> {
    /// An object with its name.
    pub fn new(name: impl Into<String>, krate: &'static str, object: Arc<T>) -> Self {
        Self { name: name.into(), krate, object }
    }
}

/// The layers of one node. Lists are in order of preference.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stack {
    /// Asked in order which serves an address.
    pub transports: Vec<Named<dyn Transport>>,
    /// Keeps raw links within a private network; open to all without one.
    pub protector: Option<Named<dyn Protector>>,
    /// Proposed in order.
    pub security: Vec<Named<dyn Upgrader>>,
    /// Proposed in order.
    pub muxers: Vec<Named<dyn Muxer>>,
    /// Asked in order; the first denial wins.
    pub gates: Vec<Named<dyn Gate>>,
    /// Chooses which connections go when there are too many; none go without one.
    pub pruner: Option<Named<dyn Pruner>>,
    /// Turns names into addresses; names are refused without one.
    pub resolver: Option<Named<dyn Resolver>>,
    /// Orders the addresses of a dial; one after the other, as given, without one.
    pub ranker: Option<Named<dyn DialRanker>>,
    /// Remembers peers; without one, a peer can be dialled at addresses that are given only.
    pub peerstore: Option<Named<dyn PeerStore>>,
    /// Chooses the connection of a new stream; the newest without one.
    pub selector: Option<Named<dyn ConnectionSelector>>,
    /// Grants connections, streams and memory; without one, only the limits in `[swarm]` apply.
    pub resources: Option<Named<dyn ResourceManager>>,
    /// Serve inbound streams.
    pub protocols: Vec<Named<dyn ProtocolHandler>>,
    /// Run beside the connections.
    pub services: Vec<Named<dyn Service>>,
    /// Names of gates whose denials are counted and have no effect.
    pub shadow_gates: Vec<String>,
    /// What goes around plugins of other layers, which are decorated already.
    pub decorators: Vec<Named<dyn Decorator>>,
}
