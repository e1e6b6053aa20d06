//! The other end is the `libp2p` crate, in the same process, over TCP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt};
use libp2p::{
    StreamProtocol, Swarm, identify, noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use skep::api::{Multiaddr, multiaddr::Protocol};
use support::{ECHO, echo_works, listen, tcp_node};

#[derive(NetworkBehaviour)]
struct Behaviour {
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    streams: libp2p_stream::Behaviour,
}

fn theirs() -> Swarm<Behaviour> {
    libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| Behaviour {
            ping: ping::Behaviour::new(ping::Config::new()),
            identify: identify::Behaviour::new(identify::Config::new("test/1".into(), key.public())),
            streams: libp2p_stream::Behaviour::new(),
        })
        .unwrap()
        .with_swarm_config(|c| c.with_idle_connection_timeout(std::time::Duration::from_secs(60)))
        .build()
}

/// Runs their event loop for the rest of the test.
fn drive(mut swarm: Swarm<Behaviour>) {
    tokio::spawn(async move { while swarm.next().await.is_some() {} });
}

#[tokio::test]
async fn libp2p_dials_skep() {
    let node = tcp_node();
    let addr = listen(&node, "/ip4/127.0.0.1/tcp/0").await;
    let mut swarm = theirs();
    let mut control = swarm.behaviour().streams.new_control();
    swarm.dial(addr.clone()).unwrap();
    drive(swarm);
    let peer = node.peer_id().to_bytes();
    let mut stream = loop {
        let peer = libp2p::PeerId::from_bytes(&peer).unwrap();
        match control.open_stream(peer, StreamProtocol::new(ECHO)).await {
            Ok(stream) => break stream,
            Err(libp2p_stream::OpenStreamError::Io(_)) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    };
    let sent: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
    let mut back = Vec::new();
    let (mut r, mut w) = (&mut stream).split();
    let write = async {
        w.write_all(&sent).await.unwrap();
        w.close().await.unwrap();
    };
    let (_, read) = futures::join!(write, r.read_to_end(&mut back));
    read.unwrap();
    assert_eq!(back, sent);
}

#[tokio::test]
async fn skep_dials_libp2p() {
    let mut swarm = theirs();
    let mut incoming = swarm.behaviour().streams.new_control().accept(StreamProtocol::new(ECHO)).unwrap();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let peer = *swarm.local_peer_id();
    let addr: Multiaddr = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address.to_string().parse().unwrap();
        }
    };
    drive(swarm);
    tokio::spawn(async move {
        while let Some((_, mut stream)) = incoming.next().await {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            stream.write_all(&all).await.unwrap();
            stream.close().await.unwrap();
        }
    });
    let node = tcp_node();
    let peer = skep::api::PeerId::from_bytes(&peer.to_bytes()).unwrap();
    let conn = node.dial_addr(&addr.with(Protocol::P2p(peer))).await.unwrap();
    echo_works(&conn).await;
    let mut stream = conn.open_stream(&[skep::protocols::ping::PROTOCOL.into()]).await.unwrap();
    skep::protocols::ping::ping(&mut stream).await.unwrap();
    let info = skep::protocols::identify::ask(&*conn.session()).await.unwrap();
    assert_eq!(info.protocol_version, "test/1");
    assert!(info.protocols.iter().any(|p| p == ECHO));
}
