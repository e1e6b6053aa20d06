//! Dialling over a simulated network: how fast, how many, and what is left behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use futures::future::join_all;
use skep::{
    AddrOutcome, DialOptions, DialSettings, Forget, Swarm,
    api::{
        Multiaddr, PeerId, address,
        multiaddr::Protocol,
        peerstore::Ttl,
        ranker::{DialCandidate, DialRanker, RankedAddr},
    },
    swarm::{
        Settings,
        error::{DialError, Stage},
    },
    transport_memory::MemoryHub,
};
use std::{sync::Arc, time::Duration};
use support::{
    echo_works,
    sim::{Route, Sim, listener, on, public},
};
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);
/// What the ranker puts between public addresses.
const STAGGER: Duration = Duration::from_millis(250);

fn know(node: &Swarm, peer: PeerId, addrs: &[Multiaddr]) {
    node.peerstore().unwrap().add_addrs(&peer, addrs, Ttl::For(Duration::from_secs(86_400)));
}

/// Lets tasks that were told to end do so.
async fn settle() {
    tokio::time::sleep(MS).await;
}

/// One peer, and a node that dials it over a network of its own.
struct Scene {
    peer: Swarm,
    at: Multiaddr,
    sim: Arc<Sim>,
    node: Swarm,
}

impl Scene {
    async fn new() -> Self {
        Self::with(DialSettings::default()).await
    }

    async fn with(settings: DialSettings) -> Self {
        let hub = MemoryHub::new();
        let (peer, at) = listener(&hub).await;
        let sim = Sim::new(&hub);
        let node = on(&sim).dial(settings).build().unwrap();
        Self { peer, at, sim, node }
    }

    async fn with_ranker(ranker: Arc<dyn DialRanker>) -> Self {
        let hub = MemoryHub::new();
        let (peer, at) = listener(&hub).await;
        let sim = Sim::new(&hub);
        let node = on(&sim).ranker("test", ranker).build().unwrap();
        Self { peer, at, sim, node }
    }

    fn leads(&self, addr: &Multiaddr, after: Duration) {
        self.sim.route(addr, Route::Leads(self.at.clone(), after));
    }
}

/// A ranker without patience.
#[derive(Debug)]
struct AllAtOnce;

impl DialRanker for AllAtOnce {
    fn rank(&self, candidates: Vec<DialCandidate>) -> Vec<RankedAddr> {
        candidates.into_iter().map(|c| RankedAddr::new(c.addr, Duration::ZERO)).collect()
    }
}

/// The time to connect with the good one of fifty addresses at this place in the order.
async fn fifty(place: usize, others: Option<Route>) -> (Duration, usize) {
    let scene = Scene::new().await;
    let addrs: Vec<_> = (0..50).map(public).collect();
    for (n, addr) in addrs.iter().enumerate() {
        match &others {
            _ if n == place => scene.leads(addr, 40 * MS),
            Some(route) => scene.sim.route(addr, route.clone()),
            None => {}
        }
    }
    know(&scene.node, scene.peer.peer_id(), &addrs);
    let begun = Instant::now();
    scene.node.dial_peer(scene.peer.peer_id()).await.unwrap();
    let took = begun.elapsed();
    settle().await;
    let counts = scene.sim.counts();
    assert_eq!(counts.open, 0, "what lost the race is closed");
    if others.is_some() {
        assert!(counts.by_addr.values().all(|n| *n == 1));
    }
    (took, counts.peak)
}

#[tokio::test(start_paused = true)]
async fn of_fifty_addresses_the_good_one_is_found_within_two_staggers() {
    for place in 0..50 {
        let (took, peak) = fifty(place, Some(Route::Refuses(40 * MS))).await;
        assert!(took <= 40 * MS + 2 * STAGGER, "place {place}: {took:?}");
        assert!(peak <= 8, "place {place}: {peak} sockets");
    }
    // Where the others swallow everything, as many as may be tried at once are in the race by then.
    for place in 0..8 {
        let (took, peak) = fifty(place, None).await;
        assert!(took <= 40 * MS + 2 * STAGGER, "place {place}: {took:?}");
        assert!(peak <= 8, "place {place}: {peak} sockets");
    }
}

