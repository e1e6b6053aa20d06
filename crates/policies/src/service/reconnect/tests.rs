use super::*;
use skep_api::{CloseReason, Code, peerstore::Ttl, security::Role};
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

fn service(table: &str) -> Arc<Reconnector> {
    let cx = build_cx().with_random(Random::seeded(7));
    Arc::new(Reconnector::new(&toml::from_str(table).unwrap(), &cx).unwrap())
}

fn start(service: &Arc<Reconnector>, node: &Arc<FakeNode>) -> JoinHandle<()> {
    let (service, node) = (Arc::clone(service), Arc::clone(node));
    tokio::spawn(async move { service.run(node).await })
}

/// A node with peers that are to be kept connected.
fn keeping(peers: impl IntoIterator<Item = u64>, reach: Reach) -> Arc<FakeNode> {
    let node = FakeNode::new();
    for n in peers {
        node.know(&peer(n), &[addr(&format!("/memory/{n}"))], Ttl::Permanent);
        node.set_reach(&peer(n), reach);
        node.tags().tag(&peer(n), "keep-alive", 100).unwrap();
    }
    node
}

fn gaps(dials: &[Dialled]) -> Vec<f64> {
    dials.windows(2).map(|pair| (pair[1].at - pair[0].ended.unwrap()).as_secs_f64()).collect()
}

#[tokio::test(start_paused = true)]
async fn tagged_peers_are_dialled_at_start_and_no_others() {
    let node = keeping(1..13, Reach::After(seconds(1)));
    node.know(&peer(50), &[addr("/memory/50")], Ttl::Permanent);
    node.set_reach(&peer(50), Reach::UP);
    node.tags().tag(&peer(50), "keep-alives", 100).unwrap();
    let own = node.local_peer();
    node.tags().tag(&own, "keep-alive", 100).unwrap();
    start(&service(""), &node);
    sleep(millis(1)).await;
    assert_eq!(node.dialling(), 5);
    sleep(seconds(5)).await;
    assert_eq!((node.connected_peers(), node.most_dialling(), node.dials().len()), (12, 5, 12));
    assert!(!node.is_connected(&peer(50)));
}

#[tokio::test(start_paused = true)]
async fn a_lost_peer_is_back_within_the_initial_delay() {
    let node = keeping(1..6, Reach::UP);
    start(&service("initial_delay = \"2s\""), &node);
    sleep(seconds(60)).await;
    let reasons = [
        CloseReason::Lost { what: "the path broke".into() },
        CloseReason::remote(Code::SHUTDOWN),
        CloseReason::local(Code::GARBAGE_COLLECTED),
        CloseReason::local(Code::NONE),
    ];
    for (n, reason) in (1..).zip(reasons) {
        node.disconnect(node.ids(&peer(n))[0], reason);
    }
    sleep(seconds(2) + millis(25)).await;
    assert_eq!((node.connected_peers(), node.dials().len()), (5, 9));
    let began: Vec<_> = node.dials().iter().skip(5).map(|dial| dial.at).collect();
    assert!(began.windows(2).any(|pair| pair[1] - pair[0] > millis(50)), "all at once: {began:?}");
}

#[tokio::test(start_paused = true)]
async fn waits_grow_up_to_the_longest_and_attempts_never_end() {
    let node = keeping([1], Reach::REFUSES);
    start(&service("jitter = 0.0\nmax_delay = \"1m\""), &node);
    sleep(HOUR * 2).await;
    let dials = node.dials();
    assert!(dials.len() > 100, "{} dials", dials.len());
    let gaps = gaps(&dials);
    for (gap, least) in gaps.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]) {
        assert!((least..least + 0.1).contains(gap), "{gaps:?}");
    }
    assert_eq!(node.tags().info(&peer(1)).unwrap().tags["keep-alive"], 100);
    node.set_reach(&peer(1), Reach::UP);
    sleep(seconds(61)).await;
    assert!(node.is_connected(&peer(1)));
}

