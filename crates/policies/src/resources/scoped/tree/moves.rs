//! Moves within the tree: what is taken in the new place is taken before anything is given back in the old one.

use super::{Refusal, Side, Tree};
use crate::resources::scoped::{
    counts::Counts,
    kind::Kind,
    rules::Rules,
    scopes::{Path, ScopeId},
};
use skep_api::{
    PeerId,
    resources::{LimitExceeded, Priority},
};

const TWICE: Refusal = Refusal::Broken("a scope is moved once, and this one has been");

impl Tree {
    /// Moves a connection, with all it holds, from the transient scope to that of its peer, and to the other system
    /// where the peer is not what the address promised.
    ///
    /// A stream whose protocol is known by then is not in the scope of the peer within that protocol: a connection
    /// whose peer is not proven should have no such stream.
    pub(in super::super) fn set_peer(
        &mut self,
        rules: &Rules,
        id: usize,
        peer: &PeerId,
    ) -> Result<(), LimitExceeded> {
        let scope = self.scopes.hold_peer(peer);
        match self.admit_peer(rules, id, peer, scope) {
            Ok(side) => {
                self.move_connection(id, scope, side);
                Ok(())
            }
            Err(refusal) => {
                // First its name, then the scope, which may be nobody's.
                let denial = self.deny(rules, &refusal);
                self.scopes.release(scope);
                Err(denial)
            }
        }
    }

    fn admit_peer(&self, rules: &Rules, id: usize, peer: &PeerId, scope: ScopeId) -> Result<Side, Refusal> {
        let connection = self.connections.get(id).ok_or(super::LOST)?;
        if connection.peer.is_some() {
            return Err(TWICE);
        }
        let to_peer = self.fits(rules, &one(scope), &connection.used, Priority::Always);
        let side = Side::of(rules.places.is_allowed(connection.ip, peer));
        if side == connection.side {
            return to_peer.map(|()| side);
        }
        self.fits(rules, &one(side.system()), &connection.used, Priority::Always)?;
        self.fits(rules, &one(side.transient()), &connection.waiting, Priority::Always)?;
        to_peer?;
        let counts = side == Side::Normal && connection.countable;
        match connection.ip.filter(|_| counts).and_then(|ip| self.prefixes.full(ip)) {
            Some(full) => Err(Refusal::Subnet(full)),
            None => Ok(side),
        }
    }

    fn move_connection(&mut self, id: usize, peer: ScopeId, side: Side) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let (old, used) = (connection.side, connection.used);
        self.scopes.add(&one(peer), &used);
        self.scopes.sub(&one(old.transient()), &connection.direct);
        connection.peer = Some(peer);
        if side == old {
            return;
        }
        connection.side = side;
        for (to, from, counts) in
            [(side.system(), old.system(), used), (side.transient(), old.transient(), connection.waiting)]
        {
            self.scopes.add(&one(to), &counts);
            self.scopes.sub(&one(from), &counts);
        }
        let counted = connection.countable && side == Side::Normal;
        match connection.ip {
            Some(ip) if counted && !connection.counted => self.prefixes.add(ip),
            Some(ip) if !counted && connection.counted => self.prefixes.remove(ip),
            _ => {}
        }
        connection.counted = counted;
    }

    /// Moves a stream, with the memory it holds, from the transient scope to those of its protocol.
    pub(in super::super) fn set_protocol(
        &mut self,
        rules: &Rules,
        id: usize,
        protocol: &str,
    ) -> Result<(), LimitExceeded> {
        let peer = match self.stream(id) {
            Ok((stream, _)) if stream.places.is_some() => return Err(self.deny(rules, &TWICE)),
            Ok((_, connection)) => connection.peer,
            Err(refusal) => return Err(self.deny(rules, &refusal)),
        };
        let places = self.hold_places(rules, protocol, peer);
        let [a, b, c, d] = places;
        let path = Path::new([a, b, c, d, None, None]);
        let used = self.streams.get(id).map(|stream| stream.used).unwrap_or_default();
        if let Err(refusal) = self.fits(rules, &path, &used, Priority::Always) {
            let denial = self.deny(rules, &refusal);
            path.iter().for_each(|place| self.scopes.release(place));
            return Err(denial);
        }
        self.move_stream(id, places, &path, &used);
        Ok(())
    }

    /// The scopes of a protocol and of its service, and of the peer within them.
    fn hold_places(&mut self, rules: &Rules, protocol: &str, peer: Option<ScopeId>) -> [Option<ScopeId>; 4] {
        let whole = self.scopes.hold_protocol(protocol);
        let part = peer.map(|peer| self.scopes.hold_within(Kind::ProtocolPeer, whole, peer));
        let service = rules.service_of.get(protocol).map(|service| self.scopes.hold_service(*service));
        let service_part = service
            .zip(peer)
            .map(|(service, peer)| self.scopes.hold_within(Kind::ServicePeer, service, peer));
        [service, Some(whole), service_part, part]
    }

    fn move_stream(&mut self, id: usize, places: [Option<ScopeId>; 4], path: &Path, used: &Counts) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let Some(connection) = self.connections.get_mut(stream.connection) else { return };
        stream.places = Some(places);
        connection.waiting.sub(used);
        self.scopes.add(path, used);
        self.scopes.sub(&one(connection.side.transient()), used);
    }
}

fn one(scope: ScopeId) -> Path {
    Path::new([Some(scope), None, None, None, None, None])
}