#[tokio::test(start_paused = true)]
async fn silent_addresses_give_way_to_those_that_wait() {
    for place in 8..50 {
        let (took, peak) = fifty(place, None).await;
        // Eight more a second, instead of eight more every five.
        let wave = Duration::from_secs(place as u64 / 8);
        assert!(took <= 40 * MS + 2 * STAGGER + wave, "place {place}: {took:?}");
        assert!(peak <= 8, "place {place}: {peak} sockets");
    }
    // One that needs more than a second gets it when the others have had their chance.
    let scene = Scene::new().await;
    let addrs: Vec<_> = (0..50).map(public).collect();
    scene.leads(&addrs[0], 3000 * MS);
    know(&scene.node, scene.peer.peer_id(), &addrs);
    let dialed = scene.node.dial_peer_with(scene.peer.peer_id(), DialOptions::default()).await.unwrap();
    assert_eq!(dialed.connection.info().remote, addrs[0]);
    assert!(dialed.report.elapsed <= Duration::from_secs(14), "{:?}", dialed.report.elapsed);
    // Also when all that may run have started at the same moment.
    let at_once: Vec<_> =
        (0..9).map(|n| format!("/ip4/203.0.100.100/tcp/{}", 4001 + n).parse().unwrap()).collect();
    let scene = Scene::with_ranker(Arc::new(AllAtOnce)).await;
    scene.leads(&at_once[8], 40 * MS);
    let options = DialOptions::default().addresses(at_once);
    let dialed = scene.node.dial_peer_with(scene.peer.peer_id(), options).await.unwrap();
    assert_eq!(dialed.report.elapsed, 1040 * MS);
    // Nobody has to give way to nobody.
    let scene = Scene::new().await;
    scene.leads(&addrs[7], 4000 * MS);
    know(&scene.node, scene.peer.peer_id(), &addrs[..8]);
    scene.node.dial_peer(scene.peer.peer_id()).await.unwrap();
    assert_eq!(scene.sim.counts().total(), 8);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_worked_before_is_dialled_first() {
    let scene = Scene::new().await;
    let addrs: Vec<_> = (0..50).map(public).collect();
    scene.leads(&addrs[49], 40 * MS);
    know(&scene.node, scene.peer.peer_id(), &addrs);
    let store = scene.node.peerstore().unwrap();
    store.add_addrs(&scene.peer.peer_id(), &addrs[49..], Ttl::Connected);
    store.reclass(&scene.peer.peer_id(), Ttl::Connected, Ttl::RecentlyConnected);
    let begun = Instant::now();
    scene.node.dial_peer(scene.peer.peer_id()).await.unwrap();
    assert_eq!((begun.elapsed(), scene.sim.counts().total()), (40 * MS, 1));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_who_want_one_peer_share_one_dial() {
    let scene = Scene::new().await;
    let addrs: Vec<_> = (0..3).map(public).collect();
    scene.sim.route(&addrs[0], Route::Refuses(10 * MS));
    scene.leads(&addrs[1], 300 * MS);
    know(&scene.node, scene.peer.peer_id(), &addrs);
    let dials = (0..1000).map(|_| scene.node.dial_peer(scene.peer.peer_id()));
    let connections = join_all(dials).await;
    let first = connections[0].as_ref().unwrap().id();
    assert!(connections.iter().all(|conn| conn.as_ref().unwrap().id() == first));
    settle().await;
    assert_eq!((scene.node.metrics().connections, scene.peer.metrics().connections), (1, 1));
    assert!(scene.sim.counts().by_addr.values().all(|n| *n == 1), "{:?}", scene.sim.counts());
}

#[tokio::test(start_paused = true)]
async fn when_999_of_a_thousand_go_the_last_is_served() {
    let scene = Scene::new().await;
    scene.leads(&public(0), 300 * MS);
    know(&scene.node, scene.peer.peer_id(), &[public(0)]);
    let dial = || {
        let (node, peer) = (scene.node.clone(), scene.peer.peer_id());
        tokio::spawn(async move { node.dial_peer(peer).await })
    };
    let (first, last) = (dial(), dial());
    let others: Vec<_> = std::iter::once(first).chain((0..998).map(|_| dial())).collect();
    tokio::time::sleep(100 * MS).await;
    assert_eq!(scene.node.dial_state().in_flight, 1);
    others.iter().for_each(tokio::task::JoinHandle::abort);
    last.await.unwrap().unwrap();
    assert_eq!(scene.sim.counts().total(), 1);
}

#[tokio::test(start_paused = true)]
async fn when_all_go_the_dial_ends_and_its_sockets_close() {
    let scene = Scene::new().await;
    let addrs: Vec<_> = (0..5).map(public).collect();
    know(&scene.node, scene.peer.peer_id(), &addrs);
    let dials = join_all((0..10).map(|_| scene.node.dial_peer(scene.peer.peer_id())));
    tokio::time::timeout(Duration::from_secs(2), dials).await.unwrap_err();
    settle().await;
    assert_eq!(scene.sim.counts().open, 0);
    let state = scene.node.dial_state();
    assert_eq!((state.in_flight, state.outstanding, scene.node.metrics().permits), (0, 0, 0));
    assert_eq!(scene.node.metrics().tasks, 0);
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_dial_brings_addresses_of_their_own() {
    let scene = Scene::new().await;
    know(&scene.node, scene.peer.peer_id(), &[public(0), public(1)]);
    scene.leads(&public(9), 40 * MS);
    let with_peer = public(9).with(Protocol::P2p(scene.peer.peer_id()));
    let first = scene.node.dial_peer(scene.peer.peer_id());
    let second = async {
        tokio::time::sleep(400 * MS).await;
        scene.node.dial_addr(&with_peer).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.unwrap().id(), second.unwrap().id());
}

#[tokio::test(start_paused = true)]
async fn a_dead_peer_costs_few_tries_and_a_new_address_is_tried_at_once() {
    let scene = Scene::new().await;
    scene.sim.route(&public(0), Route::Refuses(10 * MS));
    know(&scene.node, scene.peer.peer_id(), &[public(0)]);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3600) {
        scene.node.dial_peer(scene.peer.peer_id()).await.unwrap_err();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let tries = scene.sim.counts().total();
    assert!((10..=23).contains(&tries), "{tries} tries in an hour");
    assert_eq!(scene.node.dial_state().addrs[0].failures as usize, tries);

    scene.leads(&public(1), 40 * MS);
    know(&scene.node, scene.peer.peer_id(), &[public(1)]);
    let begun = Instant::now();
    scene.node.dial_peer(scene.peer.peer_id()).await.unwrap();
    assert!(begun.elapsed() <= 40 * MS + STAGGER, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn failures_can_be_looked_at_and_forgotten() {
    let scene = Scene::new().await;
    scene.sim.route(&public(0), Route::Refuses(MS));
    let peer = scene.peer.peer_id();
    know(&scene.node, peer, &[public(0)]);
    let code = async || scene.node.dial_peer(peer).await.unwrap_err().code();
    assert_eq!((code().await, code().await), ("refused", "peer_backoff"));
    let state = scene.node.dial_state();
    assert_eq!(
        (state.addrs[0].peer, &state.addrs[0].addr, state.addrs[0].last),
        (Some(peer), &public(0), "refused")
    );
    assert_eq!((state.peers[0].peer, state.peers[0].last), (peer, "refused"));
    assert_eq!(scene.node.forget_failures(&Forget::Addr(public(0))), 1);
    assert_eq!(code().await, "peer_backoff");
    assert_eq!(scene.node.forget_failures(&Forget::Peer(peer)), 1);
    assert_eq!(code().await, "refused");
    scene.node.network_changed();
    assert_eq!(code().await, "refused");
    let impatient = DialOptions::default().ignore_backoff();
    assert_eq!(scene.node.dial_peer_with(peer, impatient).await.unwrap_err().code(), "refused");
    assert_eq!(scene.sim.counts().total(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_connects_by_itself_is_no_longer_left_alone() {
    let hub = MemoryHub::new();
    let (a, at_a) = listener(&hub).await;
    let (b, _) = listener(&hub).await;
    know(&a, b.peer_id(), &["/memory/999999".parse().unwrap()]);
    a.dial_peer(b.peer_id()).await.unwrap_err();
    assert_eq!(a.dial_state().peers.len(), 1);
    let conn = b.dial_addr(&at_a).await.unwrap();
    echo_works(&conn).await;
    assert_eq!(a.dial_state().peers.len(), 0);
    assert_eq!(a.dial_peer(b.peer_id()).await.unwrap().peer(), b.peer_id());
}

#[tokio::test(start_paused = true)]
async fn twenty_thousand_failing_peers_leave_every_table_at_its_cap() {
    let settings = DialSettings { backoff_entries: 100, negative_entries: 50, ..DialSettings::default() };
    let scene = Scene::with(settings).await;
    for n in 0..20_000_usize {
        let addr: Multiaddr = format!("/ip4/10.{}.{}.1/tcp/1", n / 250, n % 250).parse().unwrap();
        scene.sim.route(&addr, Route::Refuses(MS));
        let options = DialOptions::default().addresses([addr]);
        let error = scene.node.dial_peer_with(PeerId::random(), options).await.unwrap_err();
        assert_eq!(error.code(), "refused");
    }
    let state = scene.node.dial_state();
    assert!(
        state.addrs.len() <= 100 && state.peers.len() <= 50,
        "{} {}",
        state.addrs.len(),
        state.peers.len()
    );
    assert_eq!((state.in_flight, state.outstanding, state.queued), (0, 0, 0));
    let stats = scene.node.peerstore().unwrap().stats();
    assert_eq!((stats.peers, scene.node.metrics().permits, scene.node.metrics().tasks), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_peer_costs_the_one_address() {
    let scene = Scene::new().await;
    let wanted = PeerId::random();
    // The peer at the first address is another one.
    scene.leads(&public(0), 10 * MS);
    know(&scene.node, wanted, &[public(0), public(1), public(2)]);
    let error =
        scene.node.dial_peer_with(wanted, DialOptions::default().timeout(2 * STAGGER)).await.unwrap_err();
    let report = error.report().unwrap();
    assert_eq!(report.addrs[0].outcome.error().unwrap().stage, Stage::Security);
    assert_eq!((error.code(), report.num_addrs_tried()), ("wrong_peer", 3));
    let mut left: Vec<_> =
        scene.node.peerstore().unwrap().addrs(&wanted).into_iter().map(|a| a.addr).collect();
    left.sort();
    assert_eq!(left, [public(1), public(2)]);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_one_caller_is_not_that_of_another() {
    let scene = Scene::new().await;
    scene.leads(&public(0), Duration::from_secs(3));
    let peer = scene.peer.peer_id();
    know(&scene.node, peer, &[public(0)]);
    let begun = Instant::now();
    let hasty =
        scene.node.dial_peer_with(peer, DialOptions::default().deadline(begun + Duration::from_secs(1)));
    let (hasty, patient) = tokio::join!(hasty, scene.node.dial_peer(peer));
    let error = hasty.unwrap_err();
    assert_eq!((error.code(), error.report().unwrap().elapsed), ("deadline", Duration::from_secs(1)));
    assert_eq!(error.report().unwrap().addrs[0].outcome.error().unwrap().stage, Stage::Connect);
    patient.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn whole_dials_and_single_addresses_have_their_deadlines() {
    let scene = Scene::new().await;
    let silent = "/ip4/10.0.0.1/tcp/1".parse::<Multiaddr>().unwrap();
    let begun = Instant::now();
    let error = scene.node.dial_addr(&silent).await.unwrap_err();
    assert_eq!((error.code(), begun.elapsed()), ("deadline", Duration::from_secs(5)));
    // A peer that takes the connection and says nothing.
    let mute: Multiaddr = "/memory/77".parse().unwrap();
    let _listener = skep::api::transport::Transport::listen(&*scene.sim, &mute).await.unwrap();
    scene.sim.route(&public(0), Route::Leads(mute, Duration::ZERO));
    let begun = Instant::now();
    let error = scene.node.dial_addr(&public(0)).await.unwrap_err();
    assert_eq!((error.code(), begun.elapsed()), ("deadline", Duration::from_secs(15)));
    // Nine silent ones at eight a time take twice five seconds, and the whole must not take longer than it may.
    let settings =
        DialSettings { timeout: skep::api::config::DurationText::secs(7), ..DialSettings::default() };
    let scene = Scene::with(settings).await;
    let begun = Instant::now();
    let nine = DialOptions::default().addresses((0..9).map(public));
    let error = scene.node.dial_peer_with(scene.peer.peer_id(), nine).await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::from_secs(7));
    let report = error.report().unwrap();
    assert_eq!((report.addrs.len(), report.num_addrs_tried()), (9, 9));
}

#[tokio::test(start_paused = true)]
async fn options_say_what_will_do() {
    let scene = Scene::new().await;
    let peer = scene.peer.peer_id();
    let options = DialOptions::default;
    let code = async |options| scene.node.dial_peer_with(peer, options).await.unwrap_err().code();
    assert_eq!(code(options().no_dial()).await, "not_connected");
    assert_eq!(code(options()).await, "no_addresses");
    assert_eq!(scene.node.dial_peer(scene.node.peer_id()).await.unwrap_err().code(), "own_address");

    let relayed: Multiaddr = format!("{}/p2p/{}/p2p-circuit", public(5), PeerId::random()).parse().unwrap();
    scene.leads(&relayed, 10 * MS);
    assert_eq!(code(options().addresses([relayed.clone()]).force_direct()).await, "relayed");
    let limited = scene.node.dial_peer_with(peer, options().addresses([relayed.clone()])).await.unwrap();
    assert!(limited.connection.is_limited());

    // A limited connection will do for who allows it, and for others while there is no direct way.
    let again = scene.node.dial_peer_with(peer, options().allow_limited()).await.unwrap();
    assert_eq!((again.connection.id(), again.report.existing), (limited.connection.id(), true));
    scene.sim.route(&public(7), Route::Refuses(10 * MS));
    let still = scene.node.dial_peer_with(peer, options().addresses([public(7)])).await.unwrap();
    assert_eq!((still.connection.id(), still.report.addrs.len()), (limited.connection.id(), 1));
    scene.leads(&public(6), 10 * MS);
    let direct = scene.node.dial_peer_with(peer, options().addresses([public(6)])).await.unwrap();
    assert!(!direct.connection.is_limited());
    let existing = scene.node.dial_peer_with(peer, options().no_dial().force_direct()).await.unwrap();
    assert_eq!(existing.connection.id(), direct.connection.id());
    let another = scene.node.dial_peer_with(peer, options().addresses([public(6)]).always()).await.unwrap();
    assert_ne!(another.connection.id(), direct.connection.id());
}

#[tokio::test(start_paused = true)]
async fn a_relayed_way_serves_those_whom_it_will_do_and_the_others_go_on() {
    let scene = Scene::new().await;
    let peer = scene.peer.peer_id();
    let relayed: Multiaddr = format!("{}/p2p/{}/p2p-circuit", public(5), PeerId::random()).parse().unwrap();
    scene.leads(&relayed, 10 * MS);
    scene.leads(&public(6), Duration::from_secs(4));
    know(&scene.node, peer, &[relayed, public(6)]);
    let direct = scene.node.dial_peer_with(peer, DialOptions::default().force_direct());
    let (any, direct) = tokio::join!(scene.node.dial_peer(peer), direct);
    assert!(any.unwrap().is_limited());
    assert!(!direct.unwrap().connection.is_limited());
    assert!(scene.sim.counts().by_addr.values().all(|n| *n == 1));
}

#[tokio::test(start_paused = true)]
async fn the_report_says_what_became_of_each() {
    let scene = Scene::new().await;
    let addrs: Vec<_> = (0..4).map(public).collect();
    scene.sim.route(&addrs[0], Route::Refuses(20 * MS));
    scene.leads(&addrs[2], 40 * MS);
    let given = addrs.iter().cloned().chain(["/ip4/0.0.0.0/tcp/1".parse().unwrap()]);
    let options = DialOptions::default().addresses(given);
    let dialed = scene.node.dial_peer_with(scene.peer.peer_id(), options).await.unwrap();
    let seen: Vec<_> = dialed.report.addrs.iter().map(|a| (&a.addr, a.outcome.code(), a.started)).collect();
    let wildcard = "/ip4/0.0.0.0/tcp/1".parse().unwrap();
    assert_eq!(
        seen,
        [
            (&addrs[0], "refused", Some(Duration::ZERO)),
            (&addrs[1], "cancelled", Some(20 * MS)),
            (&addrs[2], "connected", Some(270 * MS)),
            (&addrs[3], "cancelled", Some(270 * MS)),
            (&wildcard, "undialable", None),
        ]
    );
    let id = dialed.connection.id();
    assert!(
        matches!(dialed.report.addrs[2].outcome, AddrOutcome::Connected { connection } if connection == id)
    );
    assert_eq!((dialed.report.elapsed, dialed.report.num_addrs_tried()), (310 * MS, 4));
    assert!(dialed.report.addrs.iter().all(|addr| addr.elapsed <= dialed.report.elapsed));
}

/// Two nodes with these limits dial each other at nearly the same time. What both have then, as each sees it.
async fn at_the_same_time(round: u64, limit: u32) -> (usize, usize, Vec<bool>) {
    let hub = MemoryHub::new();
    let settings = Settings { max_connections_per_peer: limit, ..Settings::default() };
    let node = || {
        let sim = Sim::with_latency(&hub, 25 * MS);
        on(&sim).settings(settings.clone()).build().unwrap()
    };
    let (a, b) = (node(), node());
    let listen = async |node: &Swarm| node.listen(&"/memory/0".parse().unwrap()).await.unwrap()[0].clone();
    know(&a, b.peer_id(), &[listen(&b).await]);
    know(&b, a.peer_id(), &[listen(&a).await]);
    // From at once to three round trips apart, either first.
    let offset = Duration::from_millis(round % 151);
    let (first, second) = if round.is_multiple_of(2) { (&a, &b) } else { (&b, &a) };
    let later = async {
        tokio::time::sleep(offset).await;
        second.dial_peer(first.peer_id()).await
    };
    let (one, two) = tokio::join!(first.dial_peer(second.peer_id()), later);
    assert!(one.is_ok() && two.is_ok(), "round {round}: {one:?} {two:?}");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (at_a, at_b) = (a.connections(), b.connections());
    for conn in at_a.iter().chain(&at_b) {
        echo_works(conn).await;
    }
    for node in [&a, &b] {
        let state = node.dial_state();
        assert_eq!((state.in_flight, state.outstanding), (0, 0), "round {round}");
        assert_eq!(node.metrics().permits, node.metrics().connections, "round {round}: a half-open leftover");
    }
    let dialled_by_greater = at_a.iter().map(|conn| {
        let dialler = if conn.info().role == skep::api::security::Role::Dialer { &a } else { &b };
        dialler.peer_id() == a.peer_id().max(b.peer_id())
    });
    (at_a.len(), at_b.len(), dialled_by_greater.collect())
}

#[tokio::test(start_paused = true)]
async fn nodes_that_dial_each_other_at_the_same_time_keep_one_connection_where_one_is_allowed() {
    for round in 0..1000 {
        let (at_a, at_b, by_greater) = at_the_same_time(round, 1).await;
        assert_eq!((at_a, at_b), (1, 1), "round {round}");
        if round % 151 == 0 {
            assert_eq!(by_greater, [true], "round {round}: both keep that of the greater id");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_that_dial_each_other_at_the_same_time_keep_no_more_than_two() {
    for round in 0..1000 {
        let (at_a, at_b, _) = at_the_same_time(round, 3).await;
        assert!(at_a == at_b && (1..=2).contains(&at_a), "round {round}: {at_a} and {at_b}");
    }
}

#[tokio::test(start_paused = true)]
async fn overload_is_an_error_that_says_so() {
    let settings = DialSettings { max_outstanding: 2, max_queued: 3, ..DialSettings::default() };
    let scene = Scene::with(settings).await;
    let dial = |n: usize| {
        let (node, addr) = (scene.node.clone(), public(n));
        async move { node.dial_addr(&addr).await.unwrap_err() }
    };
    let errors = join_all((0..10).map(dial)).await;
    let overloaded: Vec<_> = errors.iter().filter(|error| error.code() == "overloaded").collect();
    assert_eq!(overloaded.len(), 5);
    let text = skep::api::error::chain(overloaded[0]);
    assert!(text.contains("3 of 3 in use; raise `dial.max_queued`"), "{text}");
    let state = scene.node.dial_state();
    assert_eq!((state.outstanding, state.queued, scene.sim.counts().peak), (0, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn private_networks_get_no_packet_from_a_public_node() {
    let settings = DialSettings { private_addresses: false, ..DialSettings::default() };
    let scene = Scene::with(settings).await;
    let private =
        ["/ip4/10.0.0.1/tcp/1", "/ip4/192.168.7.7/tcp/1", "/ip6/fe80::1/tcp/1", "/ip4/127.0.0.1/tcp/1"];
    let private: Vec<Multiaddr> = private.iter().map(|text| text.parse().unwrap()).collect();
    scene.leads(&public(0), 10 * MS);
    know(&scene.node, scene.peer.peer_id(), &private);
    know(&scene.node, scene.peer.peer_id(), &[public(0)]);
    scene.node.dial_peer(scene.peer.peer_id()).await.unwrap();
    assert_eq!(scene.sim.counts().by_addr.keys().collect::<Vec<_>>(), [&public(0)]);
}

#[tokio::test(start_paused = true)]
async fn the_node_remembers_where_it_was_connected() {
    let scene = Scene::new().await;
    scene.leads(&public(0), 10 * MS);
    let conn = scene.node.dial_addr(&public(0)).await.unwrap();
    let (store, peer) = (scene.node.peerstore().unwrap(), scene.peer.peer_id());
    assert_eq!(store.addrs(&peer)[0].ttl, Ttl::Connected);
    assert_eq!(store.key(&peer).map(|key| key.to_peer_id()), Some(peer));
    conn.close(skep::api::Code::NONE).await;
    assert_eq!(store.addrs(&peer)[0].ttl, Ttl::RecentlyConnected);
    let again = scene.node.dial_peer(peer).await.unwrap();
    assert_eq!(address::without_peer(&again.info().remote), public(0));
}

#[tokio::test(start_paused = true)]
async fn a_path_that_swallows_dials_is_left_alone_and_probed() {
    let settings =
        DialSettings { black_hole_window: 10, black_hole_min_successes: 2, ..DialSettings::default() };
    let scene = Scene::with(settings).await;
    let quic = |n: usize| format!("/ip4/203.0.113.{n}/udp/1/quic-v1").parse::<Multiaddr>().unwrap();
    for n in 1..=10 {
        assert_eq!(scene.node.dial_addr(&quic(n)).await.unwrap_err().code(), "deadline");
    }
    let paths = scene.node.dial_state().paths;
    assert_eq!((paths[0].path, paths[0].closed, paths[1].closed), ("UDP", true, false));
    let mut codes = Vec::new();
    for n in 11..=20 {
        codes.push(scene.node.dial_addr(&quic(n)).await.unwrap_err().code());
    }
    assert_eq!(codes[..9], ["black_hole"; 9]);
    assert_eq!(codes[9], "deadline", "the probe");
    let error: DialError = scene.node.dial_addr(&quic(30)).await.unwrap_err();
    let text = skep::api::error::chain(&error);
    assert!(text.contains("0 of the last 10 dials over UDP succeeded"), "{text}");
    scene.node.network_changed();
    assert_eq!(scene.node.dial_addr(&quic(30)).await.unwrap_err().code(), "deadline");
}

#[tokio::test(start_paused = true)]
async fn who_joins_does_not_hurry_the_race() {
    let scene = Scene::new().await;
    let dial = |n: usize| {
        let node = scene.node.clone();
        let options = DialOptions::default().addresses([public(n)]).timeout(2 * STAGGER);
        let peer = scene.peer.peer_id();
        async move {
            tokio::time::sleep(n as u32 * MS).await;
            node.dial_peer_with(peer, options).await.unwrap_err()
        }
    };
    let watch = async {
        tokio::time::sleep(20 * MS).await;
        let soon = scene.sim.counts().total();
        tokio::time::sleep(STAGGER).await;
        (soon, scene.sim.counts().total())
    };
    let (_, (soon, later)) = tokio::join!(join_all((0..7).map(dial)), watch);
    assert_eq!((soon, later), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn who_comes_when_the_dial_has_just_won_is_served() {
    let scene = Scene::new().await;
    let addr = public(0);
    scene.leads(&addr, 40 * MS);
    // The second comes between the success and its being told, on a single thread.
    for after in 35..45 {
        let late = async {
            tokio::time::sleep(after * MS).await;
            join_all((0..20).map(|_| scene.node.dial_addr(&addr))).await
        };
        let (first, late) = tokio::join!(scene.node.dial_addr(&addr), late);
        let first = first.unwrap();
        assert!(late.iter().all(|conn| conn.as_ref().unwrap().id() == first.id()));
        first.close(skep::api::Code::NONE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_connected_is_not_overlooked() {
    // Of two nodes, the one with the greater id goes on with a handshake of its own, but not for ever.
    let scene = Scene::new().await;
    let (greater, smaller) = if scene.node.peer_id() > scene.peer.peer_id() {
        (&scene.node, &scene.peer)
    } else {
        (&scene.peer, &scene.node)
    };
    let mute: Multiaddr = "/memory/78".parse().unwrap();
    let _listener = skep::api::transport::Transport::listen(&*scene.sim, &mute).await.unwrap();
    let at = greater.listen(&"/memory/0".parse().unwrap()).await.unwrap()[0].clone();
    let begun = Instant::now();
    let options = DialOptions::default().addresses([mute]);
    let arrival = async {
        tokio::time::sleep(1000 * MS).await;
        smaller.dial_addr(&at).await.unwrap()
    };
    let (dialed, arrived) = tokio::join!(greater.dial_peer_with(smaller.peer_id(), options), arrival);
    let dialed = dialed.unwrap();
    assert!(dialed.report.existing && dialed.connection.is_open());
    assert!(begun.elapsed() <= Duration::from_secs(4), "{:?}", begun.elapsed());
    echo_works(&arrived).await;
}

#[tokio::test(start_paused = true)]
async fn an_impatient_caller_is_no_way_around_the_back_off() {
    let scene = Scene::new().await;
    let peer = scene.peer.peer_id();
    know(&scene.node, peer, &[public(0)]);
    let dial = scene.node.dial_peer(peer);
    tokio::time::timeout(Duration::from_secs(2), dial).await.unwrap_err();
    settle().await;
    assert_eq!(scene.node.dial_state().addrs[0].last, "deadline");
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_panics_costs_the_one_address() {
    let scene = Scene::new().await;
    scene.sim.route(&public(0), Route::Panics);
    scene.leads(&public(1), 40 * MS);
    let options = DialOptions::default().addresses([public(0), public(1)]);
    let dialed = scene.node.dial_peer_with(scene.peer.peer_id(), options).await.unwrap();
    let leaf = dialed.report.addrs[0].outcome.error().unwrap();
    assert_eq!((leaf.stage, leaf.plugin.as_str(), leaf.cause.code()), (Stage::Connect, "sim", "panicked"));
    let error = scene.node.dial_addr(&public(0)).await.unwrap_err();
    assert_eq!(error.code(), "panicked");
}

/// A node that resolves names from a table.
async fn with_names(table: serde_json::Value) -> Scene {
    let hub = MemoryHub::new();
    let (peer, at) = listener(&hub).await;
    let sim = Sim::new(&hub);
    let builder = on(&sim);
    let serde_json::Value::Object(table) = table else { unreachable!() };
    let section = skep::api::ConfigSection::from_table("resolver.static", table);
    let resolver = (skep::policies::resolver::r#static::PLUGIN.build)(&section, builder.build_cx()).unwrap();
    let node = builder.resolver("static", resolver).build().unwrap();
    Scene { peer, at, sim, node }
}

#[tokio::test(start_paused = true)]
async fn all_names_of_a_peer_are_looked_up_in_the_end() {
    let hosts: serde_json::Map<_, _> = (0..20)
        .map(|n| (format!("host{n}.test"), serde_json::json!([format!("203.0.100.{}", 100 + n)])))
        .collect();
    let scene = with_names(serde_json::json!({ "hosts": hosts })).await;
    for n in 0..20 {
        scene.sim.route(&public(n), Route::Refuses(5 * MS));
    }
    scene.leads(&public(19), 5 * MS);
    let names = (0..20).map(|n| format!("/dns4/host{n}.test/tcp/4001").parse::<Multiaddr>().unwrap());
    let options = DialOptions::default().addresses(names);
    let dialed = scene.node.dial_peer_with(scene.peer.peer_id(), options).await.unwrap();
    let won = dialed.report.addrs.iter().find(|addr| addr.outcome.code() == "connected").unwrap();
    assert_eq!(won.resolved_from, Some("/dns4/host19.test/tcp/4001".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_peer_behind_a_name_does_not_cost_the_name() {
    let scene =
        with_names(serde_json::json!({ "hosts": { "a.test": ["203.0.100.100", "203.0.100.101"] } })).await;
    scene.leads(&public(0), 5 * MS);
    scene.sim.route(&public(1), Route::Refuses(5 * MS));
    let wanted = PeerId::random();
    let name: Multiaddr = "/dns4/a.test/tcp/4001".parse().unwrap();
    know(&scene.node, wanted, std::slice::from_ref(&name));
    assert_eq!(scene.node.dial_peer(wanted).await.unwrap_err().code(), "wrong_peer");
    assert_eq!(scene.node.peerstore().unwrap().addrs(&wanted)[0].addr, name);
}

#[tokio::test(start_paused = true)]
async fn with_one_place_left_addresses_take_turns() {
    let hub = MemoryHub::new();
    let (peer, at) = listener(&hub).await;
    let sim = Sim::new(&hub);
    let node = on(&sim).settings(Settings { max_connections: 1, ..Settings::default() }).build().unwrap();
    sim.route(&public(3), Route::Leads(at, 5 * MS));
    let options = DialOptions::default().addresses((0..4).map(public));
    // Each of the silent ones holds the place for its five seconds.
    let dialed = node.dial_peer_with(peer.peer_id(), options).await.unwrap();
    assert!(dialed.report.elapsed <= Duration::from_secs(15) + 5 * MS, "{:?}", dialed.report.elapsed);
    assert_eq!(sim.counts().peak, 1);
    assert!(dialed.report.addrs.iter().all(|addr| addr.outcome.code() != "local_limit"));
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_says_of_itself_is_no_address_that_worked() {
    let scene = Scene::new().await;
    let identify = |builder: skep::SwarmBuilder| {
        let section = skep::api::ConfigSection::empty("protocol.identify");
        let made = (skep::protocols::identify::PLUGIN.build)(&section, builder.build_cx()).unwrap();
        builder.protocol("identify", made)
    };
    let talker = identify(on(&scene.sim)).build().unwrap();
    let said = talker.listen(&"/memory/0".parse().unwrap()).await.unwrap()[0].clone();
    scene.sim.route(&public(7), Route::Leads(said.clone(), 5 * MS));
    let node = identify(on(&scene.sim)).build().unwrap();
    let conn = node.dial_addr(&public(7)).await.unwrap();
    conn.identified().await.unwrap();
    let store = node.peerstore().unwrap();
    let worked = |addr: &Multiaddr| {
        store.addrs(&talker.peer_id()).iter().find(|known| known.addr == *addr).map(|known| known.worked())
    };
    assert_eq!((worked(&public(7)), worked(&said)), (Some(true), Some(false)));
    conn.close(skep::api::Code::NONE).await;
    assert_eq!((worked(&public(7)), worked(&said)), (Some(true), Some(false)));
}

#[tokio::test(start_paused = true)]
async fn late_accepts_do_not_cost_both_connections() {
    // A listener that accepts late, as TCP's does, sees the other's dial begin after its own has ended.
    for offset in 0..200_u32 {
        let hub = MemoryHub::new();
        let settings = Settings { max_connections_per_peer: 1, ..Settings::default() };
        let node = || on(&Sim::late(&hub, 25 * MS, 50 * MS)).settings(settings.clone()).build().unwrap();
        let (a, b) = (node(), node());
        let listen =
            async |node: &Swarm| node.listen(&"/memory/0".parse().unwrap()).await.unwrap()[0].clone();
        let (at_a, at_b) = (listen(&a).await, listen(&b).await);
        know(&a, b.peer_id(), &[at_b]);
        know(&b, a.peer_id(), &[at_a]);
        let later = async {
            tokio::time::sleep(offset * MS).await;
            b.dial_peer(a.peer_id()).await
        };
        let (one, two) = tokio::join!(a.dial_peer(b.peer_id()), later);
        assert!(one.is_ok() && two.is_ok(), "{offset} ms apart: {one:?} {two:?}");
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!((a.connections().len(), b.connections().len()), (1, 1), "{offset} ms apart");
        echo_works(&a.connections()[0]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_hasty_are_content_with_a_relayed_connection_and_the_patient_are_not() {
    let scene = Scene::new().await;
    let peer = scene.peer.peer_id();
    let relayed: Multiaddr = format!("{}/p2p/{}/p2p-circuit", public(5), PeerId::random()).parse().unwrap();
    scene.leads(&relayed, 10 * MS);
    let first = scene.node.dial_peer_with(peer, DialOptions::default().addresses([relayed])).await.unwrap();
    assert!(first.connection.is_limited());
    scene.leads(&public(6), 3000 * MS);
    know(&scene.node, peer, &[public(6)]);
    let hasty = scene.node.dial_peer_with(peer, DialOptions::default().timeout(100 * MS));
    let (patient, hasty) = tokio::join!(scene.node.dial_peer(peer), hasty);
    assert!(!patient.unwrap().is_limited());
    assert_eq!(hasty.unwrap().connection.id(), first.connection.id());
}

#[tokio::test(start_paused = true)]
async fn what_one_caller_would_not_try_is_not_held_against_the_peer() {
    let scene = Scene::new().await;
    let peer = scene.peer.peer_id();
    let relayed: Multiaddr = format!("{}/p2p/{}/p2p-circuit", public(5), PeerId::random()).parse().unwrap();
    scene.leads(&relayed, 10 * MS);
    scene.sim.route(&public(6), Route::Refuses(10 * MS));
    know(&scene.node, peer, &[relayed, public(6)]);
    let direct = scene.node.dial_peer_with(peer, DialOptions::default().force_direct()).await;
    assert_eq!(direct.unwrap_err().code(), "refused");
    assert!(scene.node.dial_peer(peer).await.unwrap().is_limited());
}

#[tokio::test(start_paused = true)]
async fn addresses_of_one_caller_without_a_peer_are_that_callers() {
    let scene = Scene::new().await;
    scene.leads(&public(1), 40 * MS);
    let addr = public(0);
    let mine = scene.node.dial_addr_with(&addr, DialOptions::default().addresses([public(1)]));
    let other = scene.node.dial_addr_with(&addr, DialOptions::default().timeout(500 * MS));
    let (mine, other) = tokio::join!(mine, other);
    assert_eq!(mine.unwrap().connection.peer(), scene.peer.peer_id());
    assert_eq!(other.unwrap_err().code(), "deadline");
}

#[tokio::test(start_paused = true)]
async fn silence_that_gave_way_is_remembered() {
    let scene = Scene::new().await;
    let addrs: Vec<_> = (0..50).map(public).collect();
    know(&scene.node, scene.peer.peer_id(), &addrs);
    let options = DialOptions::default().timeout(Duration::from_millis(4400));
    let error = scene.node.dial_peer_with(scene.peer.peer_id(), options).await.unwrap_err();
    settle().await;
    let report = error.report().unwrap();
    let tried = report.addrs.iter().filter(|addr| addr.started.is_some());
    assert!(tried.clone().all(|addr| matches!(addr.outcome, AddrOutcome::Failed(_))));
    // Those that were tried in the last second are given the benefit of the doubt.
    let second = Duration::from_secs(1);
    let silent = tried.filter(|addr| addr.elapsed >= second).count();
    assert!(silent >= 24, "{silent}");
    assert_eq!(scene.node.dial_state().addrs.len(), silent);
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_a_dial_is_counted() {
    let scene = Scene::new().await;
    let many = (0..300_usize)
        .map(|n| format!("/ip4/10.1.{}.{}/tcp/1", n / 100, n % 100).parse::<Multiaddr>().unwrap());
    let options = DialOptions::default().addresses(many).timeout(STAGGER);
    let error = scene.node.dial_peer_with(scene.peer.peer_id(), options).await.unwrap_err();
    let report = error.report().unwrap();
    assert_eq!((report.addrs.len(), report.omitted), (256, 44));
    let beyond = report.addrs.iter().filter(|addr| addr.outcome.code() == "too_many_addresses").count();
    assert_eq!(beyond, 192);
}
