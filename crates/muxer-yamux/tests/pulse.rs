//! Signs of life, between two nodes and with a peer that answers by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod raw;

use raw::{ACK, PING, SYN, dialer};
use skep_api::muxer::Pulse;
use skep_testkit::DuplexConfig;
use std::time::Duration;
use tokio::{io::AsyncWriteExt, time::sleep};

const ONE_WAY: Duration = Duration::from_millis(40);
const SECOND: Duration = Duration::from_secs(1);

fn pulse(conn: &dyn skep_api::muxer::MuxedConn) -> Pulse {
    conn.pulse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_latency_is_the_round_trip_of_the_link() {
    let (ours, theirs) = raw::nodes(DuplexConfig::default().with_latency(ONE_WAY));
    sleep(SECOND).await;
    assert_eq!(pulse(&*ours.conn).latency, Some(2 * ONE_WAY), "by the ping that begins the connection");
    for _ in 0..3 {
        sleep(60 * SECOND).await;
        assert!(pulse(&*ours.conn).silent > 59 * SECOND);
        ours.conn.probe();
        sleep(2 * ONE_WAY).await;
        // The driver may not have run yet at the very moment of the answer.
        sleep(Duration::from_millis(1)).await;
        assert_eq!(pulse(&*ours.conn).latency, Some(2 * ONE_WAY));
        assert!(pulse(&*ours.conn).silent <= Duration::from_millis(1));
    }
    assert!(!ours.driver.is_finished() && !theirs.driver.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_frozen_peer_is_silent_until_it_answers() {
    let (node, mut peer) = dialer();
    let greeting = peer.any_frame().await.unwrap();
    assert_eq!((greeting.kind, greeting.flags), (PING, SYN));
    sleep(30 * SECOND).await;
    assert_eq!(pulse(&*node.conn), Pulse::new(30 * SECOND, None));
    for _ in 0..5 {
        node.conn.probe();
        sleep(SECOND).await;
    }
    assert_eq!(pulse(&*node.conn), Pulse::new(35 * SECOND, None));
    let probe = peer.any_frame().await.unwrap();
    assert_eq!((probe.kind, probe.flags), (PING, SYN));
    peer.send(PING, ACK, 0, probe.len).await;
    sleep(SECOND).await;
    assert_eq!(pulse(&*node.conn), Pulse::new(SECOND, Some(5 * SECOND)));
    // The next one has another number: an answer that is late is none.
    node.conn.probe();
    assert_ne!(peer.any_frame().await.unwrap().len, probe.len);
    peer.send(PING, ACK, 0, probe.len).await;
    assert!(node.reason().await.to_string().contains("a ping that was not sent"));
}

#[tokio::test(start_paused = true)]
async fn any_byte_is_a_sign_of_life() {
    let (node, mut peer) = dialer();
    sleep(9 * SECOND).await;
    peer.write.write_all(&[0]).await.unwrap();
    sleep(SECOND).await;
    assert_eq!(pulse(&*node.conn).silent, SECOND, "one byte of a header");
}
