use super::*;
use proptest::prelude::*;
use skep_api::{CloseReason, Code, Multiaddr, peerstore::Ttl, security::Role, tags::CommonTags};
use skep_testkit::{
    build_cx,
    node::{Dialled, FakeNode, Outcome, Reach, addr, peer},
};
use tokio::{task::JoinHandle, time::sleep};

const HOUR: Duration = Duration::from_secs(3_600);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// An address of a peer, in a network of its own.
fn addr_of(n: u64) -> Multiaddr {
    addr(&format!("/ip4/10.{}.{}.1/tcp/4001", n / 250, n % 250))
}

fn service(table: &str) -> Arc<AutoConnector> {
    let cx = build_cx().with_random(Random::seeded(7));
    Arc::new(AutoConnector::new(&toml::from_str(table).unwrap(), &cx).unwrap())
}

fn start(service: &Arc<AutoConnector>, node: &Arc<FakeNode>) -> JoinHandle<()> {
    let (service, node) = (Arc::clone(service), Arc::clone(node));
    tokio::spawn(async move { service.run(node).await })
}

/// A node that knows these peers, and how dials to them end.
fn knowing(peers: impl IntoIterator<Item = u64>, reach: Reach) -> Arc<FakeNode> {
    let node = FakeNode::new();
    for n in peers {
        node.know(&peer(n), &[addr_of(n)], Ttl::Permanent);
        node.set_reach(&peer(n), reach);
    }
    node
}

fn lost() -> CloseReason {
    CloseReason::Lost { what: "the path broke".into() }
}

