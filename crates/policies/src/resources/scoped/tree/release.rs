//! What is given back, by the guards as they are dropped. Nothing here can fail.

use super::Tree;
use crate::resources::scoped::{counts::Counts, scopes::Scopes};

impl Tree {
    /// Gives back what the guard of a connection took.
    pub(in super::super) fn close_connection(&mut self, id: usize) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let own = std::mem::take(&mut connection.own);
        if let Some(ip) = connection.ip.filter(|_| connection.counted) {
            self.prefixes.remove(ip);
        }
        self.release_from_connection(id, &own);
    }

    /// Gives back what is held by a connection itself, and one guard of it.
    pub(in super::super) fn release_from_connection(&mut self, id: usize, counts: &Counts) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.direct.sub(counts);
        connection.used.sub(counts);
        let path = connection.path();
        self.scopes.sub(&path, counts);
        self.forget_connection(id);
    }

    /// Gives back what the guard of a stream took.
    pub(in super::super) fn close_stream(&mut self, id: usize) {
        let own = self.streams.get_mut(id).map(|stream| std::mem::take(&mut stream.own));
        self.release_from_stream(id, &own.unwrap_or_default());
    }

    /// Gives back what is held by a stream, and one guard of it.
    pub(in super::super) fn release_from_stream(&mut self, id: usize, counts: &Counts) {
        self.charge_stream(id, counts, Counts::sub, Scopes::sub);
        let Some(stream) = self.streams.get_mut(id) else { return };
        stream.guards = stream.guards.saturating_sub(1);
        if stream.guards > 0 {
            return;
        }
        let stream = self.streams.remove(id);
        for place in stream.places.into_iter().flatten().flatten() {
            self.scopes.release(place);
        }
        self.forget_connection(stream.connection);
    }

    /// One guard of a connection less; with the last one it is gone.
    fn forget_connection(&mut self, id: usize) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.guards = connection.guards.saturating_sub(1);
        if connection.guards == 0 {
            let connection = self.connections.remove(id);
            if let Some(peer) = connection.peer {
                self.scopes.release(peer);
            }
        }
    }
}
