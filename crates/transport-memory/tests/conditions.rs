//! What is between nodes, set for each pair and changed while links are in use. All on paused time.
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod pairs;

use pairs::{Net, Party, delays, receive, send};
use skep_transport_memory::{Config, LinkConditions, MemoryNode};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep},
};

fn rate(bandwidth: u64) -> LinkConditions {
    LinkConditions { bandwidth: Some(bandwidth), ..LinkConditions::default() }
}

fn latency(ms: u64) -> LinkConditions {
    LinkConditions { latency: Duration::from_millis(ms), ..LinkConditions::default() }
}

fn lossy(percent: f64) -> LinkConditions {
    LinkConditions { loss_percent: percent, ..latency(10) }
}

#[tokio::test(start_paused = true)]
async fn the_bandwidth_is_the_throughput() {
    for (bandwidth, bytes, ms) in
        [(1_000_000, 3_000_000, 3_000), (1_000, 5_000, 5_000), (4_000_000, 10_000_000, 2_500)]
    {
        let net = Net::new();
        let (mut listener, dialer) = (net.node("b", 2).await, net.node("a", 1).await);
        net.hub.set_conditions_one_way(
            "a",
            2,
            LinkConditions { latency: Duration::from_millis(50), ..rate(bandwidth) },
        );
        let (ours, theirs) = listener.link_from(&dialer).await;
        let start = Instant::now();
        let (_, heard) = tokio::join!(send(ours, bytes), receive(theirs, bytes));
        assert!(heard.iter().zip((0..=250_u8).cycle()).all(|(a, b)| *a == b), "changed on the way");
        assert_eq!(start.elapsed().as_millis(), ms + 50, "{bandwidth} bytes per second");
    }
}

#[tokio::test(start_paused = true)]
async fn the_bandwidth_of_a_configuration_is_that_of_what_the_node_sends() {
    let net = Net::new();
    let mut listener = net.node("b", 2).await;
    let dialer = net.configured(Config { bandwidth: 10_000, ..Config::default() }, 0).await;
    let (ours, theirs) = listener.link_from(&dialer).await;
    let (ours_reads, ours_writes) = tokio::io::split(ours);
    let (theirs_reads, theirs_writes) = tokio::io::split(theirs);
    let start = Instant::now();
    let there = async {
        tokio::join!(send(ours_writes, 20_000), receive(theirs_reads, 20_000));
        start.elapsed().as_millis()
    };
    let back = async {
        tokio::join!(send(theirs_writes, 20_000), receive(ours_reads, 20_000));
        start.elapsed().as_millis()
    };
    assert_eq!(tokio::join!(there, back), (2_000, 0));
}

#[tokio::test(start_paused = true)]
async fn small_writes_have_the_same_rate_as_large_ones() {
    let net = Net::new();
    let (mut listener, dialer) = (net.node("b", 2).await, net.node("a", 1).await);
    net.hub.set_conditions("a", "b", rate(1_000));
    let (mut ours, theirs) = listener.link_from(&dialer).await;
    let start = Instant::now();
    let writes = async {
        for _ in 0..3_000 {
            ours.write_all(b"x").await.expect("write");
        }
    };
    tokio::join!(writes, receive(theirs, 3_000));
    assert_eq!(start.elapsed().as_millis(), 3_000);
}

