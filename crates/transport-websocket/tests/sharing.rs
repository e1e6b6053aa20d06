//! One port for several transports of a node.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use skep_api::{
    ConfigSection, Multiaddr, Plugin,
    plugin::layer,
    transport::{Listener, Transport, TransportErrorKind},
};
use std::sync::Arc;
use support::{io_of, listen};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
};

/// The transports of one node, as assembly builds them.
fn node() -> [Arc<dyn Transport>; 2] {
    let cx = skep_testkit::build_cx();
    let build = |plugin: Plugin<layer::Transport>, table| {
        (plugin.build)(&ConfigSection::from_table("", toml::from_str(table).unwrap()), &cx).unwrap()
    };
    let table = "certificate = \"self_signed\"\nroots = \"none\"";
    [build(skep_transport_tcp::PLUGIN, ""), build(skep_transport_websocket::PLUGIN, table)]
}

/// Dials, says a word, and hears it from the listener that it should reach.
async fn reaches(dialler: &Arc<dyn Transport>, addr: &Multiaddr, listener: &mut dyn Listener) {
    let (transport, to) = (Arc::clone(dialler), addr.clone());
    let dial = tokio::spawn(async move {
        let mut io = io_of(transport.dial(&to).await.unwrap());
        io.write_all(b"\x13/multistream/1.0.0\n").await.unwrap();
        io.flush().await.unwrap();
        io
    });
    let link = listener.accept().await.unwrap().accept().await.unwrap();
    assert_eq!(link.local(), addr);
    let mut heard = [0; 20];
    io_of(link).read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"\x13/multistream/1.0.0\n");
    dial.await.unwrap();
}

#[tokio::test]
async fn each_dial_reaches_its_transport() {
    let [tcp, ws] = node();
    let (mut plain, addr) = listen(&*tcp, "/ip4/127.0.0.1/tcp/0").await;
    let (mut web, web_addr) = listen(&*ws, &format!("{addr}/ws")).await;
    let (mut tls, tls_addr) = listen(&*ws, &format!("{addr}/tls/ws")).await;
    for _ in 0..3 {
        reaches(&ws, &tls_addr, &mut *tls).await;
        reaches(&tcp, &addr, &mut *plain).await;
        reaches(&ws, &web_addr, &mut *web).await;
    }
    let again: Multiaddr = format!("{addr}/wss").parse().unwrap();
    assert_eq!(ws.listen(&again).await.unwrap_err().kind(), TransportErrorKind::AddressInUse);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dials_from_many_tasks_reach_their_transports() {
    let [tcp, ws] = node();
    let (plain, addr) = listen(&*tcp, "/ip4/127.0.0.1/tcp/0").await;
    let (web, web_addr) = listen(&*ws, &format!("{addr}/ws")).await;
    let (tls, tls_addr) = listen(&*ws, &format!("{addr}/tls/ws")).await;
    let mut tasks = JoinSet::new();
    for (mut listener, own) in [(plain, addr.clone()), (web, web_addr.clone()), (tls, tls_addr.clone())] {
        tasks.spawn(async move {
            let mut accepts = JoinSet::new();
            for _ in 0..50 {
                let incoming = listener.accept().await.unwrap();
                let own = own.clone();
                accepts.spawn(async move {
                    let link = incoming.accept().await.unwrap();
                    assert_eq!(*link.local(), own);
                    assert_eq!(io_of(link).read_u8().await.unwrap(), 1);
                });
            }
            while let Some(done) = accepts.join_next().await {
                done.unwrap();
            }
        });
    }
    for _ in 0..50 {
        for (transport, to) in [(&tcp, &addr), (&ws, &web_addr), (&ws, &tls_addr)] {
            let (transport, to) = (Arc::clone(transport), to.clone());
            tasks.spawn(async move {
                let mut io = io_of(transport.dial(&to).await.unwrap());
                io.write_u8(1).await.unwrap();
                io.flush().await.unwrap();
                let _ = io.read(&mut [0]).await;
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn silent_sockets_in_number_keep_nobody_out() {
    let [tcp, ws] = node();
    let (mut plain, addr) = listen(&*tcp, "/ip4/127.0.0.1/tcp/0").await;
    let (mut web, web_addr) = listen(&*ws, &format!("{addr}/ws")).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(tokio::net::TcpStream::connect(support::socket_of(&addr)).await.unwrap());
    }
    reaches(&tcp, &addr, &mut *plain).await;
    reaches(&ws, &web_addr, &mut *web).await;
}

#[tokio::test]
async fn a_listener_goes_and_comes_back_while_the_other_stays() {
    let [tcp, ws] = node();
    let (mut plain, addr) = listen(&*tcp, "/ip4/127.0.0.1/tcp/0").await;
    let web_addr = format!("{addr}/ws");
    let (web, _) = listen(&*ws, &web_addr).await;
    drop(web);
    reaches(&tcp, &addr, &mut *plain).await;
    let (mut web, web_addr) = listen(&*ws, &web_addr).await;
    reaches(&ws, &web_addr, &mut *web).await;
    drop(plain);
    reaches(&ws, &web_addr, &mut *web).await;
    drop(web);
    listen(&*node()[0], &addr.to_string()).await;
}

#[tokio::test]
async fn other_nodes_and_the_same_transport_do_not_share() {
    let [tcp, ws] = node();
    let (_plain, addr) = listen(&*tcp, "/ip4/127.0.0.1/tcp/0").await;
    let web_addr: Multiaddr = format!("{addr}/ws").parse().unwrap();
    let _web = ws.listen(&web_addr).await.unwrap();
    let [_, other] = node();
    for transport in [&other, &ws] {
        let error = transport.listen(&web_addr).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::AddressInUse);
        assert!(error.to_string().contains(&web_addr.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_port_that_the_system_picks_is_for_one_transport() {
    let [tcp, ws] = node();
    let (_plain, addr) = listen(&*tcp, "/ip4/127.0.0.1/tcp/0").await;
    let (_web, web_addr) = listen(&*ws, "/ip4/127.0.0.1/tcp/0/ws").await;
    assert_ne!(support::socket_of(&addr), support::socket_of(&web_addr));
}
