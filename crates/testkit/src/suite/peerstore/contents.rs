//! What a store keeps of a peer, and what it gives back.

use super::{Fixture, HOUR, addr, addrs, record};
use crate::harness::{During, Outcome, ensure};
use skep_api::{Keypair, Multiaddr, PeerId, multiaddr::Protocol, peerstore::Ttl};
use std::{collections::BTreeSet, time::Duration};

/// A5. What was written before a `flush` is there in the next process; of a store in memory nothing is asked.
pub async fn a5_what_was_flushed_is_there_after_a_restart(fixture: Fixture) -> Outcome {
    if !fixture.is_in_a_file() {
        return Ok(());
    }
    let store = fixture.store()?;
    let key = Keypair::generate_ed25519();
    let (peer, gone) = (key.public().to_peer_id(), PeerId::random());
    store.set_protocols(&gone, &["/a/1".into()]);
    store.flush().await.during("the first flush")?;
    let record = record(&key, 5, &[addr(2)])?;
    store.put_record(&record);
    store.add_addrs(&peer, &[addr(1)], Ttl::Permanent);
    store.set_protocols(&peer, &["/a/1".into()]);
    store.set_metadata(&peer, "name", Some(b"value")).during("set metadata")?;
    store.record_latency(&peer, Duration::from_millis(30));
    store.forget(&gone);
    store.flush().await.during("the second flush")?;

    let store = store.reopen().await?;
    let peers = store.peers();
    ensure!(peers == [peer], "after a restart the peers are {peers:?}");
    let known = addrs(&*store, &peer);
    ensure!(known == [addr(1).to_string(), addr(2).to_string()], "after a restart there are {known:?}");
    ensure!(store.record(&peer) == Some(record), "the record has gone");
    ensure!(store.key(&peer) == Some(key.public()), "the key has gone");
    ensure!(store.protocols(&peer) == ["/a/1"], "the protocols have gone");
    ensure!(store.metadata(&peer, "name").as_deref() == Some(b"value"), "the metadata has gone");
    ensure!(store.latency(&peer).is_some(), "the latency has gone");
    Ok(())
}

/// A6. A key is kept only for the peer whose id follows from it.
pub async fn a6_only_the_peers_own_key_is_kept(fixture: Fixture) -> Outcome {
    let store = fixture.store()?;
    let (ours, other) = (Keypair::generate_ed25519().public(), Keypair::generate_ed25519().public());
    let peer = ours.to_peer_id();
    ensure!(!store.set_key(&peer, &other), "the key of another peer was taken");
    ensure!(store.key(&peer).is_none(), "the key of another peer was kept");
    ensure!(store.set_key(&peer, &ours), "the peer's own key was refused");
    ensure!(!store.set_key(&peer, &other), "the key of another peer was taken in place of its own");
    ensure!(store.key(&peer) == Some(ours), "the peer's own key was not kept");
    Ok(())
}

/// A7. A record replaces one with a lower number, and leaves its key and its addresses, certified and for an hour.
pub async fn a7_only_a_newer_record_is_kept(fixture: Fixture) -> Outcome {
    let store = fixture.store()?;
    let key = Keypair::generate_ed25519();
    let peer = key.public().to_peer_id();
    for (seq, newer) in [(5, true), (4, false), (5, false), (7, true), (6, false)] {
        let record = record(&key, seq, &[addr(usize::try_from(seq).unwrap_or(0))])?;
        ensure!(store.put_record(&record) == newer, "record {seq} is newer: {}", !newer);
    }
    let kept = store.record(&peer).map(|record| record.seq());
    ensure!(kept == Some(7), "of the records 5, 4, 5, 7 and 6 this one was kept: {kept:?}");
    ensure!(store.key(&peer) == Some(key.public()), "the key of a record was not kept");
    let known = store.addrs(&peer);
    let newest = known.iter().find(|known| known.addr == addr(7));
    let an_hour = newest.and_then(|known| known.left).is_some_and(|left| left <= HOUR && left > HOUR / 2);
    ensure!(newest.is_some_and(|known| known.certified) && an_hour, "the address of a record is {newest:?}");
    let older = known.iter().any(|known| known.addr == addr(6) || known.addr == addr(4));
    ensure!(!older, "an address of a record that was not newer was kept");
    Ok(())
}

