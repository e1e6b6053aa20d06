use super::*;
use crate::{
    tags::{Bump, CommonTags, Decay},
    tasks::Tasks,
};
use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::time::advance;

const GRACE: Duration = Duration::from_secs(60);

/// Peers that are cheap to make, in the order of their numbers.
pub(super) fn peer(n: u32) -> PeerId {
    let mut bytes = vec![0, 36, 8, 1, 18, 32];
    bytes.extend([0; 28]);
    bytes.extend(n.to_be_bytes());
    PeerId::from_bytes(&bytes).unwrap()
}

fn store() -> TagStore {
    TagStore::new(Some(GRACE))
}

/// Entries in the table, without taking what is over.
fn entries(store: &TagStore) -> usize {
    store.0.lock().peers.len()
}

#[test]
fn tags_add_up_and_protections_have_owners() {
    let (store, peer) = (store(), peer(1));
    store.tag(&peer, "a", 5).unwrap();
    assert_eq!(store.upsert(&peer, "b", |old| old - 2), Ok(-2));
    assert_eq!(store.value(&peer), 3);
    store.protect(&peer, "x").unwrap();
    store.protect(&peer, "x").unwrap();
    store.protect(&peer, "").unwrap();
    assert!(store.is_protected(&peer, None) && store.is_protected(&peer, Some("")));
    assert!(!store.is_protected(&peer, Some("y")));
    assert_eq!(store.protected_peers(), [peer]);
    assert!(store.unprotect(&peer, "x") && store.unprotect(&peer, "x"));
    assert!(!store.unprotect(&peer, ""));
    assert!(store.untag(&peer, "a") && store.untag(&peer, "b") && !store.untag(&peer, "b"));
    assert_eq!((store.info(&peer), store.len(), entries(&store)), (None, 0, 0));
}

#[test]
fn absent_is_not_zero_and_upserts_stay_in_bounds() {
    let (store, peer) = (store(), peer(1));
    assert_eq!(store.get(&peer, "a"), None);
    store.tag(&peer, "a", 0).unwrap();
    assert_eq!((store.get(&peer, "a"), store.get(&peer, "b")), (Some(0), None));
    assert_eq!(store.upsert_add(&peer, "a", i64::MAX), Ok(i64::MAX));
    assert_eq!(store.upsert_add(&peer, "a", 1), Ok(i64::MAX));
    store.tag(&peer, "b", 1).unwrap();
    assert_eq!(store.value(&peer), i64::MAX);
    assert_eq!(store.upsert_bounded(&peer, "b", 50, 0, 20), Ok(20));
    assert_eq!(store.upsert_bounded(&peer, "b", -50, 0, 20), Ok(0));
    assert_eq!(store.upsert_set(&peer, "b", -7), Ok(-7));
    let error = store.upsert_bounded(&peer, "c", 1, 9, 2).unwrap_err();
    assert_eq!(error, TagError::Bounds { tag: "c".into(), min: 9, max: 2 });
    assert_eq!(store.get(&peer, "c"), None);
}

#[test]
fn a_function_that_panics_or_uses_the_store_does_no_harm() {
    let (store, peer) = (store(), peer(1));
    let panics = || drop(store.upsert(&peer, "a", |_| panic!("on purpose")));
    catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
    assert_eq!((store.info(&peer), entries(&store)), (None, 0));
    store.upsert(&peer, "a", |old| old + 1 + i64::from(store.tag(&peer, "b", 4).is_ok())).unwrap();
    assert_eq!(store.value(&peer), 6);
    assert_eq!(store.tagged(|name| name == "b" && store.len() == 1), [peer]);
}

