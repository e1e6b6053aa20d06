//! What a connection says of bytes that wait.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod raw;

use raw::{DATA, nodes, pair};
use skep_api::{Code, security::Role};
use skep_testkit::DuplexConfig;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn bytes_are_unsent_until_the_link_has_taken_them() {
    // The link takes less than a frame while nobody reads.
    let (node, mut peer) = pair(Role::Dialer, "", DuplexConfig::default().with_capacity(1_000));
    assert_eq!(node.conn.unsent(), 0);
    let mut stream = node.open().await;
    stream.write_all(&[7; 10_000]).await.unwrap();
    sleep(SECOND).await;
    let waiting = node.conn.unsent();
    assert!((9_000..10_000).contains(&waiting), "{waiting} of 10000");
    let mut arrived = 0;
    while arrived < 10_000 {
        arrived += peer.next(DATA).await.body.len();
    }
    assert_eq!((arrived, node.conn.unsent()), (10_000, 0));
}

#[tokio::test(start_paused = true)]
async fn what_many_streams_have_sent_is_not_unsent() {
    let (ours, theirs) = nodes(DuplexConfig::default());
    for n in 1..=20_usize {
        let mut stream = ours.open().await;
        stream.write_all(&vec![1; n * 1_000]).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut inbound = theirs.accept().await;
        assert_eq!(inbound.read_to_end(&mut Vec::new()).await.unwrap(), n * 1_000);
    }
    // One that is reset has its frames sent, too, or none.
    let mut stream = ours.open().await;
    stream.write_all(&[1; 5_000]).await.unwrap();
    stream.reset(Code(7));
    sleep(SECOND).await;
    assert_eq!((ours.conn.unsent(), theirs.conn.unsent()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_on_a_connection_that_has_ended() {
    let (node, peer) = pair(Role::Dialer, "", DuplexConfig::default().with_capacity(1_000));
    let mut stream = node.open().await;
    stream.write_all(&[7; 10_000]).await.unwrap();
    sleep(SECOND).await;
    assert!(node.conn.unsent() > 0);
    drop(peer);
    timeout(60 * SECOND, node.driver).await.unwrap().unwrap();
    assert_eq!(node.conn.unsent(), 0);
}
