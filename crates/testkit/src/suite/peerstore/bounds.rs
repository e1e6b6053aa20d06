//! How much a store keeps, and what goes first.

use super::{Fixture, addr, record};
use crate::harness::{Broken, Outcome, ensure};
use skep_api::{
    Keypair, PeerId,
    peerstore::{PeerStore, PeerStoreErrorKind, Ttl},
};

/// More than this is not tried; the tables of a suite are small.
const MOST: usize = 1_000;

/// A1. Peers, addresses and records never exceed the caps that `stats` names, however many come.
pub async fn a1_every_table_is_bounded(fixture: Fixture) -> Outcome {
    let store = fixture.store()?;
    let caps = store.stats();
    let least = [caps.max_peers, caps.max_addrs, caps.max_records].into_iter().min().unwrap_or(0);
    ensure!(least > 0, "a cap is zero: {caps:?}");
    let many = |cap: usize| cap.min(MOST).saturating_mul(2).saturating_add(3);

    let one = PeerId::random();
    for n in 0..many(caps.max_addrs) {
        store.add_addrs(&one, &[addr(n)], Ttl::Temporary);
    }
    within_caps(&*store)?;
    for n in 0..many(caps.max_peers) {
        store.add_addrs(&PeerId::random(), &[addr(n), addr(n.saturating_add(1))], Ttl::Permanent);
        store.set_protocols(&PeerId::random(), &["/a/1".into()]);
        within_caps(&*store)?;
    }
    // Beside peers that are needed, one that only has a record would go at once.
    let store = fixture.store()?;
    for n in 0..many(caps.max_records).min(200) {
        store.put_record(&record(&Keypair::generate_ed25519(), 1, &[addr(n)])?);
        within_caps(&*store)?;
    }
    Ok(())
}

fn within_caps(store: &dyn PeerStore) -> Outcome {
    let stats = store.stats();
    let over =
        stats.peers > stats.max_peers || stats.addrs > stats.max_addrs || stats.records > stats.max_records;
    ensure!(!over, "more is kept than there may be: {stats:?}");
    let peers = store.peers();
    ensure!(peers.len() == stats.peers, "{} peers are listed, and {} counted", peers.len(), stats.peers);
    let addrs: usize = peers.iter().map(|peer| store.addrs(peer).len()).sum();
    ensure!(addrs == stats.addrs, "{addrs} addresses are listed, and {} counted", stats.addrs);
    Ok(())
}

/// A1. Beyond the cap of peers, those without a connected or permanent address go first, the longest untouched of
/// them first.
pub async fn a1_peers_that_nobody_needs_go_first(fixture: Fixture) -> Outcome {
    let store = fixture.store()?;
    let most = store.stats().max_peers;
    ensure!((5..=MOST).contains(&most), "give a table with 5 to {MOST} peers; this one has {most}");
    let peers: Vec<PeerId> = (0..most).map(|_| PeerId::random()).collect();
    let ttl = |n: usize| match n {
        0 => Ttl::Connected,
        1 => Ttl::Permanent,
        _ => Ttl::Temporary,
    };
    for (n, peer) in peers.iter().enumerate() {
        store.add_addrs(peer, &[addr(n)], ttl(n));
    }
    // The third is touched again, so the fourth is the first to go.
    let [connected, permanent, touched, longest, ..] = peers.as_slice() else {
        return Err(Broken("too few peers".into()));
    };
    store.set_protocols(touched, &["/a/1".into()]);
    store.add_addrs(&PeerId::random(), &[addr(0)], Ttl::Temporary);
    let left = store.peers();
    let gone: Vec<_> = peers.iter().filter(|peer| !left.contains(peer)).collect();
    ensure!(gone == [longest], "{} went, among them not the longest untouched alone", gone.len());

    for n in 0..most.saturating_mul(2) {
        store.add_addrs(&PeerId::random(), &[addr(n)], Ttl::Temporary);
    }
    let left = store.peers();
    ensure!(left.contains(connected), "a connected peer went before others");
    ensure!(left.contains(permanent), "a permanent peer went before others");
    Ok(())
}

/// A1. Protocols beyond the cap are left out, and metadata beyond it is refused with what was there left in place.
pub async fn a1_protocols_and_metadata_are_bounded(fixture: Fixture) -> Outcome {
    let (store, peer) = (fixture.store()?, PeerId::random());
    let many: Vec<String> = (0..20_000).map(|n| format!("/protocol/{n}")).collect();
    store.set_protocols(&peer, &many);
    let kept = store.protocols(&peer);
    ensure!(kept.len() < many.len(), "{} protocols were kept", kept.len());
    ensure!(many.starts_with(&kept), "the protocols kept are not the first ones");

    let value = vec![7; 256 * 1_024];
    for n in 0..128 {
        let name = format!("name {n}");
        match store.set_metadata(&peer, &name, Some(&value)) {
            Ok(()) => {}
            Err(e) => {
                ensure!(e.kind() == PeerStoreErrorKind::Limit, "too much metadata is {e}");
                let there = (0..n).all(|n| store.metadata(&peer, &format!("name {n}")).is_some());
                ensure!(there, "what was there has gone");
                ensure!(store.metadata(&peer, &name).is_none(), "what was refused is there");
                return Ok(());
            }
        }
    }
    Err(Broken("32 MiB of metadata were kept for one peer".into()))
}