/// A trailing `/p2p/…` of the peer is taken off, one of another peer's makes the address none of ours.
pub async fn addresses_are_kept_without_the_peer(fixture: Fixture) -> Outcome {
    let store = fixture.store()?;
    let (peer, other) = (PeerId::random(), PeerId::random());
    let relayed: Multiaddr = addr(3).with(Protocol::P2p(other)).with(Protocol::P2pCircuit);
    let given = [
        addr(1).with(Protocol::P2p(peer)),
        addr(2).with(Protocol::P2p(other)),
        relayed.clone().with(Protocol::P2p(peer)),
    ];
    store.add_addrs(&peer, &given, Ttl::Permanent);
    store.add_addrs(&peer, &[addr(1)], Ttl::Permanent);
    let known = addrs(&*store, &peer);
    ensure!(known == [addr(1).to_string(), relayed.to_string()], "of {given:?} this was kept: {known:?}");
    store.remove_addrs(&peer, &[addr(1).with(Protocol::P2p(peer)), relayed]);
    let known = addrs(&*store, &peer);
    ensure!(known.is_empty(), "after all were removed there are {known:?}");
    Ok(())
}

/// Protocols, metadata and latencies come back as they were given, the last as a moving average.
pub async fn what_is_kept_comes_back(fixture: Fixture) -> Outcome {
    let (store, peer) = (fixture.store()?, PeerId::random());
    store.set_protocols(&peer, &["/a/1".into(), "/b/1".into()]);
    store.set_protocols(&peer, &["/c/1".into()]);
    let protocols = store.protocols(&peer);
    ensure!(protocols == ["/c/1"], "of the protocols that were replaced there are {protocols:?}");

    store.set_metadata(&peer, "name", Some(b"first")).during("set metadata")?;
    store.set_metadata(&peer, "name", Some(b"second")).during("replace metadata")?;
    ensure!(store.metadata(&peer, "name").as_deref() == Some(b"second"), "metadata was not replaced");
    store.set_metadata(&peer, "name", None).during("forget metadata")?;
    ensure!(store.metadata(&peer, "name").is_none(), "metadata was not forgotten");

    store.record_latency(&peer, Duration::from_millis(100));
    store.record_latency(&peer, Duration::from_millis(200));
    let latency = store.latency(&peer).unwrap_or_default();
    let right = (Duration::from_millis(109)..=Duration::from_millis(111)).contains(&latency);
    ensure!(right, "after 100 ms and 200 ms the average is {latency:?}");
    Ok(())
}

/// After `forget` nothing of the peer is left, permanent addresses included.
pub async fn forgetting_leaves_nothing(fixture: Fixture) -> Outcome {
    let store = fixture.store()?;
    let key = Keypair::generate_ed25519();
    let peer = key.public().to_peer_id();
    store.put_record(&record(&key, 1, &[addr(2)])?);
    store.add_addrs(&peer, &[addr(1)], Ttl::Permanent);
    store.set_protocols(&peer, &["/a/1".into()]);
    store.set_metadata(&peer, "name", Some(b"value")).during("set metadata")?;
    store.record_latency(&peer, Duration::from_millis(30));
    store.forget(&peer);
    let left = [
        (!store.addrs(&peer).is_empty(), "addresses"),
        (store.record(&peer).is_some(), "a record"),
        (store.key(&peer).is_some(), "a key"),
        (!store.protocols(&peer).is_empty(), "protocols"),
        (store.metadata(&peer, "name").is_some(), "metadata"),
        (store.latency(&peer).is_some(), "a latency"),
        (store.peers().contains(&peer), "the peer itself"),
    ];
    let left: Vec<_> = left.iter().filter(|(left, _)| *left).map(|(_, what)| *what).collect();
    ensure!(left.is_empty(), "after a peer was forgotten, there is left: {}", left.join(", "));
    Ok(())
}

/// The peers are listed each once, in the order of their ids, whatever it is that is known of them.
pub async fn peers_come_in_order(fixture: Fixture) -> Outcome {
    let store = fixture.store()?;
    let mut expected = BTreeSet::new();
    for n in 0..store.stats().max_peers.min(5) {
        let key = Keypair::generate_ed25519().public();
        let peer = key.to_peer_id();
        expected.insert(peer);
        match n {
            0 => drop(store.set_key(&peer, &key)),
            1 => store.record_latency(&peer, Duration::from_millis(1)),
            2 => store.set_protocols(&peer, &["/a/1".into()]),
            3 => store.set_metadata(&peer, "name", Some(b"value")).during("set metadata")?,
            _ => store.add_addrs(&peer, &[addr(1), addr(2)], Ttl::Connected),
        }
    }
    let peers = store.peers();
    ensure!(peers.iter().eq(&expected), "the peers are {peers:?}, and should be {expected:?}");
    Ok(())
}
