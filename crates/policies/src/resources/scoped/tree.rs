//! The tree of scopes: what connections and streams hold in it, taken in all scopes or in none.
//!
//! One lock guards the whole, so that a step checks all scopes it touches before it changes the first.

mod moves;
mod release;

use super::{
    counts::{Counts, Over},
    kind::Kind,
    places::ip_of,
    prefixes::{Full, Prefixes},
    rates::{Rates, TooFast},
    rules::Rules,
    scopes::{Path, ScopeId, Scopes},
};
use skep_api::{
    resources::{ConnectionRequest, LimitExceeded, Priority, Resource},
    security::Role,
};
use slab::Slab;
use std::{collections::BTreeMap, net::IpAddr};

/// All that is held now.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) scopes: Scopes,
    pub(super) connections: Slab<Connection>,
    pub(super) streams: Slab<Stream>,
    pub(super) prefixes: Prefixes,
    pub(super) rates: Rates,
    /// Denials by kind of scope.
    pub(super) denied: BTreeMap<(Kind, Resource), u64>,
}

/// A connection, until its guard and those of all it holds are dropped.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) side: Side,
    pub(super) peer: Option<ScopeId>,
    /// What its guard gives back.
    own: Counts,
    /// That, and the memory that is reserved for it directly.
    pub(super) direct: Counts,
    /// That, and what its streams hold.
    pub(super) used: Counts,
    /// What those of its streams hold that have no protocol yet.
    pub(super) waiting: Counts,
    pub(super) ip: Option<IpAddr>,
    /// Whether its address counts, unless it is on the list of the allowed.
    pub(super) countable: bool,
    pub(super) counted: bool,
    guards: usize,
}

/// A stream, until its guard and those of its memory are dropped.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) connection: usize,
    own: Counts,
    pub(super) used: Counts,
    /// Its protocol and what goes with it, once that is known.
    pub(super) places: Option<[Option<ScopeId>; 4]>,
    guards: usize,
}

/// Which of the two systems a connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Normal,
    Allowlisted,
}

/// Why something is not granted.
#[derive(Debug)]
pub(super) enum Refusal {
    Scope(ScopeId, Over),
    /// A connection or a stream itself, which has no name.
    Unnamed(Kind, Over),
    Subnet(Full),
    Rate(TooFast),
    /// A mistake in here, or in how it is used.
    Broken(&'static str),
}

/// What is not in the tree, although a guard has its number.
const LOST: Refusal = Refusal::Broken("a scope is not in the tree");

impl Side {
    pub(super) fn of(allowlisted: bool) -> Self {
        if allowlisted { Self::Allowlisted } else { Self::Normal }
    }

    pub(super) fn system(self) -> ScopeId {
        match self {
            Self::Normal => Kind::System as ScopeId,
            Self::Allowlisted => Kind::AllowlistedSystem as ScopeId,
        }
    }

    pub(super) fn transient(self) -> ScopeId {
        match self {
            Self::Normal => Kind::Transient as ScopeId,
            Self::Allowlisted => Kind::AllowlistedTransient as ScopeId,
        }
    }
}

impl Connection {
    /// The scopes that the connection itself lies in.
    pub(super) fn path(&self) -> Path {
        let narrow = self.peer.unwrap_or(self.side.transient());
        Path::new([Some(self.side.system()), Some(narrow), None, None, None, None])
    }

    /// The scopes that a stream with these places lies in.
    fn stream_path(&self, places: Option<[Option<ScopeId>; 4]>) -> Path {
        let waiting = [Some(self.side.transient()), None, None, None];
        let [a, b, c, d] = places.unwrap_or(waiting);
        Path::new([Some(self.side.system()), self.peer, a, b, c, d])
    }
}

impl Tree {
    pub(super) fn new(rules: &Rules) -> Self {
        Self {
            scopes: Scopes::new(),
            connections: Slab::new(),
            streams: Slab::new(),
            prefixes: Prefixes::new(&rules.config),
            rates: Rates::new(&rules.config),
            denied: BTreeMap::new(),
        }
    }

    /// Takes a connection slot; its number.
    pub(super) fn open_connection(
        &mut self,
        rules: &Rules,
        request: &ConnectionRequest<'_>,
    ) -> Result<usize, LimitExceeded> {
        let ip = ip_of(request.remote);
        let own = Counts::connection(request.role, rules.connection_memory, request.descriptor);
        let side = Side::of(rules.places.may_be_allowed(ip, request.expected));
        let countable = request.role == Role::Listener && ip.is_some_and(|ip| rules.places.is_counted(ip));
        let connection = Connection {
            side,
            peer: None,
            own,
            direct: own,
            used: own,
            waiting: Counts::default(),
            ip,
            countable,
            counted: countable && side == Side::Normal,
            guards: 1,
        };
        if let Err(refusal) = self.admit(rules, &connection) {
            return Err(self.deny(rules, &refusal));
        }
        self.scopes.add(&connection.path(), &own);
        if let Some(ip) = ip.filter(|_| connection.counted) {
            self.prefixes.add(ip);
        }
        Ok(self.connections.insert(connection))
    }

