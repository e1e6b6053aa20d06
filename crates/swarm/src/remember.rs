//! What the peer store is told: who was connected where, and what peers say of themselves.

use crate::{connection::Shared, pipeline::upgrade::ConnectionInfo, swarm::Inner};
use skep_api::{
    Multiaddr, PeerId,
    address::{self, Scope},
    peerstore::Ttl,
    protocol::PeerInfo,
    security::Role,
};
use std::time::Duration;

/// How long what a peer says of itself is kept.
const SAID: Duration = Duration::from_secs(3600);
/// How long it is kept after the last connection.
const AFTER: Duration = Duration::from_secs(15 * 60);

impl Inner {
    /// The peer's key, and the address that was dialled. The port that an inbound connection comes from is nothing to
    /// dial.
    pub(crate) fn remember_connection(&self, info: &ConnectionInfo) {
        let Some(store) = self.store() else { return };
        store.set_key(&info.peer, &info.peer_key);
        if info.role == Role::Dialer {
            store.add_addrs(&info.peer, std::slice::from_ref(&info.remote), Ttl::Connected);
        }
    }

    /// The last connection to the peer has ended. What it said is worth something for a while, however long ago it was.
    pub(crate) fn remember_loss(&self, conn: &Shared) {
        let Some(store) = self.store() else { return };
        let peer = conn.info.peer;
        store.reclass(&peer, Ttl::Connected, Ttl::RecentlyConnected);
        if let Some(info) = conn.known.info() {
            let (addrs, _) = believable(&info.listen_addrs, &conn.info.remote);
            store.add_addrs(&peer, &addrs, Ttl::For(AFTER));
        }
    }

    /// What the peer says of itself. None of its addresses counts as one that has worked.
    pub(crate) fn remember_info(&self, conn: &Shared, info: &PeerInfo) {
        let Some(store) = self.store() else { return };
        let peer = conn.info.peer;
        store.set_protocols(&peer, &info.protocols);
        if let Some(record) = &info.record {
            let known: Vec<_> = store.addrs(&peer).into_iter().map(|known| known.addr).collect();
            store.put_record(record);
            // The record is kept as it was signed; that does not make each address in it worth dialling. What was known
            // before is somebody else's.
            let (_, mut beyond) = believable(record.addrs(), &conn.info.remote);
            beyond.retain(|addr| !known.contains(&address::without_peer(addr)));
            store.remove_addrs(&peer, &beyond);
        }
        let (addrs, _) = believable(&info.listen_addrs, &conn.info.remote);
        store.add_addrs(&peer, &addrs, Ttl::For(SAID));
    }

    /// An address does not lead to the peer.
    pub(crate) fn forget_addr(&self, peer: &PeerId, addr: &Multiaddr) {
        if let Some(store) = self.store() {
            store.remove_addrs(peer, &[address::without_peer(addr)]);
        }
    }
}

/// The addresses that can lead to a peer that was met at `remote`, and those of narrower networks, which cannot. As
/// go-libp2p does.
fn believable<'a>(
    addrs: impl IntoIterator<Item = &'a Multiaddr>,
    remote: &Multiaddr,
) -> (Vec<Multiaddr>, Vec<Multiaddr>) {
    let narrowest = match address::scope(remote) {
        Scope::Public => Scope::Public,
        Scope::Private | Scope::LinkLocal => Scope::LinkLocal,
        Scope::Loopback | Scope::Unknown => Scope::Loopback,
    };
    addrs.into_iter().cloned().partition(|addr| address::scope(addr) >= narrowest)
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
        let believed = |remote| believable(&all, &addr(remote));
        assert_eq!(believed("/ip4/203.0.113.9/tcp/5"), (all[2..].to_vec(), all[..2].to_vec()));
        assert_eq!(believed("/ip4/10.0.0.9/tcp/5"), (all[1..].to_vec(), all[..1].to_vec()));
        assert_eq!(believed("/ip4/127.0.0.1/tcp/5"), (all.to_vec(), vec![]));
    }
}
