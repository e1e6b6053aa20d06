//! How long addresses are kept.

use super::{Fixture, HOUR, addr, addrs};
use crate::harness::{Outcome, ensure};
use skep_api::{
    PeerId,
    peerstore::{KnownAddr, PeerStore, Ttl},
};
use std::time::Duration;
use tokio::time::sleep;

const MINUTE: Duration = Duration::from_secs(60);

/// A2. An address is there until its time to live is over, and not after it.
pub async fn a2_an_address_ends_with_its_time(fixture: Fixture) -> Outcome {
    let (store, peer) = (fixture.store()?, PeerId::random());
    store.add_addrs(&peer, &[addr(1)], Ttl::For(MINUTE));
    store.add_addrs(&peer, &[addr(2)], Ttl::Connected);
    sleep(Duration::from_secs(59)).await;
    ensure!(addrs(&*store, &peer).len() == 2, "an address of a minute ended before");
    sleep(Duration::from_secs(2)).await;
    let left = addrs(&*store, &peer);
    ensure!(left == [addr(2).to_string()], "after a minute there are {left:?}");
    store.remove_addrs(&peer, &[addr(2)]);
    ensure!(store.peers().is_empty(), "a peer of which nothing is known is listed");
    Ok(())
}

/// A3. Of two times to live the longer one counts, in whichever order they come.
pub async fn a3_adding_again_never_shortens(fixture: Fixture) -> Outcome {
    let order = [Ttl::For(HOUR), Ttl::For(2 * HOUR), Ttl::Connected, Ttl::Permanent];
    for (n, longer) in order.iter().enumerate() {
        for shorter in order.iter().take(n) {
            for pair in [[*longer, *shorter], [*shorter, *longer]] {
                let (store, peer) = (fixture.store()?, PeerId::random());
                for ttl in pair {
                    store.add_addrs(&peer, &[addr(1)], ttl);
                }
                let known = only(&*store, &peer);
                let right = known.as_ref().is_some_and(|known| known.ttl == *longer);
                ensure!(right, "{pair:?} in this order gave {known:?}");
            }
        }
    }
    let (store, peer) = (fixture.store()?, PeerId::random());
    store.add_addrs(&peer, &[addr(1)], Ttl::For(MINUTE));
    sleep(MINUTE / 2).await;
    store.add_addrs(&peer, &[addr(1)], Ttl::For(MINUTE / 4));
    let left = only(&*store, &peer).and_then(|known| known.left);
    ensure!(left > Some(MINUTE / 3), "half a minute was left, and after a quarter was added {left:?}");
    Ok(())
}

/// A3. `reclass` changes all addresses of a class and no others, also to a shorter time.
pub async fn a3_a_reclass_may_shorten(fixture: Fixture) -> Outcome {
    let (store, peer) = (fixture.store()?, PeerId::random());
    store.add_addrs(&peer, &[addr(1), addr(2)], Ttl::Connected);
    store.add_addrs(&peer, &[addr(3)], Ttl::Permanent);
    store.reclass(&peer, Ttl::Connected, Ttl::RecentlyConnected);
    for known in store.addrs(&peer) {
        let expected = if known.addr == addr(3) { Ttl::Permanent } else { Ttl::RecentlyConnected };
        let ends = known.left.is_some();
        ensure!(
            known.ttl == expected && ends == (expected == Ttl::RecentlyConnected),
            "after a reclass of the connected: {known:?}"
        );
    }
    store.reclass(&peer, Ttl::RecentlyConnected, Ttl::For(Duration::from_secs(1)));
    let longest = store.addrs(&peer).iter().filter_map(|known| known.left).max();
    ensure!(longest <= Some(Duration::from_secs(1)), "a reclass to a second left {longest:?}");
    Ok(())
}

fn only(store: &dyn PeerStore, peer: &PeerId) -> Option<KnownAddr> {
    let mut known = store.addrs(peer);
    if known.len() == 1 { known.pop() } else { None }
}
