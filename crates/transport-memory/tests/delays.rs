//! Latency and loss, measured on paused time, which is exact.
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod nodes;

use nodes::Nodes;
use skep_api::{BoxIo, config::DurationText, transport::Transport};
use skep_transport_memory::Config;
use std::io::ErrorKind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

fn latency(millis: u64) -> Config {
    Config { latency: DurationText::millis(millis), ..Config::default() }
}

/// When each single byte of `count` arrives after it was written, in milliseconds.
async fn delays(from: &mut BoxIo, to: &mut BoxIo, count: usize) -> Vec<u128> {
    let mut delays = Vec::new();
    for _ in 0..count {
        let sent = Instant::now();
        from.write_u8(1).await.expect("write");
        to.read_u8().await.expect("read");
        delays.push(sent.elapsed().as_millis());
    }
    delays
}

#[tokio::test(start_paused = true)]
async fn each_node_delays_what_it_sends() {
    let mut nodes = Nodes::new(latency(30), latency(70)).await;
    let start = Instant::now();
    let (mut ours, mut theirs) = nodes.link().await;
    assert_eq!(start.elapsed().as_millis(), 100, "a dial is one round trip");
    assert_eq!(delays(&mut ours, &mut theirs, 2).await, [30, 30]);
    assert_eq!(delays(&mut theirs, &mut ours, 2).await, [70, 70]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_takes_the_way_to_the_listener() {
    let nodes = Nodes::new(latency(30), latency(70)).await;
    let start = Instant::now();
    nodes.dialer.dial(&"/memory/1".parse().unwrap()).await.unwrap_err();
    assert_eq!(start.elapsed().as_millis(), 30);
}

#[tokio::test(start_paused = true)]
async fn bytes_on_their_way_do_not_wait_for_each_other() {
    let (mut ours, mut theirs) = Nodes::new(latency(50), latency(0)).await.link().await;
    let start = Instant::now();
    for byte in 0..100 {
        ours.write_u8(byte).await.unwrap();
    }
    assert_eq!(start.elapsed().as_millis(), 0, "writing does not wait for the arrival");
    let mut heard = [0; 100];
    theirs.read_exact(&mut heard).await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 50);
    assert!(heard.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn the_capacity_is_a_window() {
    let narrow = Config { capacity: 1000, ..latency(50) };
    let (mut ours, mut theirs) = Nodes::new(narrow, latency(0)).await.link().await;
    let start = Instant::now();
    let mut heard = vec![0; 4000];
    let (sent, read) = tokio::join!(ours.write_all(&[7; 4000]), theirs.read_exact(&mut heard));
    sent.unwrap();
    read.unwrap();
    assert_eq!(start.elapsed().as_millis(), 4 * 50);
}

#[tokio::test(start_paused = true)]
async fn ends_take_their_time_too() {
    let mut nodes = Nodes::new(latency(50), latency(20)).await;
    let (mut ours, mut theirs) = nodes.link().await;
    let start = Instant::now();
    ours.shutdown().await.unwrap();
    assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(start.elapsed().as_millis(), 50);

    let (mut ours, theirs) = nodes.link().await;
    let start = Instant::now();
    drop(theirs);
    ours.write_all(b"the news is not here yet").await.unwrap();
    assert_eq!(ours.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(start.elapsed().as_millis(), 20);
    assert_eq!(ours.write_u8(1).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn while_the_news_of_an_end_travels_no_more_than_the_capacity_is_taken() {
    let (narrow, distant) = (Config { capacity: 1000, ..latency(50) }, latency(20));
    let (mut ours, theirs) = Nodes::new(narrow, distant).await.link().await;
    let start = Instant::now();
    drop(theirs);
    let mut taken = 0;
    let error = loop {
        match ours.write(&[1; 300]).await {
            Ok(n) => taken += n,
            Err(error) => break error,
        }
        assert!(taken <= 1000, "a writer that nothing holds up never lets the time pass");
    };
    assert_eq!((error.kind(), taken), (ErrorKind::BrokenPipe, 1000));
    assert_eq!(start.elapsed().as_millis(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_lost_segment_comes_later_and_holds_up_what_follows() {
    let lossy = Config { loss_percent: 100.0, retransmit: DurationText::millis(200), ..latency(10) };
    let (mut ours, mut theirs) = Nodes::new(lossy, latency(0)).await.link().await;
    assert_eq!(delays(&mut ours, &mut theirs, 3).await, [210; 3]);

    let some = Config { loss_percent: 50.0, retransmit: DurationText::millis(200), ..latency(10) };
    let (mut ours, mut theirs) = Nodes::new(some, latency(0)).await.link().await;
    let start = Instant::now();
    for byte in 0..50 {
        ours.write_u8(byte).await.unwrap();
    }
    let mut heard = [0; 50];
    theirs.read_exact(&mut heard).await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 210, "retransmissions overlap");
    assert!(heard.is_sorted(), "order is kept");
}

#[tokio::test(start_paused = true)]
async fn the_seed_decides_what_is_lost() {
    async fn run(seed: u64, link: usize) -> Vec<u128> {
        let lossy = Config { loss_percent: 50.0, seed, ..latency(10) };
        let mut nodes = Nodes::new(lossy, latency(0)).await;
        for _ in 0..link {
            nodes.link().await;
        }
        let (mut ours, mut theirs) = nodes.link().await;
        delays(&mut ours, &mut theirs, 64).await
    }
    let first = run(1, 0).await;
    assert_eq!(run(1, 0).await, first);
    assert_ne!(run(2, 0).await, first);
    assert_ne!(run(1, 1).await, first, "links of one node differ");
    assert_eq!(run(1, 1).await, run(1, 1).await);
    assert!(first.iter().all(|delay| [10, 210].contains(delay)));
    assert!(first.contains(&10) && first.contains(&210));
}

#[tokio::test(start_paused = true)]
async fn both_directions_lose_by_their_own_dice() {
    let lossy = Config { loss_percent: 50.0, ..latency(10) };
    let (mut ours, mut theirs) = Nodes::new(lossy.clone(), lossy).await.link().await;
    let there = delays(&mut ours, &mut theirs, 64).await;
    let back = delays(&mut theirs, &mut ours, 64).await;
    assert_ne!(there, back);
}
