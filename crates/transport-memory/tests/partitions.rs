//! Partitions: nothing passes, and what was lost comes after they have ended. All on paused time.
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod pairs;

use pairs::{Net, Party, delays, send};
use skep_api::{BoxIo, transport::Transport};
use skep_transport_memory::{Config, LinkConditions};
use std::{io::ErrorKind, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep, timeout},
};

const HOUR: Duration = Duration::from_secs(3_600);

/// Two nodes with 10 ms in between, which send again after 200 ms.
async fn linked() -> (Net, Party, Party, BoxIo, BoxIo) {
    let net = Net::new();
    let (mut listener, dialer) = (net.node("b", 2).await, net.node("a", 1).await);
    let conditions = LinkConditions { latency: Duration::from_millis(10), ..LinkConditions::default() };
    net.hub.set_conditions("a", "b", conditions);
    let (ours, theirs) = listener.link_from(&dialer).await;
    (net, dialer, listener, ours, theirs)
}

#[tokio::test(start_paused = true)]
async fn nothing_arrives_until_it_is_healed_and_then_all_does_in_order() {
    let (net, _a, _b, mut ours, mut theirs) = linked().await;
    ours.write_all(b"has arrived, ").await.unwrap();
    sleep(Duration::from_millis(10)).await;
    ours.write_all(b"is on its way, ").await.unwrap();
    net.hub.partition("a", "b");
    ours.write_all(b"is sent into it, ").await.unwrap();
    theirs.write_all(b"both ways").await.unwrap();
    let mut heard = [0; 13];
    theirs.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"has arrived, ");
    assert!(timeout(HOUR, theirs.read_u8()).await.is_err());
    assert!(timeout(HOUR, ours.read_u8()).await.is_err());

    net.hub.heal("b", "a");
    let start = Instant::now();
    ours.write_all(b"and is sent after it").await.unwrap();
    let mut heard = [0; 52];
    theirs.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"is on its way, is sent into it, and is sent after it");
    assert_eq!(start.elapsed().as_millis(), 210);
    ours.read_exact(&mut [0; 9]).await.unwrap();
    assert_eq!(delays(&mut ours, &mut theirs, 2).await, [10, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_and_a_writer_that_wait_are_woken() {
    let (net, _a, _b, ours, mut theirs) = linked().await;
    net.hub.partition("a", "b");
    let start = Instant::now();
    let heals = async {
        sleep(Duration::from_secs(7)).await;
        net.hub.heal_all();
    };
    let mut heard = vec![0; 600_000];
    let (_, _, read) = tokio::join!(heals, send(ours, 600_000), theirs.read_exact(&mut heard));
    read.unwrap();
    // The capacity is 256 KiB: one window after the retransmission, and two more.
    assert_eq!(start.elapsed().as_millis(), 7_000 + 210 + 20);
}

#[tokio::test(start_paused = true)]
async fn a_writer_can_write_no_more_than_the_capacity() {
    let (net, _a, _b, mut ours, _theirs) = linked().await;
    net.hub.partition("a", "b");
    ours.write_all(&vec![1; 256 * 1024]).await.unwrap();
    assert!(timeout(HOUR, ours.write(b"x")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn dials_hang_and_go_through_after_it_is_healed() {
    let (net, a, mut b, _ours, _theirs) = linked().await;
    net.hub.partition("a", "b");
    assert!(timeout(HOUR, a.transport.dial(&b.addr)).await.is_err());
    let start = Instant::now();
    let heals = async {
        sleep(Duration::from_secs(3)).await;
        net.hub.heal("a", "b");
    };
    let (_, (mut ours, mut theirs)) = tokio::join!(heals, b.link_from(&a));
    assert_eq!(start.elapsed().as_millis(), 3_000 + 200 + 20);
    assert_eq!(delays(&mut ours, &mut theirs, 1).await, [10]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_dial_is_lost_as_well() {
    let (net, a, mut b, _ours, _theirs) = linked().await;
    let start = Instant::now();
    let parts = async {
        sleep(Duration::from_millis(15)).await;
        net.hub.partition("a", "b");
        sleep(Duration::from_secs(1)).await;
        net.hub.heal("a", "b");
    };
    tokio::join!(parts, b.link_from(&a));
    assert_eq!(start.elapsed().as_millis(), 15 + 1_000 + 200 + 10);
}

#[tokio::test(start_paused = true)]
async fn ends_of_links_are_not_heard_of_before_it_is_healed() {
    let (net, a, mut b, mut ours, mut theirs) = linked().await;
    let (gone, mut left) = b.link_from(&a).await;
    net.hub.partition("a", "b");
    ours.shutdown().await.unwrap();
    drop(gone);
    assert!(timeout(HOUR, theirs.read_u8()).await.is_err());
    assert!(timeout(HOUR, left.read_u8()).await.is_err());
    left.write_all(b"nobody reads this").await.unwrap();

    net.hub.heal("a", "b");
    let start = Instant::now();
    assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(left.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(start.elapsed().as_millis(), 210);
    assert_eq!(left.write_u8(1).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_waits_learns_after_it_that_the_reader_is_gone() {
    let (net, _a, _b, mut ours, theirs) = linked().await;
    net.hub.partition("a", "b");
    ours.write_all(&vec![1; 256 * 1024]).await.unwrap();
    drop(theirs);
    let start = Instant::now();
    let heals = async {
        sleep(Duration::from_secs(5)).await;
        net.hub.heal("a", "b");
        sleep(Duration::from_millis(210)).await;
    };
    let (_, sent) = tokio::join!(heals, ours.write_all(b"more"));
    sent.unwrap();
    assert_eq!(start.elapsed().as_millis(), 5_210);
    assert_eq!(ours.write_u8(1).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn news_on_its_way_is_lost_like_bytes() {
    let (net, _a, _b, mut ours, theirs) = linked().await;
    drop(theirs);
    sleep(Duration::from_millis(5)).await;
    net.hub.partition("a", "b");
    assert!(timeout(HOUR, ours.read_u8()).await.is_err());
    ours.write_all(b"it does not know").await.unwrap();
    net.hub.heal("a", "b");
    assert_eq!(ours.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_waits_for_news_waits_on_when_it_is_lost() {
    let (net, _a, _b, mut ours, theirs) = linked().await;
    net.hub.set_conditions(
        "b",
        "a",
        LinkConditions { latency: Duration::from_millis(10), ..Default::default() },
    );
    drop(theirs);
    let start = Instant::now();
    let parts = async {
        sleep(Duration::from_millis(5)).await;
        net.hub.partition("a", "b");
        sleep(Duration::from_secs(5)).await;
        net.hub.heal("a", "b");
    };
    let writes = async {
        loop {
            if let Err(error) = ours.write_all(&[1; 64 * 1024]).await {
                break error;
            }
            assert!(start.elapsed() < HOUR);
        }
    };
    let (_, error) = tokio::join!(parts, timeout(HOUR, writes));
    assert_eq!(error.unwrap().kind(), ErrorKind::BrokenPipe);
    assert_eq!(start.elapsed().as_millis(), 5_005 + 210);
}

#[tokio::test(start_paused = true)]
async fn others_go_on() {
    let (net, a, mut b, _ours, _theirs) = linked().await;
    let mut c = net.node("c", 3).await;
    let (mut to_c, mut at_c) = c.link_from(&a).await;
    net.hub.partition("a", "b");
    assert_eq!(delays(&mut to_c, &mut at_c, 2).await, [0, 0]);
    let (mut from_c, mut at_b) = b.link_from(&c).await;
    assert_eq!(delays(&mut from_c, &mut at_b, 2).await, [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_partition_holds_at_the_bandwidth_too() {
    let (net, _a, _b, ours, mut theirs) = linked().await;
    let conditions = LinkConditions { bandwidth: Some(1_000), ..LinkConditions::default() };
    net.hub.set_conditions("a", "b", conditions);
    let start = Instant::now();
    let parts = async {
        sleep(Duration::from_secs(2)).await;
        net.hub.partition("a", "b");
        sleep(Duration::from_secs(100)).await;
        net.hub.set_conditions("a", "b", LinkConditions { bandwidth: Some(2_000), ..conditions });
        net.hub.heal("a", "b");
    };
    let mut heard = vec![0; 10_000];
    let (_, _, read) = tokio::join!(parts, send(ours, 10_000), theirs.read_exact(&mut heard));
    read.unwrap();
    // One segment of 1460 bytes had arrived, and the one on the wire is sent again from its start.
    assert_eq!(start.elapsed().as_millis(), 102_000 + 200 + (10_000 - 1_460) / 2);
}

#[tokio::test(start_paused = true)]
async fn the_same_run_is_the_same_again() {
    async fn run() -> Vec<u128> {
        let net = Net::new();
        let mut listener = net.node("b", 2).await;
        let dialer = net.configured(Config { seed: 9, name: "a".into(), ..Config::default() }, 1).await;
        let conditions = LinkConditions {
            latency: Duration::from_millis(10),
            jitter: Duration::from_millis(30),
            bandwidth: Some(5_000),
            loss_percent: 30.0,
            ..LinkConditions::default()
        };
        net.hub.set_conditions("a", "b", conditions);
        let (ours, mut theirs) = listener.link_from(&dialer).await;
        let start = Instant::now();
        let parts = async {
            for _ in 0..5 {
                sleep(Duration::from_millis(777)).await;
                net.hub.partition("a", "b");
                sleep(Duration::from_millis(333)).await;
                net.hub.heal("a", "b");
            }
        };
        let reads = async {
            let mut times = Vec::new();
            for _ in 0..40 {
                theirs.read_exact(&mut [0; 1_000]).await.expect("read");
                times.push(start.elapsed().as_millis());
            }
            times
        };
        tokio::join!(parts, send(ours, 40_000), reads).2
    }
    assert_eq!(run().await, run().await);
}