#[tokio::test(start_paused = true)]
async fn waits_are_varied_within_their_share() {
    let node = keeping([1], Reach::REFUSES);
    start(&service("jitter = 0.5\nmax_delay = \"10s\""), &node);
    sleep(HOUR).await;
    let gaps = gaps(&node.dials());
    let late = &gaps[5..];
    assert!(late.iter().all(|gap| (5.0..15.1).contains(gap)), "{late:?}");
    assert!(late.iter().any(|gap| *gap < 8.0) && late.iter().any(|gap| *gap > 12.0), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn without_its_tag_a_peer_is_dialled_no_more() {
    let node = keeping([1, 2], Reach::REFUSES);
    node.set_reach(&peer(2), Reach::After(seconds(50)));
    start(&service(""), &node);
    sleep(seconds(30)).await;
    let before = node.dials_of(&peer(1)).len();
    node.tags().untag(&peer(1), "keep-alive");
    node.tags().untag(&peer(2), "keep-alive");
    sleep(seconds(11)).await;
    let after = node.dials_of(&peer(1)).len();
    assert!(after <= before + 1);
    assert_eq!(node.dials_of(&peer(2))[0].outcome, Outcome::Dropped);
    sleep(HOUR).await;
    assert_eq!(node.dials_of(&peer(1)).len(), after);
    assert!(!node.is_connected(&peer(2)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_tagged_later_is_dialled_at_the_next_look() {
    let node = FakeNode::new();
    start(&service(""), &node);
    sleep(seconds(25)).await;
    node.know(&peer(1), &[addr("/memory/1")], Ttl::Permanent);
    node.set_reach(&peer(1), Reach::UP);
    node.tags().tag(&peer(1), "keep-alive-relay", 100).unwrap();
    sleep(seconds(10)).await;
    assert!(node.is_connected(&peer(1)));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_tried_is_no_failure_and_waits_for_an_address() {
    let node = FakeNode::new();
    node.tags().tag(&peer(1), "keep-alive", 100).unwrap();
    let service = service("");
    start(&service, &node);
    sleep(seconds(605)).await;
    let dials = node.dials().len();
    assert!((55..=62).contains(&dials), "{dials} dials");
    let report = service.report();
    assert_eq!(
        (&report["peers"][0]["failures"], &report["peers"][0]["last"]),
        (&0.into(), &"no_addresses".into())
    );
    node.set_reach(&peer(1), Reach::UP);
    node.know(&peer(1), &[addr("/memory/1")], Ttl::Temporary);
    sleep(millis(100)).await;
    assert!(node.is_connected(&peer(1)));
}

#[tokio::test(start_paused = true)]
async fn who_accepts_and_hangs_up_is_asked_ever_less_often() {
    let node = keeping([1], Reach::UP);
    start(&service("max_delay = \"1m\""), &node);
    for _ in 0..6_000 {
        sleep(millis(100)).await;
        node.lose(&peer(1));
    }
    assert!(node.dials().len() <= 24, "{} dials in ten minutes", node.dials().len());
    // Once a connection lasts, that is forgotten.
    sleep(seconds(120)).await;
    node.lose(&peer(1));
    sleep(seconds(1) + millis(25)).await;
    assert!(node.is_connected(&peer(1)));
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_found() {
    let node = keeping([1, 2], Reach::UP);
    start(&service(""), &node);
    sleep(seconds(60)).await;
    node.lose(&peer(1));
    node.miss();
    sleep(seconds(2)).await;
    assert!(node.is_connected(&peer(1)));
    // A connection that was there before its tag is as old as it is.
    node.connect(&peer(3), Role::Listener, addr("/memory/3"));
    node.set_reach(&peer(3), Reach::UP);
    sleep(seconds(60)).await;
    node.tags().tag(&peer(3), "keep-alive", 100).unwrap();
    node.miss();
    sleep(millis(100)).await;
    node.lose(&peer(3));
    sleep(seconds(1) + millis(25)).await;
    assert!(node.is_connected(&peer(3)));
}

#[tokio::test(start_paused = true)]
async fn peers_of_the_table_are_kept_and_tagged_and_a_successor_takes_back_what_it_has_not() {
    let node = FakeNode::new();
    let line = |n: u64| format!("\"/memory/{n}/p2p/{}\"", peer(n));
    let own = format!("\"/memory/9/p2p/{}\"", node.local_peer());
    (1..3).for_each(|n| node.set_reach(&peer(n), Reach::UP));
    let before = service(&format!("peers = [{}, {}, {own}]", line(1), line(2)));
    let task = start(&before, &node);
    sleep(seconds(1)).await;
    assert_eq!(node.tags().info(&peer(1)).unwrap().tags["keep-alive"], 100);
    let ttl = |n| node.peerstore().unwrap().addrs(&peer(n)).first().map(|known| known.ttl);
    assert_eq!((ttl(1), ttl(2), node.connected_peers()), (Some(Ttl::Permanent), Some(Ttl::Permanent), 2));
    task.abort();
    let cx = build_cx().replacing(Some(before as _));
    let after = Reconnector::new(&toml::from_str(&format!("peers = [{}]", line(2))).unwrap(), &cx).unwrap();
    start(&Arc::new(after), &node);
    sleep(seconds(1)).await;
    assert_eq!(node.tags().tagged(&CommonTags::is_keep_alive), [peer(2)]);
    assert_eq!((ttl(1), ttl(2)), (None, Some(Ttl::Permanent)));
    node.lose(&peer(1));
    sleep(HOUR).await;
    assert!(!node.is_connected(&peer(1)));
}

#[tokio::test(start_paused = true)]
async fn a_successor_goes_on_with_the_waits() {
    let node = keeping([1], Reach::REFUSES);
    let before = service("jitter = 0.0");
    let task = start(&before, &node);
    sleep(seconds(140)).await;
    task.abort();
    let dials = node.dials().len();
    let cx = build_cx().replacing(Some(before as _));
    start(&Arc::new(Reconnector::new(&Config::default(), &cx).unwrap()), &node);
    sleep(seconds(60)).await;
    assert_eq!(node.dials().len(), dials);
    sleep(seconds(60)).await;
    assert_eq!(node.dials().len(), dials + 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_lost_goes_before_many_that_are_dead() {
    let node = keeping(1..200, Reach::Never);
    node.set_reach(&peer(7), Reach::UP);
    start(&service("max_delay = \"1s\""), &node);
    node.connect(&peer(7), Role::Listener, addr("/memory/7"));
    sleep(HOUR).await;
    node.lose(&peer(7));
    sleep(seconds(61)).await;
    assert!(node.is_connected(&peer(7)));
}

#[tokio::test(start_paused = true)]
async fn the_report_shows_each_peer() {
    let node = keeping([1, 2], Reach::UP);
    node.set_reach(&peer(2), Reach::REFUSES);
    let service = service("jitter = 0.0");
    assert!(service.report().is_null());
    start(&service, &node);
    sleep(seconds(8)).await;
    let report = service.report();
    let shown = |n: u64| {
        let peers = report["peers"].as_array().unwrap();
        peers.iter().find(|shown| shown["peer_id"] == peer(n).to_string()).unwrap().clone()
    };
    let (up, down) = (shown(1), shown(2));
    assert_eq!(
        (&up["connected"], &up["failures"], &up["seconds_left"]),
        (&true.into(), &0.into(), &().into())
    );
    assert_eq!(
        (&down["connected"], &down["failures"], &down["last"]),
        (&false.into(), &4.into(), &"refused".into())
    );
    assert!((0.0..8.0).contains(&down["seconds_left"].as_f64().unwrap()), "{report}");
    assert_eq!((&report["dialling"], &report["more_peers"]), (&0.into(), &0.into()));
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_node() {
    let node = keeping([1], Reach::Never);
    let task = start(&service(""), &node);
    sleep(seconds(1)).await;
    node.end();
    task.await.unwrap();
    assert_eq!((node.dialling(), node.subscribers()), (0, 0));
}