    /// The rate comes last: what does not fit anyway takes nothing from it.
    fn admit(&mut self, rules: &Rules, connection: &Connection) -> Result<(), Refusal> {
        let own = &connection.own;
        let ip = connection.ip.filter(|_| connection.counted);
        self.fits(rules, &connection.path(), own, Priority::Always)?;
        self.fits_unnamed(rules, Kind::Connection, &Counts::default(), own, Priority::Always)?;
        if let Some(full) = ip.and_then(|ip| self.prefixes.full(ip)) {
            return Err(Refusal::Subnet(full));
        }
        ip.map_or(Ok(()), |ip| self.rates.take(ip)).map_err(Refusal::Rate)
    }

    /// Takes a stream slot; its number.
    pub(super) fn open_stream(
        &mut self,
        rules: &Rules,
        id: usize,
        role: Role,
    ) -> Result<usize, LimitExceeded> {
        let own = Counts::stream(role, rules.stream_memory);
        let admitted = self.admit_stream(rules, id, &own);
        let path = admitted.map_err(|refusal| self.deny(rules, &refusal))?;
        self.scopes.add(&path, &own);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.used.add(&own);
            connection.waiting.add(&own);
            connection.guards = connection.guards.saturating_add(1);
        }
        Ok(self.streams.insert(Stream { connection: id, own, used: own, places: None, guards: 1 }))
    }

    fn admit_stream(&self, rules: &Rules, id: usize, own: &Counts) -> Result<Path, Refusal> {
        let connection = self.connections.get(id).ok_or(LOST)?;
        let path = connection.stream_path(None);
        self.fits(rules, &path, own, Priority::Always)?;
        self.fits_unnamed(rules, Kind::Connection, &connection.used, own, Priority::Always)?;
        self.fits_unnamed(rules, Kind::Stream, &Counts::default(), own, Priority::Always)?;
        Ok(path)
    }

    /// Takes memory for a connection itself.
    pub(super) fn reserve_for_connection(
        &mut self,
        rules: &Rules,
        id: usize,
        bytes: u64,
        priority: Priority,
    ) -> Result<(), LimitExceeded> {
        let take = Counts::memory(bytes);
        let fits = self.connections.get(id).ok_or(LOST).and_then(|connection| {
            self.fits(rules, &connection.path(), &take, priority)?;
            self.fits_unnamed(rules, Kind::Connection, &connection.used, &take, priority)?;
            Ok(connection.path())
        });
        let path = fits.map_err(|refusal| self.deny(rules, &refusal))?;
        self.scopes.add(&path, &take);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.direct.add(&take);
            connection.used.add(&take);
            connection.guards = connection.guards.saturating_add(1);
        }
        Ok(())
    }

    /// Takes memory for a stream.
    pub(super) fn reserve_for_stream(
        &mut self,
        rules: &Rules,
        id: usize,
        bytes: u64,
        priority: Priority,
    ) -> Result<(), LimitExceeded> {
        let take = Counts::memory(bytes);
        let fits = self.stream(id).and_then(|(stream, connection)| {
            let path = connection.stream_path(stream.places);
            self.fits(rules, &path, &take, priority)?;
            self.fits_unnamed(rules, Kind::Connection, &connection.used, &take, priority)?;
            self.fits_unnamed(rules, Kind::Stream, &stream.used, &take, priority)
        });
        fits.map_err(|refusal| self.deny(rules, &refusal))?;
        self.charge_stream(id, &take, Counts::add, Scopes::add);
        if let Some(stream) = self.streams.get_mut(id) {
            stream.guards = stream.guards.saturating_add(1);
        }
        Ok(())
    }

    pub(super) fn stream(&self, id: usize) -> Result<(&Stream, &Connection), Refusal> {
        let stream = self.streams.get(id).ok_or(LOST)?;
        Ok((stream, self.connections.get(stream.connection).ok_or(LOST)?))
    }

    /// Whether all scopes of a path have room.
    pub(super) fn fits(
        &self,
        rules: &Rules,
        path: &Path,
        take: &Counts,
        priority: Priority,
    ) -> Result<(), Refusal> {
        for id in path.iter() {
            let scope = self.scopes.get(id).ok_or(LOST)?;
            if let Some(over) = rules.limits.over(scope.kind, &scope.used, take, priority) {
                return Err(Refusal::Scope(id, over));
            }
        }
        Ok(())
    }

    fn fits_unnamed(
        &self,
        rules: &Rules,
        kind: Kind,
        used: &Counts,
        take: &Counts,
        priority: Priority,
    ) -> Result<(), Refusal> {
        let over = rules.limits.over(kind, used, take, priority);
        over.map_or(Ok(()), |over| Err(Refusal::Unnamed(kind, over)))
    }

    /// Adds to, or takes from, a stream and all that it lies in.
    fn charge_stream(
        &mut self,
        id: usize,
        counts: &Counts,
        change: fn(&mut Counts, &Counts),
        change_path: fn(&mut Scopes, &Path, &Counts),
    ) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let Some(connection) = self.connections.get_mut(stream.connection) else { return };
        change(&mut stream.used, counts);
        change(&mut connection.used, counts);
        if stream.places.is_none() {
            change(&mut connection.waiting, counts);
        }
        let path = connection.stream_path(stream.places);
        change_path(&mut self.scopes, &path, counts);
    }
}
