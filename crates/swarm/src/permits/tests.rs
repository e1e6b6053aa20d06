use super::*;
use futures::FutureExt;

fn permits(max: u32, outbound: u32, protected: u32) -> Permits {
    Permits::new(&Settings {
        max_connections: max,
        outbound_reserve: outbound,
        protected_reserve: protected,
        max_pending_inbound: 100,
        ..Settings::default()
    })
}

#[tokio::test]
async fn a_dropped_permit_is_given_back() {
    let settings = Settings { max_connections: 2, max_pending_inbound: 1, ..Settings::default() };
    let permits = Permits::new(&settings);
    let outbound = permits.outbound(true).unwrap();
    let mut inbound = permits.inbound().await.unwrap();
    assert_eq!(permits.in_use(), 2);
    let error = permits.outbound(true).unwrap_err();
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
    let permits = permits(8, 5, 0);
    let inbound: Vec<_> = std::iter::from_fn(|| permits.inbound_now().ok()).collect();
    assert_eq!(inbound.len(), 6);
    let error = permits.inbound_now().unwrap_err();
    assert_eq!(error.to_string(), "inbound connections: 6 of 6 in use; raise `swarm.max_connections`");
    assert!(permits.inbound().now_or_never().is_none());
    let _outbound = [permits.outbound(false).unwrap(), permits.outbound(false).unwrap()];
    permits.outbound(false).unwrap_err();
}

#[tokio::test]
async fn a_dial_to_a_peer_of_the_reserve_finds_a_place() {
    // 32: 28 ordinary, of which 20 for peers that connect, and 4 kept.
    let permits = permits(32, 1_000, 1_000);
    let mut ordinary: Vec<_> = std::iter::from_fn(|| permits.outbound(false).ok()).collect();
    assert_eq!((ordinary.len(), permits.in_use()), (28, 28));
    let error = permits.outbound(false).unwrap_err();
    assert_eq!(error.to_string(), "connections: 28 of 28 in use; raise `swarm.max_connections`");
    let mut kept: Vec<_> = std::iter::from_fn(|| permits.outbound(true).ok()).collect();
    assert_eq!((kept.len(), permits.in_use()), (4, 32));
    // Whoever can moves to an ordinary place, and leaves the kept one to others.
    ordinary.pop();
    permits.settle(&mut kept[0], Role::Dialer, true).unwrap();
    assert_eq!(permits.in_use(), 31);
    permits.settle(&mut kept[1], Role::Dialer, true).unwrap();
    permits.outbound(true).unwrap();
    let refused = permits.settle(&mut kept[1], Role::Dialer, false).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "connections, but for those that `swarm.protected_reserve` keeps: 28 of 28 in use; raise \
         `swarm.max_connections`"
    );
    drop((ordinary, kept));
    assert_eq!(permits.in_use(), 0);
}

#[tokio::test]
async fn strangers_may_knock_on_half_of_the_reserve() {
    let permits = permits(32, 8, 4);
    let inbound: Vec<_> = std::iter::from_fn(|| permits.inbound_now().ok()).collect();
    assert_eq!(inbound.len(), 22, "20 ordinary places, and 2 to knock on");
    assert!(permits.inbound().now_or_never().is_none());
    let mut inbound = inbound;
    let (mut friend, mut stranger) = (inbound.pop().unwrap(), inbound.pop().unwrap());
    let refused = permits.settle(&mut stranger, Role::Listener, false).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "inbound connections, but for those that `swarm.protected_reserve` keeps: 20 of 20 in use; raise \
         `swarm.max_connections`"
    );
    permits.settle(&mut friend, Role::Listener, true).unwrap();
    // The friend does not knock any more: another may.
    let next = permits.inbound().now_or_never().flatten().unwrap();
    drop(stranger);
    let after = permits.inbound().now_or_never().flatten().unwrap();
    assert_eq!(permits.in_use(), 20 + 3);
    // A place falls free while two wait on kept ones: they come to be ordinary.
    inbound.pop();
    let mut next = next;
    permits.settle(&mut next, Role::Listener, false).unwrap();
    assert!(matches!(next.place, Place::Ordinary { .. }));
    drop((inbound, next, after, friend));
    assert_eq!(permits.in_use(), 0);
}

#[tokio::test]
async fn a_place_of_either_kind_ends_the_wait() {
    for kept in [false, true] {
        let permits = permits(16, 4, 2);
        let mut taken: Vec<_> = std::iter::from_fn(|| permits.inbound_now().ok()).collect();
        assert_eq!(taken.len(), 11);
        let waits = permits.inbound();
        tokio::pin!(waits);
        assert!(waits.as_mut().now_or_never().is_none());
        drop(if kept { taken.pop() } else { taken.drain(..1).next() });
        let permit = waits.as_mut().now_or_never().flatten().unwrap();
        assert_eq!(matches!(permit.place, Place::Kept { .. }), kept);
    }
}
