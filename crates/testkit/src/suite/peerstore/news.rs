//! What subscribers are told.

use super::{Fixture, addr, addrs, record};
use crate::harness::{Outcome, ensure};
use skep_api::{Keypair, PeerId, peerstore::Ttl};
use std::time::Duration;
use tokio::{
    sync::mpsc::{Receiver, error::TryRecvError},
    time::sleep,
};

/// A8. Each subscriber gets each address that is new to its peer once, and those of no other peer.
pub async fn a8_new_addresses_are_told_once(fixture: Fixture) -> Outcome {
    let store = fixture.store()?;
    let key = Keypair::generate_ed25519();
    let peer = key.public().to_peer_id();
    store.add_addrs(&peer, &[addr(1)], Ttl::Temporary);
    let (mut first, mut second) = (store.subscribe(&peer), store.subscribe(&peer));
    store.add_addrs(&peer, &[addr(1), addr(2)], Ttl::Connected);
    store.add_addrs(&PeerId::random(), &[addr(3)], Ttl::Connected);
    store.put_record(&record(&key, 1, &[addr(2), addr(4)])?);
    store.add_addrs(&peer, &[addr(2), addr(4)], Ttl::Permanent);
    for subscriber in [&mut first, &mut second] {
        let told = told(subscriber);
        ensure!(told == [addr(2), addr(4)], "of two new addresses a subscriber was told {told:?}");
    }
    drop(first);
    store.remove_addrs(&peer, &[addr(1)]);
    store.add_addrs(&peer, &[addr(5)], Ttl::Temporary);
    let told = told(&mut second);
    ensure!(told == [addr(5)], "after another subscriber had gone, one was told {told:?}");
    Ok(())
}

/// A8. One that does not read misses what its queue has no room for; others, and the store, go on.
pub async fn a8_a_subscriber_that_does_not_read_holds_up_nobody(fixture: Fixture) -> Outcome {
    const MANY: usize = 20_000;
    let (store, peer) = (fixture.store()?, PeerId::random());
    let (sleeper, mut reader) = (store.subscribe(&peer), store.subscribe(&peer));
    for n in 0..MANY {
        store.add_addrs(&peer, &[addr(n)], Ttl::Temporary);
        let news = told(&mut reader);
        ensure!(news == [addr(n)], "beside one that does not read, a subscriber was told {news:?}");
        let known = addrs(&*store, &peer);
        ensure!(known == [addr(n).to_string()], "with a subscriber that does not read there are {known:?}");
        store.remove_addrs(&peer, &[addr(n)]);
    }
    ensure!(sleeper.len() <= MANY / 4, "{} addresses wait for one that does not read", sleeper.len());
    Ok(())
}

/// A9. Each subscriber gets a peer when it comes to have an address and had none: by hand or by a record, and again after
/// its addresses have ended; not for a second address, nor for what is no address.
pub async fn a9_peers_are_discovered_once(fixture: Fixture) -> Outcome {
    let store = fixture.store()?;
    let (old, new, key) = (PeerId::random(), PeerId::random(), Keypair::generate_ed25519());
    let certified = key.public().to_peer_id();
    store.add_addrs(&old, &[addr(1)], Ttl::Temporary);
    let (mut first, mut second) = (store.discoveries(), store.discoveries());
    if matches!(first.try_recv(), Err(TryRecvError::Disconnected)) {
        return Ok(());
    }
    store.add_addrs(&old, &[addr(2)], Ttl::Connected);
    store.set_protocols(&new, &["/a/1".into()]);
    ensure!(told(&mut first).is_empty(), "a peer that was known, or has no address, was discovered");
    store.add_addrs(&new, &[addr(1), addr(2)], Ttl::For(Duration::from_secs(60)));
    store.put_record(&record(&key, 1, &[addr(4)])?);
    store.add_addrs(&certified, &[addr(5)], Ttl::Permanent);
    for subscriber in [&mut first, &mut second] {
        let told = told(subscriber);
        ensure!(told == [new, certified], "of {:?} a subscriber was told {told:?}", [new, certified]);
    }
    drop(first);
    sleep(Duration::from_secs(120)).await;
    store.add_addrs(&new, &[addr(1)], Ttl::Temporary);
    let told = told(&mut second);
    ensure!(told == [new], "of a peer whose addresses had ended, a subscriber was told {told:?}");
    Ok(())
}

/// A9. One that does not read misses what its queue has no room for; others, and the store, go on.
pub async fn a9_discoveries_that_nobody_reads_hold_up_nobody(fixture: Fixture) -> Outcome {
    const MANY: usize = 20_000;
    let (store, peer) = (fixture.store()?, PeerId::random());
    let (mut sleeper, mut reader) = (store.discoveries(), store.discoveries());
    if matches!(sleeper.try_recv(), Err(TryRecvError::Disconnected)) {
        return Ok(());
    }
    for n in 0..MANY {
        store.add_addrs(&peer, &[addr(n)], Ttl::Temporary);
        let news = told(&mut reader);
        ensure!(news == [peer], "beside one that does not read, a subscriber was told {news:?}");
        ensure!(addrs(&*store, &peer).len() == 1, "with a subscriber that does not read, an address is lost");
        store.remove_addrs(&peer, &[addr(n)]);
    }
    ensure!(sleeper.len() <= MANY / 4, "{} peers wait for one that does not read", sleeper.len());
    Ok(())
}

fn told<T>(subscriber: &mut Receiver<T>) -> Vec<T> {
    std::iter::from_fn(|| subscriber.try_recv().ok()).collect()
}
