//! A resource manager.

use skep_api::{
    PeerId,
    resources::{
        ConnectionRequest, ConnectionScope, Limit, LimitExceeded, MemoryGuard, Priority, Resource,
        ResourceManager, StreamScope, Usage,
    },
    security::Role,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    OutboundHasNoLimit,
    DeniedConnectionsAreCharged,
    DeniedConnectionsMove,
    DeniedStreamsAreCharged,
    DeniedProtocolsAreCharged,
    MovesTakeASecondSlot,
    OrphansAreLost,
    StreamsEndWithTheirConnection,
    RoomIsMadeLater,
    DenialsNameNoKey,
    DenialsForgetTheValue,
    SumsWrap,
    PeersAreRemembered,
    OutboundStreamsWait,
    UsageIsEndless,
}

/// The limits: a scope, what is limited, and to how much.
const LIMITS: [(&str, Resource, u64); 5] = [
    ("system", Resource::Connections, 6),
    ("system", Resource::Memory, 1_000),
    ("peer", Resource::Connections, 2),
    ("peer", Resource::Streams, 3),
    ("protocol", Resource::Streams, 2),
];

/// Keeps a list of what is held.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    fault: Fault,
    pages: Arc<Mutex<Pages>>,
}

#[derive(Debug, Default)]
struct Pages {
    next: u64,
    held: BTreeMap<u64, Held>,
    peers: BTreeMap<u64, PeerId>,
    /// Connections whose guards are gone.
    closed: BTreeSet<u64>,
    /// What is to be given back when something is denied, or looked at.
    late: Vec<u64>,
    remembered: BTreeSet<PeerId>,
}

/// What one guard holds.
#[derive(Clone, Debug)]
struct Held {
    connection: u64,
    protocol: Option<String>,
    resource: Resource,
    count: u64,
}

/// A guard of any kind.
#[derive(Debug)]
struct Guard {
    book: Book,
    connection: u64,
    id: u64,
    bytes: u64,
    is_connection: bool,
}

impl Book {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault, pages: Arc::default() }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap()
    }

    /// Takes what fits, for a new connection or for one there is.
    fn take(
        &self,
        connection: Option<u64>,
        resource: Resource,
        count: u64,
        limited: bool,
    ) -> Result<Guard, LimitExceeded> {
        let mut pages = self.pages();
        let id = pages.next;
        pages.next += 1;
        let held = Held { connection: connection.unwrap_or(id), protocol: None, resource, count };
        if limited {
            pages.fits(self.fault, &held)?;
        }
        pages.held.insert(id, held.clone());
        let is_connection = connection.is_none();
        Ok(Guard { book: self.clone(), connection: held.connection, id, bytes: count, is_connection })
    }

    /// Charges a byte to somebody.
    fn charge(&self) {
        let mut pages = self.pages();
        let held = Held { connection: 0, protocol: None, resource: Resource::Memory, count: 1 };
        pages.held.insert(u64::MAX, held);
    }
}

impl Pages {
    /// The scopes that something lies in.
    fn scopes(&self, held: &Held) -> Vec<String> {
        let peer = self.peers.get(&held.connection).map(|peer| format!("peer {peer}"));
        let protocol = held.protocol.as_ref().map(|protocol| format!("protocol {protocol}"));
        [Some("system".to_string()), peer, protocol].into_iter().flatten().collect()
    }

    fn sum(&self, scope: &str, resource: Resource) -> u64 {
        let held = self.held.values().filter(|held| held.resource == resource);
        let held = held.filter(|held| self.scopes(held).iter().any(|name| name == scope));
        held.fold(0, |sum, held| sum.wrapping_add(held.count))
    }

    fn make_room(&mut self) {
        for id in std::mem::take(&mut self.late) {
            self.held.remove(&id);
        }
    }

    /// Whether something that is not on the list fits.
    fn fits(&mut self, fault: Fault, held: &Held) -> Result<(), LimitExceeded> {
        for scope in self.scopes(held) {
            let kind = scope.split(' ').next().unwrap();
            for (_, _, limit) in LIMITS.iter().filter(|l| l.0 == kind && l.1 == held.resource) {
                let current = self.sum(&scope, held.resource);
                let fits = match fault {
                    Fault::SumsWrap => current.wrapping_add(held.count) <= *limit,
                    _ => current.checked_add(held.count).is_some_and(|sum| sum <= *limit),
                };
                if fits {
                    continue;
                }
                self.make_room();
                let key = format!("{kind}.{}", held.resource);
                return Err(LimitExceeded {
                    scope: format!("{}, {scope}", held.resource),
                    current: if fault == Fault::DenialsForgetTheValue { 0 } else { current },
                    limit: *limit,
                    key: if fault == Fault::DenialsNameNoKey { String::new() } else { key },
                });
            }
        }
        Ok(())
    }
}

