//! Connection permits: taken before a socket is dialled, or before a byte is spent on one that was accepted; given back
//! when the socket is gone.

use crate::{gates::Seat, settings::Settings};
use skep_api::{
    PeerId,
    resources::{ConnectionRequest, ConnectionScope, LimitExceeded, ResourceManager},
    security::Role,
};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The budgets of a node.
#[derive(Clone, Debug)]
pub(crate) struct Permits {
    ordinary: Places,
    /// Room among the ordinary ones for connections that peers dial: less, so that they never keep this node from dialling.
    inbound: Places,
    /// Places for peers of the protected reserve.
    kept: Places,
    /// Of these, those on which inbound connections may be whose peers are not proven yet: half, so that the others
    /// are there for dials.
    unproven: Places,
    pending_inbound: Places,
}

/// Places of one kind.
#[derive(Clone, Debug)]
struct Places {
    free: Arc<Semaphore>,
    all: usize,
}

/// Where a connection is.
#[derive(Debug)]
enum Place {
    Ordinary { _connection: OwnedSemaphorePermit, _inbound: Option<OwnedSemaphorePermit> },
    Kept { _connection: OwnedSemaphorePermit, unproven: Option<OwnedSemaphorePermit> },
}

/// The right to hold one connection. Dropping it gives it back, so a slot cannot leak.
#[derive(Debug)]
pub(crate) struct Permit {
    place: Place,
    pending: Option<OwnedSemaphorePermit>,
    /// What the resource manager has granted, if there is one.
    scope: Option<Box<dyn ConnectionScope>>,
    /// Its place in the census.
    seat: Option<Seat>,
}

/// How many places are for dials only, and how many of the longest-lived peers that were dialled are never pruned: a
/// quarter at most, as who allows a few connections only means them for either direction.
pub(crate) fn outbound_reserve(settings: &Settings) -> usize {
    (settings.outbound_reserve as usize).min(settings.max_connections as usize / 4)
}

/// How many places are for peers of the protected reserve only: an eighth at most.
fn protected_reserve(settings: &Settings) -> usize {
    (settings.protected_reserve as usize).min(settings.max_connections as usize / 8)
}

impl Permit {
    /// Takes a seat in the census.
    pub(crate) fn sit(&mut self, seat: Option<Seat>) {
        self.seat = seat;
    }

    /// Its place in the order of coming, if it has a seat.
    pub(crate) fn seat(&self) -> Option<u64> {
        self.seat.as_ref().map(Seat::order)
    }

    /// Asks the resource manager, if there is one. Comes before anything is sent.
    pub(crate) fn grant(
        &mut self,
        resources: Option<&dyn ResourceManager>,
        request: &ConnectionRequest<'_>,
    ) -> Result<(), LimitExceeded> {
        self.scope = resources.map(|resources| resources.open_connection(request)).transpose()?;
        Ok(())
    }

    /// The peer is proven: the connection counts as one of its own now.
    pub(crate) fn set_peer(&mut self, peer: &PeerId) -> Result<(), LimitExceeded> {
        self.scope.as_mut().map_or(Ok(()), |scope| scope.set_peer(peer))
    }

    /// The scope of the connection, for its streams.
    pub(crate) fn take_scope(&mut self) -> Option<Box<dyn ConnectionScope>> {
        self.scope.take()
    }

    /// Takes the scope of a connection that comes to nothing back.
    pub(crate) fn give_scope(&mut self, scope: Option<Box<dyn ConnectionScope>>) {
        self.scope = scope;
    }

    /// The handshake is over: another inbound one may begin.
    pub(crate) fn established(&mut self) {
        self.pending = None;
        if let Some(seat) = &self.seat {
            seat.established();
        }
    }
}

impl Places {
    fn new(all: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(all)), all }
    }

    fn in_use(&self) -> usize {
        self.all.saturating_sub(self.free.available_permits())
    }

    fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).acquire_owned().await.ok()
    }

    fn exceeded(&self, scope: &str, key: &str) -> LimitExceeded {
        LimitExceeded {
            scope: scope.into(),
            current: self.in_use() as u64,
            limit: self.all as u64,
            key: key.into(),
        }
    }
}

impl Permits {
    pub(crate) fn new(settings: &Settings) -> Self {
        let kept = protected_reserve(settings);
        let ordinary = (settings.max_connections as usize).saturating_sub(kept);
        Self {
            ordinary: Places::new(ordinary),
            inbound: Places::new(ordinary.saturating_sub(outbound_reserve(settings))),
            kept: Places::new(kept),
            unproven: Places::new(kept.div_ceil(2)),
            pending_inbound: Places::new(settings.max_pending_inbound as usize),
        }
    }

    /// Connections in use, those in their handshake included.
    pub(crate) fn in_use(&self) -> usize {
        self.ordinary.in_use().saturating_add(self.kept.in_use())
    }

    /// Inbound connections in their handshake.
    pub(crate) fn pending_inbound(&self) -> usize {
        self.pending_inbound.in_use()
    }

