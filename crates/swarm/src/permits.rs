//! Connection permits: taken before a socket is dialled, or before a byte is spent on one that was accepted; given back
//! when the socket is gone.

use crate::gates::Seat;
use skep_api::{
    PeerId,
    resources::{ConnectionRequest, ConnectionScope, LimitExceeded, ResourceManager},
};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The budgets of a node.
#[derive(Clone, Debug)]
pub(crate) struct Permits {
    connections: Arc<Semaphore>,
    /// Room for connections that peers dial: less, so that they never keep this node from dialling.
    inbound: Arc<Semaphore>,
    pending_inbound: Arc<Semaphore>,
    max_connections: usize,
    max_inbound: usize,
    max_pending_inbound: usize,
}

/// The right to hold one connection. Dropping it gives it back, so a slot cannot leak.
#[derive(Debug)]
pub(crate) struct Permit {
    _connection: OwnedSemaphorePermit,
    _inbound: Option<OwnedSemaphorePermit>,
    pending: Option<OwnedSemaphorePermit>,
    /// What the resource manager has granted, if there is one.
    scope: Option<Box<dyn ConnectionScope>>,
    /// Its place in the census.
    seat: Option<Seat>,
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

impl Permits {
    pub(crate) fn new(max_connections: u32, max_pending_inbound: u32, outbound_reserve: u32) -> Self {
        let max = max_connections as usize;
        // A quarter at most: who allows a few connections only means them for either direction.
        let max_inbound = max.saturating_sub((outbound_reserve as usize).min(max / 4));
        Self {
            inbound: Arc::new(Semaphore::new(max_inbound)),
            max_inbound,
            connections: Arc::new(Semaphore::new(max)),
            pending_inbound: Arc::new(Semaphore::new(max_pending_inbound as usize)),
            max_connections: max,
            max_pending_inbound: max_pending_inbound as usize,
        }
    }

    /// Connections in use, those in their handshake included.
    pub(crate) fn in_use(&self) -> usize {
        self.max_connections.saturating_sub(self.connections.available_permits())
    }

    /// Inbound connections in their handshake.
    pub(crate) fn pending_inbound(&self) -> usize {
        self.max_pending_inbound.saturating_sub(self.pending_inbound.available_permits())
    }

    /// A permit for a dial, or the limit that is in the way.
    pub(crate) fn outbound(&self) -> Result<Permit, LimitExceeded> {
        match Arc::clone(&self.connections).try_acquire_owned() {
            Ok(connection) => {
                Ok(Permit { _connection: connection, _inbound: None, pending: None, scope: None, seat: None })
            }
            Err(_) => Err(LimitExceeded {
                scope: "connections".into(),
                current: self.in_use() as u64,
                limit: self.max_connections as u64,
                key: "swarm.max_connections".into(),
            }),
        }
    }

    /// A permit for an inbound connection. Waiting here is the back-pressure: the listener holds one untouched socket
    /// and accepts no other meanwhile. A listener at rest holds nothing, so that it cannot starve another.
    pub(crate) async fn inbound(&self) -> Option<Permit> {
        let pending = Arc::clone(&self.pending_inbound).acquire_owned().await.ok()?;
        let inbound = Arc::clone(&self.inbound).acquire_owned().await.ok()?;
        let connection = Arc::clone(&self.connections).acquire_owned().await.ok()?;
        Some(Permit {
            _connection: connection,
            _inbound: Some(inbound),
            pending: Some(pending),
            scope: None,
            seat: None,
        })
    }

    /// The same for a link that cannot wait, or the limit that is in the way.
    pub(crate) fn inbound_now(&self) -> Result<Permit, LimitExceeded> {
        let take = |from: &Arc<Semaphore>, max: usize, what: &str, key: &str| {
            Arc::clone(from).try_acquire_owned().map_err(|_| LimitExceeded {
                scope: what.into(),
                current: max as u64,
                limit: max as u64,
                key: key.into(),
            })
        };
        let (max, key) = (self.max_pending_inbound, "swarm.max_pending_inbound");
        let pending = take(&self.pending_inbound, max, "inbound connections in their handshake", key)?;
        let key = "swarm.max_connections";
        let inbound = take(&self.inbound, self.max_inbound, "inbound connections", key)?;
        let connection = take(&self.connections, self.max_connections, "connections", key)?;
        Ok(Permit {
            _connection: connection,
            _inbound: Some(inbound),
            pending: Some(pending),
            scope: None,
            seat: None,
        })
    }
}

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
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_permit_is_given_back() {
        let permits = Permits::new(2, 1, 0);
        let outbound = permits.outbound().unwrap();
        let mut inbound = permits.inbound().await.unwrap();
        assert_eq!(permits.in_use(), 2);
        let error = permits.outbound().unwrap_err();
        assert_eq!(error.to_string(), "connections: 2 of 2 in use; raise `swarm.max_connections`");
        drop(outbound);
        inbound.established();
        let next = permits.inbound().await.unwrap();
        assert_eq!(permits.in_use(), 2);
        drop((inbound, next));
        assert_eq!(permits.in_use(), 0);
    }

    #[tokio::test]
    async fn inbound_connections_leave_room_for_dials() {
        let permits = Permits::new(8, 100, 5);
        let inbound: Vec<_> = std::iter::from_fn(|| permits.inbound_now().ok()).collect();
        assert_eq!(inbound.len(), 6);
        let error = permits.inbound_now().unwrap_err();
        assert_eq!(error.to_string(), "inbound connections: 6 of 6 in use; raise `swarm.max_connections`");
        let waits = permits.inbound();
        assert!(futures::FutureExt::now_or_never(waits).is_none());
        let _outbound = [permits.outbound().unwrap(), permits.outbound().unwrap()];
        permits.outbound().unwrap_err();
    }
}