#[tokio::test(start_paused = true)]
async fn functions_of_decaying_tags_may_use_the_store() {
    let (store, peer) = (store(), peer(1));
    store.record_connection(&peer, 1);
    let (seen, bumps) = (store.clone(), store.clone());
    let decay = Decay::Custom(Arc::new(move |value| value - 1 - i64::from(seen.len() > 1_000)));
    let bump = Bump::Custom(Arc::new(move |old, delta| {
        assert!(delta < 100, "on purpose");
        old + delta + i64::from(bumps.is_protected(&peer, None))
    }));
    let tag = store.register_decaying("score", Duration::from_secs(1), decay, bump).unwrap();
    assert_eq!(tag.bump(&peer, 5), Ok(5));
    catch_unwind(AssertUnwindSafe(|| drop(tag.bump(&peer, 100)))).unwrap_err();
    advance(Duration::from_secs(2)).await;
    assert_eq!((tag.value(&peer), store.value(&peer), store.get(&peer, "score")), (Some(3), 3, Some(3)));
    assert_eq!(store.top(5)[0].1.tags["score"], 3);
    advance(Duration::from_secs(3)).await;
    assert_eq!((tag.value(&peer), store.value(&peer), store.len()), (None, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_decaying_tag_counts_like_others_and_goes_when_it_is_closed() {
    let (store, a, b) = (store(), peer(1), peer(2));
    let register = |name: &str| store.register_decaying(name, GRACE / 6, Decay::Fixed(2), Bump::SumUnbounded);
    let tag = register("seen").unwrap();
    assert_eq!((tag.name(), tag.interval()), ("seen", GRACE / 6));
    store.tag(&a, "seen", 10).unwrap();
    tag.bump(&a, 5).unwrap();
    tag.bump(&b, 1).unwrap();
    assert_eq!((store.get(&a, "seen"), tag.value(&a), store.value(&a)), (Some(15), Some(5), 15));
    assert_eq!(store.tagged(|name| name == "seen"), [a, b]);
    let taken = register("seen").unwrap_err().to_string();
    assert_eq!(
        taken,
        "the decaying tag \"seen\" cannot be registered: there is one of that name; close it first"
    );
    advance(GRACE / 6).await;
    assert_eq!((store.value(&a), store.info(&b)), (13, None));
    assert!(tag.remove(&a) && !tag.remove(&a));
    tag.bump(&a, 5).unwrap();
    assert!(tag.close() && !tag.clone().close());
    assert_eq!((store.value(&a), tag.value(&a)), (10, None));
    let closed = tag.bump(&a, 5).unwrap_err().to_string();
    assert_eq!(closed, "the decaying tag \"seen\" is closed; register it again");
    let again = register("seen").unwrap();
    again.bump(&a, 1).unwrap();
    assert!(!tag.remove(&a) && store.untag(&a, "seen") && again.value(&a).is_none());
    for n in 1..Limits::DEFAULT.decaying {
        register(&n.to_string()).unwrap();
    }
    let many = register("one more").unwrap_err().to_string();
    assert!(many.ends_with("there are as many as there may be; close one first"), "{many}");
}

#[tokio::test(start_paused = true)]
async fn tags_without_a_connection_go_and_protections_stay() {
    let (store, early, lost, kept) = (store(), peer(1), peer(2), peer(3));
    store.tag(&early, "dht", 5).unwrap();
    store.protect(&early, "app").unwrap();
    store.record_connection(&lost, 1);
    store.record_connection(&lost, 2);
    store.tag(&lost, "dht", 5).unwrap();
    store.tag(&kept, CommonTags::BOOTSTRAP, 50).unwrap();
    store.tag(&kept, "dht", 5).unwrap();
    assert!(!store.info(&lost).unwrap().temp && store.info(&early).unwrap().temp);
    advance(GRACE / 2).await;
    assert!(store.remove_connection(&lost, 1) && !store.remove_connection(&lost, 7));
    advance(GRACE / 2).await;
    assert_eq!((store.value(&early), store.value(&lost), store.value(&kept)), (0, 5, 50));
    assert!(store.is_protected(&early, None));
    assert!(!store.remove_connection(&early, 9) && store.is_protected(&early, None));
    store.remove_connection(&lost, 2);
    advance(GRACE - Duration::from_secs(1)).await;
    assert_eq!((store.value(&lost), store.info(&lost).unwrap().temp), (5, true));
    store.record_connection(&lost, 3);
    advance(GRACE * 5).await;
    assert_eq!((store.value(&lost), store.info(&lost).unwrap().age), (5, GRACE * 7 - Duration::from_secs(1)));
    store.remove_connection(&lost, 3);
    advance(GRACE).await;
    assert_eq!(store.info(&lost), None);
    assert_eq!(store.clear_peer(&kept), 1);
    assert_eq!(store.unprotect_all(&early), 1);
    assert_eq!((store.len(), entries(&store)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_grace_period_can_be_changed() {
    let (store, peer) = (TagStore::new(None), peer(1));
    store.tag(&peer, "dht", 5).unwrap();
    advance(GRACE * 10_000).await;
    assert_eq!(store.value(&peer), 5);
    store.set_grace(Some(GRACE));
    assert_eq!(entries(&store), 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_connected_protected_or_to_be_kept_makes_no_room() {
    let store = TagStore::with_limits(None, Limits { peers: 4, ..Limits::DEFAULT });
    store.record_connection(&peer(1), 1);
    store.tag(&peer(1), "t", 1).unwrap();
    store.protect(&peer(2), "me").unwrap();
    store.tag(&peer(3), CommonTags::KEEP_ALIVE, 1).unwrap();
    for n in 4..20 {
        advance(Duration::from_secs(1)).await;
        store.tag(&peer(n), "t", 1).unwrap();
        assert_eq!(
            (store.len(), store.value(&peer(n - 1)), store.value(&peer(n))),
            (4, i64::from(n == 4), 1)
        );
    }
    store.protect(&peer(19), "me").unwrap();
    let text = "4 peers are protected or connected already; unprotect those that are not needed";
    for full in [store.tag(&peer(20), "t", 1), store.protect(&peer(20), "me")] {
        assert_eq!(full.unwrap_err().to_string(), text);
    }
    // Connections are bounded elsewhere: they are recorded nevertheless.
    store.record_connection(&peer(20), 2);
    assert_eq!(store.tag(&peer(20), "t", 1), Err(TagError::Full(4)));
    store.remove_connection(&peer(1), 1);
    store.tag(&peer(20), "t", 1).unwrap();
    assert_eq!((store.value(&peer(1)), entries(&store)), (0, 4));
    store.0.lock().check();
}

#[test]
fn names_are_bounded() {
    let (store, peer) = (store(), peer(1));
    let long = "x".repeat(MAX_NAME + 1);
    let text = "a name of 129 bytes is too long for a tag or an owner; allowed: 128";
    let decaying = store.register_decaying(&long, GRACE, Decay::None, Bump::Overwrite).map(drop);
    for error in [store.tag(&peer, &long, 1), store.protect(&peer, &long), decaying] {
        assert_eq!(error.unwrap_err().to_string(), text);
    }
    let tag = store.register_decaying("decays", GRACE, Decay::None, Bump::Overwrite).unwrap();
    for n in 0..Limits::DEFAULT.names {
        store.tag(&peer, &n.to_string(), 1).unwrap();
        store.protect(&peer, &n.to_string()).unwrap();
    }
    let full = TagError::PeerFull(Limits::DEFAULT.names);
    for error in [store.tag(&peer, "one more", 1), store.protect(&peer, "more"), tag.bump(&peer, 1).map(drop)]
    {
        assert_eq!(error, Err(full.clone()));
    }
    store.tag(&peer, "5", 7).unwrap();
    store.protect(&peer, "5").unwrap();
    assert_eq!(store.value(&peer), 70);
}

#[tokio::test(start_paused = true)]
async fn the_longest_quiet_goes_first_of_as_many_as_there_may_be() {
    let store = TagStore::new(None);
    store.protect(&peer(0), "me").unwrap();
    let most = u32::try_from(Limits::DEFAULT.peers).unwrap();
    for n in 1..most + 500 {
        store.tag(&peer(n), "t", 1).unwrap();
    }
    assert_eq!((store.len(), entries(&store)), (Limits::DEFAULT.peers, Limits::DEFAULT.peers));
    assert!(store.is_protected(&peer(0), None));
    assert_eq!((store.value(&peer(500)), store.value(&peer(501))), (0, 1));
}

#[test]
fn changes_by_many_threads_are_all_counted() {
    let (store, peer, calls) = (store(), peer(1), AtomicUsize::new(0));
    let tag = store.register_decaying("score", GRACE * 1_000, Decay::Fixed(1), Bump::SumUnbounded).unwrap();
    std::thread::scope(|scope| {
        for n in 0..8_u64 {
            let (store, tag, calls, peer) = (&store, &tag, &calls, &peer);
            scope.spawn(move || {
                for _ in 0..500 {
                    store
                        .upsert(peer, "fn", |old| {
                            calls.fetch_add(1, Ordering::Relaxed);
                            old + 1
                        })
                        .unwrap();
                    store.upsert_add(peer, "add", 1).unwrap();
                    tag.bump(peer, 1).unwrap();
                    store.record_connection(peer, n);
                    store.remove_connection(peer, n);
                }
            });
        }
    });
    let info = store.info(&peer).unwrap();
    assert_eq!(info.tags.values().copied().collect::<BTreeSet<_>>(), BTreeSet::from([4_000]));
    assert_eq!((info.tags.len(), info.connections.len()), (3, 0));
    assert!(calls.into_inner() >= 4_000);
    store.0.lock().check();
}

#[tokio::test(start_paused = true)]
async fn a_task_takes_what_is_over_and_ends() {
    let (store, tasks) = (store(), Tasks::default());
    store.attach(tasks.clone(), None);
    let decaying = store.register_decaying("score", GRACE / 6, Decay::Fixed(1), Bump::SumUnbounded).unwrap();
    store.protect(&peer(1), "me").unwrap();
    store.record_connection(&peer(2), 1);
    assert_eq!(tasks.running(), 0, "nothing will be over");
    for round in 0..3 {
        store.tag(&peer(3), "t", 1).unwrap();
        decaying.bump(&peer(2), 1).unwrap();
        assert_eq!((tasks.running(), entries(&store)), (1, 3), "{round}");
        tokio::time::sleep(GRACE / 5).await;
        assert!(!store.0.lock().peers[&peer(2)].is_held(), "noticed before the grace period is over");
        tokio::time::sleep(GRACE).await;
        assert_eq!((tasks.running(), entries(&store)), (0, 2), "{round}");
    }
    store.tag(&peer(3), "t", 1).unwrap();
    let forced = tasks.join(Instant::now()).await;
    assert_eq!(forced.keys().collect::<Vec<_>>(), [&"tags"], "it was aborted");
    store.tag(&peer(4), "t", 1).unwrap();
    assert_eq!(tasks.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_node() {
    let (store, tasks) = (store(), Tasks::default());
    store.attach(tasks.clone(), None);
    store.tag(&peer(3), "t", 1).unwrap();
    tasks.cancelled().cancel();
    assert!(tasks.join(Instant::now() + GRACE / 6).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn peers_that_come_and_go_leave_nothing() {
    let (store, tasks) = (store(), Tasks::default());
    store.attach(tasks.clone(), None);
    let tag = store.register_decaying("score", GRACE, Decay::Linear(0.5), Bump::SumUnbounded).unwrap();
    let mut most = 0;
    for n in 0..5_000_u32 {
        let id = u64::from(n);
        store.record_connection(&peer(n), id);
        store.tag(&peer(n), "t", 1).unwrap();
        tag.bump(&peer(n), 1_000).unwrap();
        store.protect(&peer(n), "while it is used").unwrap();
        store.unprotect(&peer(n), "while it is used");
        store.remove_connection(&peer(n), id);
        tokio::time::sleep(Duration::from_secs(1)).await;
        most = most.max(entries(&store));
    }
    assert!(most <= 62, "{most}");
    tokio::time::sleep(GRACE).await;
    assert_eq!((entries(&store), tasks.running()), (0, 0));
    store.0.lock().check();
}
