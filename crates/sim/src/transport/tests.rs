use super::*;
use crate::net::address_of;
use skep::{
    api::config::DurationText,
    transport_memory::{Config, MemoryHub},
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

const WHILE: Duration = Duration::from_secs(3_600);

/// Two nodes that listen, with 20 ms between them each way.
struct Two {
    net: Net,
    nodes: Vec<SimTransport>,
    listeners: Vec<Box<dyn Listener>>,
}

impl Two {
    async fn new() -> Self {
        let (net, hub) = (Net::new(2), MemoryHub::new());
        let config = Config { latency: DurationText::millis(20), ..Config::default() };
        let new =
            |node| SimTransport::new(MemoryTransport::new(hub.clone(), config.clone()), net.clone(), node);
        let nodes: Vec<_> = (0..2).map(new).collect();
        let mut listeners = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            listeners.push(node.listen(&address_of(index)).await.unwrap());
        }
        Self { net, nodes, listeners }
    }

    /// A link from node 0 to node 1, over which a byte has gone each way.
    async fn link(&mut self) -> (BoxIo, BoxIo) {
        let addr = address_of(1);
        let (dialled, accepted) = tokio::join!(self.nodes[0].dial(&addr), async {
            self.listeners[1].accept().await.unwrap().accept().await
        });
        let (mut a, mut b) = (raw(dialled.unwrap()).unwrap().io, raw(accepted.unwrap()).unwrap().io);
        a.write_all(b"a").await.unwrap();
        assert_eq!(b.read_u8().await.unwrap(), b'a');
        b.write_all(b"b").await.unwrap();
        assert_eq!(a.read_u8().await.unwrap(), b'b');
        (a, b)
    }
}

/// Writes are swallowed at both ends, and nothing comes, not even the end.
async fn is_silent(mut a: BoxIo, mut b: BoxIo) {
    for _ in 0..3 {
        // More than there is room for in a link.
        a.write_all(&vec![0; 300_000]).await.unwrap();
        b.write_all(&vec![0; 300_000]).await.unwrap();
    }
    assert!(timeout(WHILE, a.read_u8()).await.is_err());
    a.shutdown().await.unwrap();
    drop(a);
    assert!(timeout(WHILE, b.read_u8()).await.is_err());
    b.write_all(b"x").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_parting_cuts_links_for_good_and_dials_while_it_lasts() {
    let mut two = Two::new().await;
    let (a, b) = two.link().await;
    two.net.part();
    assert!(timeout(WHILE, two.nodes[0].dial(&address_of(1))).await.is_err());
    assert!(timeout(WHILE, two.listeners[1].accept()).await.is_err());
    two.net.heal();
    is_silent(a, b).await;
    let (mut a, mut b) = two.link().await;
    a.write_all(b"again").await.unwrap();
    drop(a);
    let mut all = Vec::new();
    let _ = b.read_to_end(&mut all).await;
    assert_eq!(all, b"again");
    let tally = two.net.tally(0);
    assert_eq!((tally.made, tally.failed, two.net.tally(1).made), (3, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_lost_says_nothing_more_and_is_not_reached() {
    for lost in 0..2 {
        let mut two = Two::new().await;
        let (a, b) = two.link().await;
        two.net.lose(lost);
        is_silent(a, b).await;
        assert!(timeout(WHILE, two.nodes[0].dial(&address_of(1))).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_is_under_way_is_cut_too() {
    let mut two = Two::new().await;
    let addr = address_of(1);
    let dial = two.nodes[0].dial(&addr);
    tokio::pin!(dial);
    assert!(timeout(Duration::from_millis(30), dial.as_mut()).await.is_err());
    let incoming = two.listeners[1].accept().await.unwrap();
    let mut accepted = raw(incoming.accept().await.unwrap()).unwrap().io;
    two.net.part();
    assert!(timeout(WHILE, dial.as_mut()).await.is_err());
    two.net.heal();
    assert!(timeout(WHILE, accepted.read_u8()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn within_a_half_nothing_is_cut() {
    let net = Net::new(4);
    net.part();
    assert!(net.is_open(0, 2) && net.is_open(3, 1) && !net.is_open(0, 1) && !net.is_open(2, 3));
    net.lose(2);
    assert!(!net.is_open(0, 2) && !net.is_open(2, 0) && !net.is_open(0, 9));
    net.heal();
    assert!(net.is_open(0, 1) && !net.is_open(1, 2));
}