#[tokio::test(start_paused = true)]
async fn a_change_has_effect_on_links_in_use() {
    let net = Net::new();
    let (mut listener, dialer) = (net.node("b", 2).await, net.node("a", 1).await);
    net.hub.set_conditions("a", "b", rate(1_000));
    let (ours, theirs) = listener.link_from(&dialer).await;
    let start = Instant::now();
    let changes = async {
        sleep(Duration::from_secs(5)).await;
        net.hub.set_conditions("a", "b", rate(5_000));
        sleep(Duration::from_secs(1)).await;
        net.hub.set_conditions("a", "b", rate(500));
    };
    // 5000 bytes in five seconds, 5000 in one, and 1000 in two.
    tokio::join!(changes, send(ours, 11_000), receive(theirs, 11_000));
    assert_eq!(start.elapsed().as_millis(), 8_000);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_taken_away_lets_all_go_and_one_that_comes_holds_what_follows() {
    let net = Net::new();
    let (mut listener, dialer) = (net.node("b", 2).await, net.node("a", 1).await);
    net.hub.set_conditions("a", "b", rate(100));
    let (mut ours, mut theirs) = listener.link_from(&dialer).await;
    let start = Instant::now();
    ours.write_all(&[7; 10_000]).await.unwrap();
    let frees = async {
        sleep(Duration::from_secs(10)).await;
        net.hub.clear_conditions("a", "b");
    };
    let mut heard = vec![0; 10_000];
    let (_, read) = tokio::join!(frees, theirs.read_exact(&mut heard));
    read.unwrap();
    assert_eq!(start.elapsed().as_millis(), 10_000);
    net.hub.set_conditions("a", "b", latency(30));
    assert_eq!(delays(&mut ours, &mut theirs, 3).await, [30; 3]);
    assert_eq!(delays(&mut theirs, &mut ours, 1).await, [30]);
    net.hub.clear_conditions("b", "a");
    assert_eq!(delays(&mut ours, &mut theirs, 3).await, [0; 3]);
}

#[tokio::test(start_paused = true)]
async fn what_has_left_arrives_as_it_would_have_and_in_order() {
    let net = Net::new();
    let (mut listener, dialer) = (net.node("b", 2).await, net.node("a", 1).await);
    net.hub.set_conditions("a", "b", latency(100));
    let (mut ours, mut theirs) = listener.link_from(&dialer).await;
    let start = Instant::now();
    ours.write_all(b"first").await.unwrap();
    net.hub.set_conditions("a", "b", latency(0));
    ours.write_all(b"second").await.unwrap();
    ours.shutdown().await.unwrap();
    let mut heard = String::new();
    theirs.read_to_string(&mut heard).await.unwrap();
    assert_eq!((heard.as_str(), start.elapsed().as_millis()), ("firstsecond", 100));
}

#[tokio::test(start_paused = true)]
async fn an_end_does_not_wait_for_a_rate_that_was() {
    let net = Net::new();
    let (mut listener, dialer) = (net.node("b", 2).await, net.node("a", 1).await);
    net.hub.set_conditions("a", "b", rate(1));
    let (mut ours, mut theirs) = listener.link_from(&dialer).await;
    let start = Instant::now();
    ours.write_all(&[7; 1_000]).await.unwrap();
    ours.shutdown().await.unwrap();
    net.hub.set_conditions("a", "b", rate(1_000));
    let mut heard = Vec::new();
    theirs.read_to_end(&mut heard).await.unwrap();
    assert_eq!((heard.len(), start.elapsed().as_millis()), (1_000, 1_000));
}

#[tokio::test(start_paused = true)]
async fn dials_take_the_latency_between_the_two() {
    let net = Net::new();
    let (mut listener, dialer) = (net.node("b", 2).await, net.node("a", 1).await);
    net.hub.set_conditions_one_way("a", "b", latency(30));
    net.hub.set_conditions_one_way("b", "a", latency(70));
    let start = Instant::now();
    let (mut ours, mut theirs) = listener.link_from(&dialer).await;
    assert_eq!(start.elapsed().as_millis(), 100);
    assert_eq!(delays(&mut ours, &mut theirs, 1).await, [30]);
    assert_eq!(delays(&mut theirs, &mut ours, 1).await, [70]);
}

#[tokio::test(start_paused = true)]
async fn loss_and_jitter_depend_on_the_seed_alone() {
    async fn run(seed: u64, conditions: LinkConditions) -> Vec<u128> {
        let net = Net::new();
        let mut listener = net.node("b", 2).await;
        let dialer = net.configured(Config { seed, name: "a".into(), ..Config::default() }, 1).await;
        net.hub.set_conditions("a", "b", conditions);
        let (mut ours, mut theirs) = listener.link_from(&dialer).await;
        delays(&mut ours, &mut theirs, 64).await
    }
    let lost = run(1, lossy(50.0)).await;
    assert_eq!(run(1, lossy(50.0)).await, lost);
    assert_ne!(run(2, lossy(50.0)).await, lost);
    assert!(lost.iter().all(|delay| [10, 210].contains(delay)) && lost.contains(&10) && lost.contains(&210));

    let unsteady = LinkConditions { jitter: Duration::from_millis(20), ..latency(10) };
    let late = run(1, unsteady).await;
    assert_eq!(run(1, unsteady).await, late);
    assert_ne!(run(2, unsteady).await, late);
    assert!(late.iter().all(|delay| (10..=30).contains(delay)), "{late:?}");
    assert!(late.iter().any(|delay| *delay < 16) && late.iter().any(|delay| *delay > 24), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn two_pairs_are_independent() {
    /// The delays between a and b, with or without another pair that has its own conditions and traffic.
    async fn run(others: bool) -> Vec<u128> {
        let net = Net::new();
        let (mut b, a) = (net.node("b", 2).await, net.node("a", 1).await);
        let (mut d, c) = (net.node("d", 4).await, net.node("c", 3).await);
        net.hub.set_conditions("a", "b", lossy(50.0));
        let (mut ours, mut theirs) = b.link_from(&a).await;
        let (mut left, mut right) = d.link_from(&c).await;
        let disturbs = async {
            if others {
                net.hub.set_conditions("c", "d", LinkConditions { bandwidth: Some(100), ..lossy(90.0) });
                net.hub.partition("a", "d");
                net.hub.partition("c", "b");
                assert_eq!(delays(&mut left, &mut right, 1).await, [220]);
                net.hub.partition("c", "d");
                left.write_all(&[1; 100]).await.expect("write");
            }
        };
        tokio::join!(delays(&mut ours, &mut theirs, 64), disturbs).0
    }
    assert_eq!(run(true).await, run(false).await);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_all_that_have_it_and_those_without_one_are_left_alone() {
    let net = Net::new();
    let mut server = net.node("", 1).await;
    net.hub.set_conditions(1, "clients", latency(40));
    for (name, takes) in [("clients", 80), ("clients", 80), ("", 0), ("others", 0)] {
        let client = net.node(name, 0).await;
        let start = Instant::now();
        server.link_from(&client).await;
        assert_eq!(start.elapsed().as_millis(), takes, "{name:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_is_its_node_for_links_that_it_dialled_too() {
    let net = Net::new();
    let (mut one, dialer) = (net.node("", 0).await, net.node("", 0).await);
    let at = |party: &Party| MemoryNode::at(&party.addr).expect("an address");
    net.hub.set_conditions(at(&one), at(&dialer), latency(25));
    let (mut ours, mut theirs) = one.link_from(&dialer).await;
    assert_eq!(delays(&mut ours, &mut theirs, 2).await, [25, 25]);
    // It listens at a further number, and is meant by that, too.
    net.hub.set_conditions(77, at(&dialer), latency(35));
    assert_eq!(delays(&mut ours, &mut theirs, 1).await, [25]);
    let _further = one.listen(77).await;
    assert_eq!(delays(&mut ours, &mut theirs, 1).await, [35]);
}

#[test]
fn values_out_of_range_are_the_nearest_allowed() {
    let mut config = Config { bandwidth: u64::MAX, loss_percent: f64::NAN, ..Config::default() };
    config.latency.0 = Duration::MAX;
    let conditions = LinkConditions::of(&config);
    assert_eq!(conditions.bandwidth, Some(1 << 40));
    assert_eq!((conditions.loss_percent, conditions.latency), (0.0, Duration::from_secs(3_600)));
    assert_eq!(LinkConditions::of(&Config::default()), LinkConditions::default());
}