/// Seconds between the dials.
fn gaps(dials: &[Dialled]) -> Vec<u64> {
    dials.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_target_is_reached_and_no_more_is_dialled() {
    let node = knowing(1..100, Reach::UP);
    start(&service("target = 10\nparallel = 4"), &node);
    sleep(seconds(5)).await;
    assert_eq!((node.connected_peers(), node.dials().len(), node.most_dialling()), (10, 10, 4));
    sleep(HOUR).await;
    assert_eq!((node.connected_peers(), node.dials().len()), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn no_more_dials_are_under_way_than_peers_are_missing() {
    let node = knowing(1..100, Reach::After(seconds(3)));
    for n in 200..208 {
        node.connect(&peer(n), Role::Listener, addr_of(n));
    }
    start(&service("target = 10\nparallel = 8"), &node);
    sleep(seconds(60)).await;
    assert_eq!((node.connected_peers(), node.dials().len(), node.most_dialling()), (10, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn peers_are_counted_and_not_connections() {
    let node = knowing(1..10, Reach::UP);
    for _ in 0..5 {
        node.connect(&peer(50), Role::Listener, addr_of(50));
    }
    start(&service("target = 3"), &node);
    sleep(seconds(5)).await;
    assert_eq!((node.connected_peers(), node.dials().len()), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn dials_are_given_up_when_others_connect_meanwhile() {
    let node = knowing(1..10, Reach::After(seconds(10)));
    let service = service("target = 4");
    start(&service, &node);
    sleep(seconds(5)).await;
    assert_eq!(node.dialling(), 4);
    for n in [100, 101] {
        node.connect(&peer(n), Role::Listener, addr_of(n));
    }
    sleep(millis(1)).await;
    assert_eq!((node.dialling(), service.report()["dialling"].as_u64()), (2, Some(2)));
    sleep(seconds(60)).await;
    let dropped = node.dials().iter().filter(|dial| dial.outcome == Outcome::Dropped).count();
    assert_eq!((node.connected_peers(), dropped), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn a_dead_peer_is_dialled_ever_less_often() {
    let node = knowing([1], Reach::REFUSES);
    let service = service("jitter = 0.0\ninterval = \"1s\"");
    start(&service, &node);
    sleep(HOUR * 6).await;
    let gaps = gaps(&node.dials());
    let doubled = [300, 600, 1_200, 2_400, 3_600, 3_600, 3_600, 3_600];
    assert_eq!(gaps.len(), doubled.len());
    for (gap, least) in gaps.iter().zip(doubled) {
        assert!((least..least + 2).contains(gap), "{gaps:?}");
    }
    let [cooldown] = service.cooldowns()[..] else { panic!("one peer has failed") };
    assert_eq!((cooldown.peer, cooldown.failures, cooldown.last), (peer(1), 9, "refused"));
}

#[tokio::test(start_paused = true)]
async fn a_cooldown_is_varied_within_its_share() {
    let node = knowing(1..9, Reach::REFUSES);
    start(&service("jitter = 0.5\ninterval = \"1s\""), &node);
    sleep(seconds(500)).await;
    let waits: Vec<_> = (1..9).map(|n| gaps(&node.dials_of(&peer(n)))[0]).collect();
    assert!(waits.iter().all(|wait| (150..=452).contains(wait)), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_tried_is_no_failure_and_not_tried_all_the_time() {
    let node = knowing([1], Reach::NotTried("denied"));
    let service = service("interval = \"1s\"");
    start(&service, &node);
    sleep(seconds(610)).await;
    assert!(gaps(&node.dials()).iter().all(|gap| *gap >= 30), "{:?}", gaps(&node.dials()));
    let [cooldown] = service.cooldowns()[..] else { panic!("the peer is left alone") };
    assert_eq!((cooldown.failures, cooldown.last), (0, "denied"));
    node.set_reach(&peer(1), Reach::UP);
    sleep(seconds(32)).await;
    assert!(node.is_connected(&peer(1)));
}

/// A gate against everybody, or a limit, is not asked about the whole peer store in a row.
#[tokio::test(start_paused = true)]
async fn a_node_that_refuses_all_dials_is_asked_a_few_times_for_each_tick() {
    let node = knowing(1..400, Reach::NotTried("local_limit"));
    start(&service("parallel = 8"), &node);
    sleep(seconds(29)).await;
    assert!(node.dials().len() <= 24, "{} dials", node.dials().len());
    sleep(seconds(300)).await;
    assert!(node.dials().len() <= 11 * 24, "{} dials", node.dials().len());
}

#[tokio::test(start_paused = true)]
async fn a_lost_peer_is_replaced_at_once() {
    let node = knowing(1..10, Reach::UP);
    start(&service("target = 3\ninterval = \"1h\""), &node);
    sleep(seconds(120)).await;
    let id = node.connections()[0].id;
    node.disconnect(id, lost());
    sleep(millis(200)).await;
    assert_eq!((node.connected_peers(), node.dials().len()), (3, 4));
}

#[tokio::test(start_paused = true)]
async fn a_discovered_peer_is_dialled_at_once() {
    let node = FakeNode::new();
    start(&service("interval = \"1h\""), &node);
    sleep(seconds(100)).await;
    node.set_reach(&peer(1), Reach::UP);
    node.know(&peer(1), &[addr_of(1)], Ttl::Temporary);
    sleep(millis(200)).await;
    assert!(node.is_connected(&peer(1)));
}

/// With the real peer store, whose addresses end.
#[tokio::test(start_paused = true)]
async fn a_peer_store_in_memory_is_enough() {
    let plugin = crate::peerstore::memory::PLUGIN;
    let store = (plugin.build)(&skep_api::ConfigSection::empty("peerstore.memory"), &build_cx()).unwrap();
    let node = FakeNode::with(Some(store));
    start(&service("target = 2\ninterval = \"1h\""), &node);
    sleep(seconds(10)).await;
    for n in 1..5 {
        node.set_reach(&peer(n), Reach::UP);
        node.know(&peer(n), &[addr_of(n)], Ttl::Temporary);
    }
    sleep(millis(200)).await;
    assert_eq!(node.connected_peers(), 2);
    sleep(seconds(300)).await;
    // The others are forgotten by now; the one that is lost was connected a while ago.
    let [view, ..] = &node.connections()[..] else { panic!("nobody is connected") };
    node.lose(&view.peer);
    sleep(millis(200)).await;
    assert_eq!((node.connected_peers(), node.dials().len()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_looked_at() {
    let node = knowing(1..10, Reach::UP);
    start(&service("target = 3\ninterval = \"1h\""), &node);
    sleep(seconds(120)).await;
    node.disconnect(node.connections()[0].id, lost());
    node.miss();
    sleep(millis(200)).await;
    assert_eq!(node.connected_peers(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_cleared_cooldown_lets_the_peer_be_dialled_at_the_next_look() {
    let node = knowing([1, 2], Reach::REFUSES);
    let service = service("");
    start(&service, &node);
    sleep(seconds(100)).await;
    assert_eq!(node.dials().len(), 2);
    assert!(service.clear_cooldown(&peer(1)) && !service.clear_cooldown(&peer(1)));
    sleep(seconds(31)).await;
    assert_eq!((node.dials_of(&peer(1)).len(), node.dials_of(&peer(2)).len()), (2, 1));
    service.clear_all_cooldowns();
    assert!(service.cooldowns().is_empty());
    service.maybe_connect();
    sleep(millis(1)).await;
    assert_eq!((node.dials_of(&peer(1)).len(), node.dials_of(&peer(2)).len()), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_connection_by_anybody_ends_the_cooldown() {
    let node = knowing([1], Reach::REFUSES);
    let service = service("");
    start(&service, &node);
    sleep(seconds(10)).await;
    assert_eq!(service.cooldowns().len(), 1);
    let id = node.connect(&peer(1), Role::Listener, addr_of(1));
    sleep(millis(1)).await;
    assert!(service.cooldowns().is_empty());
    node.disconnect(id, lost());
    sleep(seconds(1)).await;
    assert_eq!(node.dials().len(), 2);
    service.record_failed_connection(&peer(9));
    assert_eq!(service.cooldowns()[0].failures, 1);
    service.record_successful_connection(&peer(9));
    assert_eq!(service.cooldowns().len(), 1);
}

/// A peer that is full accepts and hangs up.
#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_at_once_counts_as_a_failure() {
    for missed in [false, true] {
        hangs_up(missed).await;
    }
}

async fn hangs_up(missed: bool) {
    let node = knowing([1], Reach::UP);
    let service = service("jitter = 0.0\ninterval = \"1s\"");
    start(&service, &node);
    for _ in 0..3_600 * 10 {
        sleep(millis(100)).await;
        for id in node.ids(&peer(1)) {
            node.disconnect(id, CloseReason::remote(Code::RESOURCE_LIMIT));
            if missed {
                node.miss();
            }
        }
    }
    let gaps = gaps(&node.dials());
    assert!(gaps.len() == 3 && gaps[0] >= 300 && gaps[1] >= 600 && gaps[2] >= 1_200, "{gaps:?}");
    assert_eq!(service.cooldowns()[0].last, "short_lived");
}

#[tokio::test(start_paused = true)]
async fn networks_that_nobody_is_in_go_first() {
    let node = knowing(1..60, Reach::UP);
    for n in 100..150 {
        node.know(&peer(n), &[addr(&format!("/ip4/192.0.2.{}/tcp/1", n - 99))], Ttl::Permanent);
        node.set_reach(&peer(n), Reach::UP);
    }
    node.connect(&peer(99), Role::Dialer, addr("/ip4/192.0.2.200/tcp/1"));
    start(&service("target = 30"), &node);
    sleep(seconds(5)).await;
    let near = node.dials().iter().filter(|dial| (100..150).any(|n| peer(n) == dial.peer)).count();
    assert_eq!((node.connected_peers(), near), (30, 0));
}

#[tokio::test(start_paused = true)]
async fn peers_of_value_and_those_that_have_worked_go_first() {
    let node = knowing(1..50, Reach::UP);
    node.tags().tag(&peer(7), "mine", 5).unwrap();
    let id = node.connect(&peer(8), Role::Dialer, addr_of(60));
    node.disconnect(id, lost());
    start(&service("target = 2\nparallel = 1"), &node);
    sleep(seconds(5)).await;
    let dialled: Vec<_> = node.dials().iter().map(|dial| dial.peer).collect();
    assert_eq!(dialled, [peer(7), peer(8)]);
}

#[tokio::test(start_paused = true)]
async fn bootstrap_peers_go_first_while_few_are_connected_and_last_after_that() {
    let node = knowing(1..10, Reach::UP);
    node.set_reach(&peer(50), Reach::UP);
    node.set_reach(&peer(51), Reach::UP);
    let own = node.local_peer();
    let table = format!(
        "target = 3\nparallel = 1\nbootstrap_until = 1\nbootstrap = [\"{}/p2p/{}\", \"/dns4/a.test/tcp/1/p2p/{}\", \
         \"/ip4/10.0.0.1/tcp/1/p2p/{own}\"]",
        addr_of(50),
        peer(50),
        peer(51)
    );
    let service = service(&table);
    let task = start(&service, &node);
    sleep(seconds(5)).await;
    let is_bootstrap: Vec<_> =
        node.dials().iter().map(|dial| [peer(50), peer(51)].contains(&dial.peer)).collect();
    assert_eq!(is_bootstrap, [true, false, false]);
    let store = node.peerstore().unwrap();
    let kept = store.addrs(&peer(50));
    assert_eq!((kept[0].addr.clone(), kept[0].ttl), (addr_of(50), Ttl::Permanent));
    assert!(store.addrs(&own).is_empty() && node.tags().info(&own).is_none());
    assert_eq!(node.tags().info(&peer(51)).unwrap().tags[CommonTags::BOOTSTRAP], 50);

    // A successor without one of them takes back what was done for it.
    task.abort();
    let table = format!("bootstrap = [\"/dns4/a.test/tcp/1/p2p/{}\"]", peer(51));
    let cx = build_cx().replacing(Some(service as _));
    let successor = AutoConnector::new(&toml::from_str(&table).unwrap(), &cx).unwrap();
    start(&Arc::new(successor), &node);
    sleep(seconds(1)).await;
    assert_eq!(node.tags().tagged(&|tag| tag == CommonTags::BOOTSTRAP), [peer(51)]);
    assert!(store.addrs(&peer(51)).iter().any(|known| known.ttl == Ttl::Permanent));
}

#[tokio::test(start_paused = true)]
async fn a_successor_takes_over_the_cooldowns() {
    let node = knowing([1], Reach::REFUSES);
    let before = service("");
    let task = start(&before, &node);
    sleep(seconds(10)).await;
    task.abort();
    assert_eq!(before.cooldowns().len(), 1);
    let cx = build_cx().replacing(Some(before as _));
    let after = Arc::new(AutoConnector::new(&Config::default(), &cx).unwrap());
    start(&after, &node);
    sleep(seconds(60)).await;
    assert_eq!(node.dials().len(), 1);
    sleep(seconds(300)).await;
    assert_eq!((node.dials().len(), after.cooldowns()[0].failures), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn the_start_is_spread() {
    let node = knowing([1], Reach::UP);
    start(&service("start_within = \"100s\""), &node);
    sleep(seconds(101)).await;
    let at = node.dials()[0].at;
    assert!(at > seconds(1) && at <= seconds(100), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn the_report_says_how_things_are() {
    let node = knowing(1..3, Reach::UP);
    node.know(&peer(9), &[addr_of(9)], Ttl::Permanent);
    node.set_reach(&peer(9), Reach::REFUSES);
    let service = service("target = 5\njitter = 0.0");
    assert_eq!(service.report()["connected"], 0);
    start(&service, &node);
    sleep(seconds(10)).await;
    let report = service.report();
    let left = report["cooldowns"][0]["seconds_left"].as_f64().unwrap();
    assert!((289.0..291.0).contains(&left), "{report}");
    let expected = serde_json::json!({
        "target": 5,
        "connected": 2,
        "dialling": 0,
        "cooldowns": [{
            "peer_id": peer(9).to_string(), "failures": 1, "last": "refused", "seconds_left": left,
        }],
        "more_cooldowns": 0,
    });
    assert_eq!(report, expected);
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_node() {
    let node = knowing(1..3, Reach::Never);
    let task = start(&service(""), &node);
    sleep(seconds(1)).await;
    node.end();
    task.await.unwrap();
    assert_eq!((node.dialling(), node.subscribers()), (0, 0));
}

/// One thing that happens to the node.
#[derive(Clone, Copy, Debug)]
enum Step {
    Reach(u64, Reach),
    Inbound(u64),
    Lose(u64),
    Miss,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let peer = 1..12_u64;
    let reach = prop_oneof![
        (1..20_000_u64).prop_map(|after| Reach::After(millis(after))),
        (1..20_000_u64).prop_map(|after| Reach::Fails("refused", millis(after))),
        Just(Reach::Never),
        Just(Reach::NotTried("denied")),
    ];
    prop_oneof![
        2 => (peer.clone(), reach).prop_map(|(peer, reach)| Step::Reach(peer, reach)),
        1 => (12..16_u64).prop_map(Step::Inbound),
        2 => (1..16_u64).prop_map(Step::Lose),
        1 => Just(Step::Miss),
        4 => (1..40_000_u64).prop_map(Step::Wait),
    ]
}

/// Whatever happens, no dial leads beyond the target, and in the end the target is reached.
async fn hold(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let target = 5;
    let node = knowing(1..12, Reach::UP);
    start(&service("target = 5\nparallel = 3"), &node);
    for step in steps {
        match step {
            Step::Reach(n, reach) => node.set_reach(&peer(n), reach),
            Step::Inbound(n) => drop(node.connect(&peer(n), Role::Listener, addr_of(n))),
            Step::Lose(n) => node.lose(&peer(n)),
            Step::Miss => node.miss(),
            Step::Wait(n) => sleep(millis(n)).await,
        }
        sleep(millis(1)).await;
        let dialling = node.dialling();
        prop_assert!(dialling <= 3, "{dialling} dials");
        let pending = node.dials().into_iter().filter(|dial| dial.outcome == Outcome::Pending);
        let others = pending.filter(|dial| !node.is_connected(&dial.peer)).count();
        prop_assert!(others == 0 || node.connected_peers() + others <= target, "{others} dials too many");
    }
    (1..12).for_each(|n| node.set_reach(&peer(n), Reach::UP));
    sleep(HOUR * 3).await;
    prop_assert!(node.connected_peers() >= target, "{} peers", node.connected_peers());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_dial_leads_beyond_the_target(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(hold(steps))?;
    }
}
