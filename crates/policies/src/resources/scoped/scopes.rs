//! The scopes that have names, each there for as long as something is held in it.

use super::{counts::Counts, kind::Kind};
use skep_api::PeerId;
use slab::Slab;
use std::{collections::HashMap, sync::Arc};

/// A scope by its number, which is its own for as long as somebody holds it.
pub(super) type ScopeId = usize;

/// What one scope holds.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) kind: Kind,
    name: Name,
    pub(super) used: Counts,
    /// Connections and streams that lie in it. The last to go takes it along.
    holders: usize,
}

/// What tells a scope from others of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    /// There is one of the kind.
    Fixed,
    Peer(PeerId),
    Protocol(Arc<str>),
    /// By its place in the configuration.
    Service(usize),
    /// A peer within a protocol or a service: by the numbers of both, which whoever holds this one holds too.
    Within(ScopeId, ScopeId),
}

/// All scopes, found by number or by name.
#[derive(Debug)]
pub(super) struct Scopes {
    scopes: Slab<Scope>,
    peers: HashMap<PeerId, ScopeId>,
    protocols: HashMap<Arc<str>, ScopeId>,
    services: HashMap<usize, ScopeId>,
    within: HashMap<(ScopeId, ScopeId), ScopeId>,
}

/// The scopes that something lies in, the widest first: of several that are full, a denial names that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Path([Option<ScopeId>; 6]);

impl Path {
    pub(super) fn new(scopes: [Option<ScopeId>; 6]) -> Self {
        Self(scopes)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = ScopeId> {
        self.0.into_iter().flatten()
    }
}

impl Scopes {
    /// The four scopes that are always there, under the numbers of their kinds.
    pub(super) fn new() -> Self {
        let fixed = [Kind::System, Kind::Transient, Kind::AllowlistedSystem, Kind::AllowlistedTransient];
        let scope = |kind| Scope { kind, name: Name::Fixed, used: Counts::default(), holders: 1 };
        Self {
            scopes: fixed.into_iter().map(|kind| (kind as usize, scope(kind))).collect(),
            peers: HashMap::new(),
            protocols: HashMap::new(),
            services: HashMap::new(),
            within: HashMap::new(),
        }
    }

    pub(super) fn get(&self, id: ScopeId) -> Option<&Scope> {
        self.scopes.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ScopeId, &Scope)> {
        self.scopes.iter()
    }

    pub(super) fn hold_peer(&mut self, peer: &PeerId) -> ScopeId {
        match self.peers.get(peer) {
            Some(id) => self.hold(*id),
            None => {
                let id = self.insert(Kind::Peer, Name::Peer(*peer));
                self.peers.insert(*peer, id);
                id
            }
        }
    }

    pub(super) fn hold_protocol(&mut self, protocol: &str) -> ScopeId {
        match self.protocols.get(protocol) {
            Some(id) => self.hold(*id),
            None => {
                let name: Arc<str> = protocol.into();
                let id = self.insert(Kind::Protocol, Name::Protocol(Arc::clone(&name)));
                self.protocols.insert(name, id);
                id
            }
        }
    }

    pub(super) fn hold_service(&mut self, service: usize) -> ScopeId {
        match self.services.get(&service) {
            Some(id) => self.hold(*id),
            None => {
                let id = self.insert(Kind::Service, Name::Service(service));
                self.services.insert(service, id);
                id
            }
        }
    }

    /// The scope of a peer within a protocol or a service.
    pub(super) fn hold_within(&mut self, kind: Kind, outer: ScopeId, peer: ScopeId) -> ScopeId {
        match self.within.get(&(outer, peer)) {
            Some(id) => self.hold(*id),
            None => {
                let id = self.insert(kind, Name::Within(outer, peer));
                self.within.insert((outer, peer), id);
                id
            }
        }
    }

    fn hold(&mut self, id: ScopeId) -> ScopeId {
        if let Some(scope) = self.scopes.get_mut(id) {
            scope.holders = scope.holders.saturating_add(1);
        }
        id
    }

    fn insert(&mut self, kind: Kind, name: Name) -> ScopeId {
        self.scopes.insert(Scope { kind, name, used: Counts::default(), holders: 1 })
    }

    /// One holder less; without any, the scope and its name are forgotten.
    pub(super) fn release(&mut self, id: ScopeId) {
        let Some(scope) = self.scopes.get_mut(id) else { return };
        scope.holders = scope.holders.saturating_sub(1);
        if scope.holders > 0 {
            return;
        }
        match self.scopes.remove(id).name {
            Name::Fixed => {}
            Name::Peer(peer) => drop(self.peers.remove(&peer)),
            Name::Protocol(name) => drop(self.protocols.remove(&name)),
            Name::Service(service) => drop(self.services.remove(&service)),
            Name::Within(outer, peer) => drop(self.within.remove(&(outer, peer))),
        }
    }

    pub(super) fn add(&mut self, path: &Path, counts: &Counts) {
        for id in path.iter() {
            if let Some(scope) = self.scopes.get_mut(id) {
                scope.used.add(counts);
            }
        }
    }

    pub(super) fn sub(&mut self, path: &Path, counts: &Counts) {
        for id in path.iter() {
            if let Some(scope) = self.scopes.get_mut(id) {
                scope.used.sub(counts);
            }
        }
    }

    /// What listings and denials call a scope.
    pub(super) fn name(&self, id: ScopeId, services: &[String]) -> String {
        let Some(scope) = self.scopes.get(id) else { return "a scope that is gone".into() };
        let kind = scope.kind.name();
        match &scope.name {
            Name::Fixed => kind.into(),
            Name::Peer(peer) => format!("{kind} {peer}"),
            Name::Protocol(protocol) => format!("{kind} {}", skep_api::escape::remote(protocol)),
            Name::Service(service) => {
                format!("{kind} {}", services.get(*service).map_or("", String::as_str))
            }
            Name::Within(outer, peer) => {
                let bare = |id| match self.name(id, services).split_once(' ') {
                    Some((_, name)) => name.to_string(),
                    None => String::new(),
                };
                format!("{kind} {} {}", bare(*outer), bare(*peer))
            }
        }
    }
}