    /// A permit for a dial, or the limit that is in the way. One of a peer of the reserve may be on a kept place.
    pub(crate) fn outbound(&self, reserved: bool) -> Result<Permit, LimitExceeded> {
        let kept = || reserved.then(|| self.kept.take()).flatten();
        let place = match self.ordinary.take() {
            Some(connection) => Place::Ordinary { _connection: connection, _inbound: None },
            None => match kept() {
                Some(connection) => Place::Kept { _connection: connection, unproven: None },
                None => return Err(self.ordinary.exceeded("connections", MAX_CONNECTIONS)),
            },
        };
        Ok(Permit { place, pending: None, scope: None, seat: None })
    }

    /// A permit for an inbound connection. Waiting here is the back-pressure: the listener holds one untouched socket
    /// and accepts no other meanwhile. A listener at rest holds nothing, so that it cannot starve another.
    pub(crate) async fn inbound(&self) -> Option<Permit> {
        let pending = self.pending_inbound.wait().await?;
        let ordinary = async {
            let inbound = self.inbound.wait().await?;
            let connection = self.ordinary.wait().await?;
            Some(Place::Ordinary { _connection: connection, _inbound: Some(inbound) })
        };
        let kept = async {
            let unproven = self.unproven.wait().await?;
            let connection = self.kept.wait().await?;
            Some(Place::Kept { _connection: connection, unproven: Some(unproven) })
        };
        let place = tokio::select! {
            biased;
            place = ordinary => place?,
            place = kept => place?,
        };
        Some(Permit { place, pending: Some(pending), scope: None, seat: None })
    }

    /// The same for a link that cannot wait, or the limit that is in the way.
    pub(crate) fn inbound_now(&self) -> Result<Permit, LimitExceeded> {
        let Some(pending) = self.pending_inbound.take() else {
            let scope = "inbound connections in their handshake";
            return Err(self.pending_inbound.exceeded(scope, "swarm.max_pending_inbound"));
        };
        let place = match self.ordinary_inbound() {
            Ok(place) => place,
            Err(limit) => self.kept_inbound().ok_or(limit)?,
        };
        Ok(Permit { place, pending: Some(pending), scope: None, seat: None })
    }

    fn ordinary_inbound(&self) -> Result<Place, LimitExceeded> {
        let full = |places: &Places, scope| places.exceeded(scope, MAX_CONNECTIONS);
        let inbound = self.inbound.take().ok_or_else(|| full(&self.inbound, "inbound connections"))?;
        let connection = self.ordinary.take().ok_or_else(|| full(&self.ordinary, "connections"))?;
        Ok(Place::Ordinary { _connection: connection, _inbound: Some(inbound) })
    }

    fn kept_inbound(&self) -> Option<Place> {
        let unproven = self.unproven.take()?;
        Some(Place::Kept { _connection: self.kept.take()?, unproven: Some(unproven) })
    }

    /// The peer is proven: a connection on a kept place moves to an ordinary one, if one is free. Otherwise it stays where
    /// it is if its peer is one of the reserve.
    ///
    /// # Errors
    /// [`LimitExceeded`] if it is not, and there is no ordinary place.
    pub(crate) fn settle(
        &self,
        permit: &mut Permit,
        role: Role,
        reserved: bool,
    ) -> Result<(), LimitExceeded> {
        let Place::Kept { unproven, .. } = &mut permit.place else { return Ok(()) };
        let full = match role {
            Role::Listener => match self.ordinary_inbound() {
                Ok(place) => {
                    permit.place = place;
                    return Ok(());
                }
                Err(full) => full,
            },
            Role::Dialer => match self.ordinary.take() {
                Some(connection) => {
                    permit.place = Place::Ordinary { _connection: connection, _inbound: None };
                    return Ok(());
                }
                None => self.ordinary.exceeded("connections", MAX_CONNECTIONS),
            },
        };
        if !reserved {
            let scope = format!("{}, but for those that `swarm.protected_reserve` keeps", full.scope);
            return Err(LimitExceeded { scope, ..full });
        }
        *unproven = None;
        Ok(())
    }
}

/// The key that most limits here come from.
const MAX_CONNECTIONS: &str = "swarm.max_connections";

/// The limit on streams that a peer may have open on one connection.
pub(crate) fn per_connection(peer: &PeerId, current: u32, limit: u32) -> LimitExceeded {
    exceeded(format!("streams of {peer} on one connection"), current, limit, "swarm.max_inbound_streams")
}

/// The limit on streams that all peers may have open.
pub(crate) fn total_inbound(limit: u32) -> LimitExceeded {
    exceeded("streams of all peers".into(), limit, limit, "swarm.max_inbound_streams_total")
}

/// The limit on streams that this node may have open on one connection.
pub(crate) fn per_connection_outbound(peer: &PeerId, limit: u32) -> LimitExceeded {
    exceeded(format!("streams to {peer} on one connection"), limit, limit, "swarm.max_outbound_streams")
}

/// The limit on streams that this node may have open.
pub(crate) fn total_outbound(limit: u32) -> LimitExceeded {
    exceeded("streams of this node".into(), limit, limit, "swarm.max_outbound_streams_total")
}

fn exceeded(scope: String, current: u32, limit: u32, key: &str) -> LimitExceeded {
    LimitExceeded { scope, current: current.into(), limit: limit.into(), key: key.into() }
}

#[cfg(test)]
mod tests;
