//! Who meets whom, how links end, and what is bounded.
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod nodes;

use nodes::{Nodes, stream};
use skep_api::{
    ConfigSection,
    transport::{Transport, TransportErrorKind},
};
use skep_transport_memory::{Config, MemoryHub, MemoryTransport};
use std::{future::Future, io::ErrorKind, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// On paused time, so that a wait without end is seen at once.
const MINUTE: Duration = Duration::from_secs(60);

async fn in_time<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(MINUTE, waiting).await.expect("nobody was woken")
}

async fn nodes() -> Nodes {
    Nodes::new(Config::default(), Config::default()).await
}

#[tokio::test]
async fn hubs_are_worlds_of_their_own() {
    let nodes = nodes().await;
    let elsewhere = MemoryTransport::new(MemoryHub::new(), Config::default());
    let error = elsewhere.dial(&nodes.addr).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Refused);
    assert_eq!(
        error.to_string(),
        format!("the address refused the connection: {}: nobody on this hub listens there", nodes.addr)
    );
}

#[tokio::test]
async fn nodes_that_name_the_same_hub_meet() {
    let build = |hub: &str| {
        let table = toml::from_str(&format!("hub = {hub:?}")).unwrap();
        let section = ConfigSection::from_table("transport.memory", table);
        (skep_transport_memory::PLUGIN.build)(&section, &skep_testkit::build_cx()).unwrap()
    };
    let (ours, theirs, other) = (build("links"), build("links"), build("other links"));
    let mut listener = theirs.listen(&"/memory/5".parse().unwrap()).await.unwrap();
    let addr = listener.local_addrs().remove(0);
    let link = ours.dial(&addr).await.unwrap();
    assert_eq!(listener.accept().await.unwrap().remote_addr(), link.local());
    assert_eq!(other.dial(&addr).await.unwrap_err().kind(), TransportErrorKind::Refused);
}

#[tokio::test]
async fn numbers_are_taken_once_and_zero_is_not_dialled() {
    let nodes = nodes().await;
    let error = nodes.dialer.listen(&nodes.addr).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::AddressInUse);
    let error = nodes.dialer.dial(&"/memory/0".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::AddressUnavailable);
    let error = nodes.dialer.dial(&"/ip4/127.0.0.1/tcp/1".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Unsupported);
}

#[tokio::test]
async fn a_dial_beyond_the_backlog_is_refused() {
    let mut nodes = Nodes::new(Config::default(), Config { backlog: 2, ..Config::default() }).await;
    let _first = nodes.dialer.dial(&nodes.addr).await.unwrap();
    let _second = nodes.dialer.dial(&nodes.addr).await.unwrap();
    let error = nodes.dialer.dial(&nodes.addr).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Refused);
    assert!(error.to_string().ends_with("the listener's queue is full (its `backlog`)"), "{error}");
    nodes.listener.accept().await.unwrap();
    nodes.dialer.dial(&nodes.addr).await.unwrap();
}

#[tokio::test]
async fn a_refused_link_is_reset_and_so_is_one_whose_listener_ends() {
    let mut nodes = nodes().await;
    let mut refused = stream(nodes.dialer.dial(&nodes.addr).await.unwrap());
    nodes.listener.accept().await.unwrap().refuse();
    let mut queued = stream(nodes.dialer.dial(&nodes.addr).await.unwrap());
    drop(nodes.listener);
    for link in [&mut refused, &mut queued] {
        assert_eq!(link.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(link.write_u8(1).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
    assert_eq!(nodes.dialer.dial(&nodes.addr).await.unwrap_err().kind(), TransportErrorKind::Refused);
}

#[tokio::test]
async fn a_shut_down_end_can_still_read() {
    let (mut ours, mut theirs) = nodes().await.link().await;
    ours.write_all(b"question").await.unwrap();
    ours.shutdown().await.unwrap();
    assert_eq!(ours.write_u8(1).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    let mut heard = String::new();
    theirs.read_to_string(&mut heard).await.unwrap();
    theirs.write_all(b"answer").await.unwrap();
    theirs.shutdown().await.unwrap();
    drop(theirs);
    ours.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "questionanswer");
}

#[tokio::test]
async fn a_dropped_end_resets_the_link_behind_its_data() {
    let (mut ours, mut theirs) = nodes().await.link().await;
    theirs.write_all(b"last words").await.unwrap();
    drop(theirs);
    let mut heard = Vec::new();
    assert_eq!(ours.read_to_end(&mut heard).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(heard, b"last words");
    assert_eq!(ours.write_u8(1).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn a_writer_waits_for_a_slow_reader() {
    let config = Config { capacity: 4, ..Config::default() };
    let (mut ours, mut theirs) = Nodes::new(config.clone(), config).await.link().await;
    assert_eq!(ours.write(b"abcdef").await.unwrap(), 4);
    let blocked = tokio::time::timeout(MINUTE, ours.write(b"ef")).await;
    assert!(blocked.is_err(), "there is no room: {blocked:?}");
    let mut heard = [0; 6];
    let both = async { tokio::join!(ours.write_all(b"ef"), theirs.read_exact(&mut heard)) };
    let (sent, read) = in_time(both).await;
    sent.unwrap();
    read.unwrap();
    assert_eq!(&heard, b"abcdef");
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_waits_learns_that_the_reader_is_gone() {
    let config = Config { capacity: 1, ..Config::default() };
    let (mut ours, theirs) = Nodes::new(config.clone(), config).await.link().await;
    ours.write_u8(1).await.unwrap();
    let (sent, ()) = in_time(async { tokio::join!(ours.write_u8(2), async { drop(theirs) }) }).await;
    assert_eq!(sent.unwrap_err().kind(), ErrorKind::BrokenPipe);
}