impl ResourceManager for Book {
    fn open_connection(
        &self,
        request: &ConnectionRequest<'_>,
    ) -> Result<Box<dyn ConnectionScope>, LimitExceeded> {
        let outbound = request.role == Role::Dialer;
        let limited = !outbound || self.fault != Fault::OutboundHasNoLimit;
        let taken = self.take(None, Resource::Connections, 1, limited);
        if taken.is_err() && outbound && self.fault == Fault::DeniedConnectionsAreCharged {
            self.charge();
        }
        taken.map(|guard| Box::new(guard) as _)
    }

    fn usage(&self, max: usize) -> Vec<Usage> {
        let mut pages = self.pages();
        pages.make_room();
        let mut scopes: BTreeSet<_> = pages.held.values().flat_map(|held| pages.scopes(held)).collect();
        scopes.extend(pages.remembered.iter().map(|peer| format!("peer {peer}")));
        let system = scopes.take("system");
        let max = if self.fault == Fault::UsageIsEndless { usize::MAX } else { max };
        let mut rows = Vec::new();
        for scope in system.into_iter().chain(scopes).take(max) {
            for resource in [Resource::Connections, Resource::Streams, Resource::Memory] {
                let current = pages.sum(&scope, resource);
                let kind = scope.split(' ').next().unwrap();
                let limit = LIMITS.iter().find(|l| l.0 == kind && l.1 == resource).map(|l| l.2);
                rows.push(Usage { scope: scope.clone(), resource, current, limit, denied: 0 });
            }
        }
        rows
    }

    fn limits(&self) -> Vec<Limit> {
        let limit = |(scope, resource, limit): &(&str, Resource, u64)| Limit {
            scope: (*scope).into(),
            resource: *resource,
            limit: Some(*limit),
            key: format!("{scope}.{resource}"),
            why: "configured".into(),
        };
        LIMITS.iter().map(limit).collect()
    }
}

impl ConnectionScope for Guard {
    fn set_peer(&mut self, peer: &PeerId) -> Result<(), LimitExceeded> {
        let fault = self.book.fault;
        let mut pages = self.book.pages();
        if fault == Fault::MovesTakeASecondSlot {
            let second = Held { connection: u64::MAX, ..pages.held[&self.id].clone() };
            pages.fits(fault, &second)?;
        }
        let holdings: Vec<_> = pages.held.iter().filter(|(_, h)| h.connection == self.connection).collect();
        let holdings: BTreeMap<_, _> = holdings.into_iter().map(|(id, held)| (*id, held.clone())).collect();
        pages.held.retain(|id, _| !holdings.contains_key(id));
        pages.peers.insert(self.connection, *peer);
        let fits = holdings.values().try_for_each(|held| pages.fits(fault, held));
        pages.held.extend(holdings);
        if fits.is_err() && fault != Fault::DeniedConnectionsMove {
            pages.peers.remove(&self.connection);
        }
        if fault == Fault::PeersAreRemembered {
            pages.remembered.insert(*peer);
        }
        fits
    }

    fn open_stream(&self, role: Role) -> Result<Box<dyn StreamScope>, LimitExceeded> {
        let taken = self.book.take(Some(self.connection), Resource::Streams, 1, true);
        match self.book.fault {
            Fault::DeniedStreamsAreCharged if taken.is_err() => self.book.charge(),
            Fault::OutboundStreamsWait if taken.is_err() && role == Role::Dialer => loop {
                std::thread::park();
            },
            _ => {}
        }
        taken.map(|guard| Box::new(guard) as _)
    }

    fn reserve(&self, bytes: u64, _: Priority) -> Result<Box<dyn MemoryGuard>, LimitExceeded> {
        let taken = self.book.take(Some(self.connection), Resource::Memory, bytes, true);
        taken.map(|guard| Box::new(guard) as _)
    }
}

impl StreamScope for Guard {
    fn set_protocol(&mut self, protocol: &str) -> Result<(), LimitExceeded> {
        let fault = self.book.fault;
        let mut pages = self.book.pages();
        let mut held = pages.held.remove(&self.id).unwrap();
        let old = held.clone();
        held.protocol = Some(protocol.into());
        let fits = pages.fits(fault, &held);
        let moved = fits.is_ok() || fault == Fault::DeniedProtocolsAreCharged;
        pages.held.insert(self.id, if moved { held } else { old });
        fits
    }

    fn reserve(&self, bytes: u64, _: Priority) -> Result<Box<dyn MemoryGuard>, LimitExceeded> {
        let taken = self.book.take(Some(self.connection), Resource::Memory, bytes, true);
        taken.map(|guard| Box::new(guard) as _)
    }
}

impl MemoryGuard for Guard {
    fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut pages = self.book.pages();
        match self.book.fault {
            Fault::OrphansAreLost if pages.closed.contains(&self.connection) => return,
            Fault::StreamsEndWithTheirConnection if self.is_connection => {
                pages.held.retain(|_, held| held.connection != self.connection);
            }
            Fault::RoomIsMadeLater => {
                pages.late.push(self.id);
                return;
            }
            _ => {}
        }
        pages.held.remove(&self.id);
        if self.is_connection {
            pages.closed.insert(self.connection);
        }
    }
}
