//! What the peer store is told: who was connected where, and what peers say of themselves.

use crate::{connection::Shared, pipeline::upgrade::ConnectionInfo, swarm::Inner};
use skep_api::{
    Multiaddr, PeerId,
    address::{self, Scope},
    peerstore::Ttl,
    protocol::PeerInfo,
    security::Role,
};
use std::sync::PoisonError;

impl Inner {
    /// The peer's key, and the address that was dialled. The port that an inbound connection comes from is nothing to
    /// dial.
    pub(crate) fn remember_connection(&self, info: &ConnectionInfo) {
        let Some(store) = &self.stack.peerstore else { return };
        store.object.set_key(&info.peer, &info.peer_key);
        if info.role == Role::Dialer {
            store.object.add_addrs(&info.peer, std::slice::from_ref(&info.remote), Ttl::Connected);
        }
    }

    /// The last connection to the peer has ended.
    pub(crate) fn remember_loss(&self, peer: &PeerId) {
        if let Some(store) = &self.stack.peerstore {
            store.object.reclass(peer, Ttl::Connected, Ttl::RecentlyConnected);
        }
    }

    /// What the peer says of itself.
    pub(crate) fn remember_info(&self, conn: &Shared, info: &PeerInfo) {
        let Some(store) = &self.stack.peerstore else { return };
        let peer = conn.info.peer;
        store.object.set_protocols(&peer, &info.protocols);
        if let Some(record) = &info.record {
            store.object.put_record(record);
        }
        let addrs = believable(&info.listen_addrs, &conn.info.remote);
        // Under the lock, so that the end of the last connection comes after this or is seen here.
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let connected = connections.contains_key(&peer);
        store.object.add_addrs(
            &peer,
            &addrs,
            if connected { Ttl::Connected } else { Ttl::RecentlyConnected },
        );
    }

    /// An address does not lead to the peer.
    pub(crate) fn forget_addr(&self, peer: &PeerId, addr: &Multiaddr) {
        if let Some(store) = &self.stack.peerstore {
            store.object.remove_addrs(peer, &[address::without_peer(addr)]);
        }
    }
}

/// The addresses that can lead to a peer that was met at `remote`: none of a narrower network. As go-libp2p does.
fn believable(addrs: &[Multiaddr], remote: &Multiaddr) -> Vec<Multiaddr> {
    let narrowest = match address::scope(remote) {
        Scope::Public => Scope::Public,
        Scope::Private | Scope::LinkLocal => Scope::LinkLocal,
        Scope::Loopback | Scope::Unknown => Scope::Loopback,
    };
    addrs.iter().filter(|addr| address::scope(addr) >= narrowest).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_met_in_public_has_no_private_addresses() {
        let addr = |text: &str| text.parse::<Multiaddr>().unwrap();
        let all =
            ["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/203.0.113.1/tcp/1", "/dns4/a.test/tcp/1"];
        let all = all.map(addr);
        assert_eq!(believable(&all, &addr("/ip4/203.0.113.9/tcp/5")), all[2..]);
        assert_eq!(believable(&all, &addr("/ip4/10.0.0.9/tcp/5")), all[1..]);
        assert_eq!(believable(&all, &addr("/ip4/127.0.0.1/tcp/5")), all);
    }
}
