use super::*;
use skep_api::{
    Code,
    error::Kind,
    service::{Changes, DialManner, DialPriority},
    stream::StreamError,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MANNER: DialPriority = DialPriority::AutoConnect;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

async fn told(changes: &mut dyn Changes) -> Vec<String> {
    let mut told = Vec::new();
    while let Ok(Some(change)) = tokio::time::timeout(Duration::from_millis(1), changes.next()).await {
        told.push(format!("{change:?}").split([' ', '{']).next().unwrap().to_string());
    }
    told
}

#[tokio::test(start_paused = true)]
async fn dials_end_as_scripted_and_are_logged() {
    let node = FakeNode::new();
    node.set_reach(&peer(1), Reach::After(seconds(2)));
    node.set_reach(&peer(2), Reach::Fails("refused", seconds(3)));
    node.set_reach(&peer(3), Reach::Never);
    let manner = DialManner::of(MANNER).within(seconds(5));
    let peers = [1, 2, 3, 4].map(peer);
    let dial = |n: usize| node.dial(&peers[n], manner);
    let (one, two, three, four) = tokio::join!(dial(0), dial(1), dial(2), dial(3));
    assert_eq!(one.unwrap(), 1);
    let failed = [two, three, four].map(|result| result.unwrap_err());
    let codes = failed.map(|e| (e.code, e.tried));
    assert_eq!(codes, [("refused", true), ("timed_out", true), ("no_addresses", false)]);
    let ended: Vec<_> = node.dials().iter().map(|dial| dial.ended.unwrap().as_secs()).collect();
    assert_eq!((ended, node.most_dialling(), node.dialling()), (vec![2, 3, 5, 0], 4, 0));
    assert_eq!(node.dial(&peer(1), manner).await.unwrap(), 1);
    assert_eq!(node.dial(&peer(1), manner.another()).await.unwrap(), 2);
    assert_eq!((node.connected_peers(), node.connections().len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_dial_is_logged_and_makes_no_connection() {
    let node = FakeNode::new();
    node.set_reach(&peer(1), Reach::After(seconds(2)));
    let one = peer(1);
    let dial = node.dial(&one, DialManner::of(MANNER));
    assert!(tokio::time::timeout(seconds(1), dial).await.is_err());
    tokio::time::sleep(seconds(5)).await;
    assert_eq!(node.dials()[0].outcome, Outcome::Dropped);
    assert!(!node.is_connected(&peer(1)));
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_in_order_and_some_are_missed() {
    let node = FakeNode::new();
    node.set_queue(2);
    let mut changes = node.changes();
    let id = node.connect(&peer(1), Role::Dialer, addr("/memory/1"));
    node.disconnect(id, CloseReason::local(Code::NONE));
    assert_eq!(told(&mut *changes).await, ["Connected", "Disconnected", "Discovered"]);
    for _ in 0..5 {
        node.discover(&peer(2));
    }
    assert_eq!(told(&mut *changes).await, ["Discovered", "Discovered", "Missed"]);
    node.connect(&peer(1), Role::Dialer, addr("/memory/1"));
    node.miss();
    assert_eq!(told(&mut *changes).await, ["Missed"]);
    assert_eq!(node.subscribers(), 1);
    node.end();
    assert!(changes.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn streams_do_as_scripted_and_end_with_their_connection() {
    let node = FakeNode::new();
    let id = node.connect(&peer(1), Role::Dialer, addr("/memory/1"));
    let proposed = ["/a/1".to_string()];
    let open = || node.open(id, &proposed);
    node.set_streams(&peer(1), Streams::Echo(seconds(3)));
    let mut stream = open().await.unwrap();
    stream.write_all(b"ping").await.unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!((&back, node.now().as_secs(), node.open_streams()), (b"ping", 3, 1));

    node.set_streams_on(id, Streams::Silent);
    stream.write_all(b"ping").await.unwrap();
    let read = tokio::time::timeout(seconds(100), stream.read(&mut back)).await;
    assert!(read.is_err());
    let lost = tokio::join!(stream.read(&mut back), async { node.lose(&peer(1)) }).0.unwrap_err();
    assert!(matches!(StreamError::of(&lost), Some(StreamError::ConnectionLost(_))), "{lost}");
    assert!(open().await.is_err());

    let id = node.connect(&peer(1), Role::Dialer, addr("/memory/1"));
    let mut codes = Vec::new();
    for script in [Streams::Refused, Streams::Breaks, Streams::Never] {
        node.set_streams(&peer(1), script);
        codes.push(node.open(id, &[]).await.unwrap_err().kind().code());
    }
    assert_eq!(codes, ["protocol_not_supported", "stream_io", "stream_timed_out"]);
    assert_eq!(node.opens().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_peer_store_hears_of_connections() {
    let node = FakeNode::new();
    node.know(&peer(1), &[addr("/memory/7")], Ttl::Temporary);
    node.set_reach(&peer(1), Reach::UP);
    node.dial(&peer(1), DialManner::of(MANNER)).await.unwrap();
    let ttl = || node.peerstore().unwrap().addrs(&peer(1)).first().map(|known| known.ttl);
    assert_eq!(ttl(), Some(Ttl::Connected));
    node.close(1, Code::NONE, "over").await;
    assert_eq!(ttl(), Some(Ttl::RecentlyConnected));
    tokio::time::sleep(seconds(1_000)).await;
    assert_eq!(ttl(), None);
    assert_eq!((node.closes()[0].why.as_str(), node.closes()[0].peer), ("over", peer(1)));
}

#[tokio::test(start_paused = true)]
async fn tasks_are_counted_and_end_with_the_node() {
    let node = FakeNode::new();
    node.tasks().spawn("idle", std::future::pending());
    tokio::task::yield_now().await;
    assert_eq!(node.live_tasks(), 1);
    node.end();
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(node.live_tasks(), 0);
}
