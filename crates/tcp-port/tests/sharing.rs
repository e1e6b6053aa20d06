//! Several transports on one port.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use skep_tcp_port::{Accepted, Kind, Options, PortListener, Ports};
use std::{io::ErrorKind, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const HELLO: [(Kind, &[u8]); 3] = [
    (Kind::Stream, b"\x13/multistream"),
    (Kind::Http, b"GET / HTTP/1.1"),
    (Kind::Tls, b"\x16\x03\x01\x02\x00\x01"),
];

fn bind(ports: &Arc<Ports>, addr: SocketAddr, kind: Kind) -> std::io::Result<PortListener> {
    PortListener::bind(ports, &skep_tcp_port::endpoint(addr), kind, &Options::default())
}

/// Listeners of these kinds on one port.
fn shared(kinds: &[Kind]) -> (Arc<Ports>, SocketAddr, Vec<PortListener>) {
    let ports = Arc::new(Ports::default());
    let first = bind(&ports, "127.0.0.1:0".parse().unwrap(), kinds[0]).unwrap();
    let addr = first.endpoint().to_socket_addr().unwrap();
    let others = kinds[1..].iter().map(|kind| bind(&ports, addr, *kind).unwrap());
    let listeners = std::iter::once(first).chain(others).collect();
    (ports, addr, listeners)
}

async fn dial(addr: SocketAddr, say: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(say).await.unwrap();
    stream
}

async fn hear(accepted: Accepted, most: usize) -> Vec<u8> {
    let mut heard = vec![0; most];
    let mut stream = accepted.take(&Options::default()).unwrap();
    stream.read_exact(&mut heard).await.unwrap();
    heard
}

async fn is_reset(mut stream: TcpStream) {
    assert_eq!(stream.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn each_kind_reaches_its_listener_with_every_byte() {
    let (_ports, addr, mut listeners) = shared(&[Kind::Stream, Kind::Http, Kind::Tls]);
    for _ in 0..3 {
        let mut dialled = Vec::new();
        for (_, hello) in HELLO {
            dialled.push(dial(addr, hello).await);
        }
        // In another order than they came.
        for at in [2, 0, 1] {
            let accepted = listeners[at].accept().await.unwrap();
            assert_eq!(accepted.remote, dialled[at].local_addr().unwrap());
            assert_eq!(hear(accepted, HELLO[at].1.len()).await, HELLO[at].1);
        }
    }
}

#[tokio::test]
async fn listeners_in_tasks_of_their_own_all_get_theirs() {
    const EACH: usize = 50;
    let (_ports, addr, listeners) = shared(&[Kind::Stream, Kind::Http, Kind::Tls]);
    let mut tasks = tokio::task::JoinSet::new();
    for (mut listener, (_, hello)) in listeners.into_iter().zip(HELLO) {
        tasks.spawn(async move {
            for _ in 0..EACH {
                assert_eq!(hear(listener.accept().await.unwrap(), hello.len()).await, hello);
            }
        });
    }
    for _ in 0..EACH {
        for (_, hello) in HELLO {
            tasks.spawn(async move { drop(dial(addr, hello).await) });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_lone_kind_gets_connections_before_they_speak() {
    let (_ports, addr, mut listeners) = shared(&[Kind::Http]);
    let silent = TcpStream::connect(addr).await.unwrap();
    assert_eq!(listeners[0].accept().await.unwrap().remote, silent.local_addr().unwrap());
    let other = dial(addr, HELLO[0].1).await;
    assert_eq!(listeners[0].accept().await.unwrap().remote, other.local_addr().unwrap());
}

#[tokio::test]
async fn streams_take_the_kinds_that_nobody_bound() {
    let (_ports, addr, mut listeners) = shared(&[Kind::Stream, Kind::Tls]);
    let http = dial(addr, HELLO[1].1).await;
    assert_eq!(listeners[0].accept().await.unwrap().remote, http.local_addr().unwrap());
}

#[tokio::test]
async fn without_streams_other_connections_are_reset() {
    let (_ports, addr, mut listeners) = shared(&[Kind::Http, Kind::Tls]);
    let stream = dial(addr, HELLO[0].1).await;
    let _http = dial(addr, HELLO[1].1).await;
    listeners[0].accept().await.unwrap();
    is_reset(stream).await;
}

#[tokio::test]
async fn a_kind_can_be_bound_once() {
    let (ports, addr, listeners) = shared(&[Kind::Stream, Kind::Http]);
    for kind in [Kind::Stream, Kind::Http] {
        assert_eq!(bind(&ports, addr, kind).unwrap_err().kind(), ErrorKind::AddrInUse);
    }
    // Another node's transports do not share.
    assert_eq!(bind(&Arc::default(), addr, Kind::Tls).unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(listeners);
    bind(&ports, addr, Kind::Stream).unwrap();
}

#[tokio::test]
async fn port_zero_is_never_shared() {
    let ports = Arc::default();
    let any = "127.0.0.1:0".parse().unwrap();
    let [first, second] = [Kind::Stream, Kind::Http].map(|kind| bind(&ports, any, kind).unwrap());
    assert_ne!(first.endpoint().port, second.endpoint().port);
}

#[tokio::test]
async fn a_dropped_listener_leaves_the_others_and_the_last_frees_the_port() {
    let (ports, addr, mut listeners) = shared(&[Kind::Stream, Kind::Http]);
    let silent = TcpStream::connect(addr).await.unwrap();
    let _http = dial(addr, HELLO[1].1).await;
    // Both are looked at; the silent one waits.
    listeners[1].accept().await.unwrap();
    drop(listeners.remove(1));
    let left = listeners[0].accept().await.unwrap();
    assert_eq!(left.remote, silent.local_addr().unwrap());
    let again = bind(&ports, addr, Kind::Http).unwrap();
    drop((again, listeners));
    std::net::TcpListener::bind(addr).unwrap();
}

#[tokio::test]
async fn a_slow_kind_holds_up_no_other() {
    let (_ports, addr, mut listeners) = shared(&[Kind::Stream, Kind::Http]);
    let mut slow = Vec::new();
    for _ in 0..65 {
        slow.push(dial(addr, HELLO[1].1).await);
    }
    let stream = dial(addr, HELLO[0].1).await;
    assert_eq!(listeners[0].accept().await.unwrap().remote, stream.local_addr().unwrap());
    // What there is no room for is turned away, the last one first.
    is_reset(slow.pop().unwrap()).await;
    for waiting in slow {
        assert_eq!(listeners[1].accept().await.unwrap().remote, waiting.local_addr().unwrap());
    }
}

#[tokio::test]
async fn silent_connections_do_not_keep_out_honest_ones() {
    let (_ports, addr, mut listeners) = shared(&[Kind::Stream, Kind::Http]);
    let mut silent = Vec::new();
    for n in 0..300_usize {
        // Every other one says too little.
        silent.push(dial(addr, if n % 2 == 0 { b"" } else { b"GE" }).await);
        if n % 100 == 99 {
            let honest = dial(addr, HELLO[0].1).await;
            assert_eq!(listeners[0].accept().await.unwrap().remote, honest.local_addr().unwrap());
        }
    }
    is_reset(silent.remove(0)).await;
    // The newest still has its chance.
    let mut newest = silent.pop().unwrap();
    newest.write_all(b"T ").await.unwrap();
    assert_eq!(listeners[1].accept().await.unwrap().remote, newest.local_addr().unwrap());
}

#[tokio::test(start_paused = true)]
async fn silence_is_borne_for_a_while_only() {
    let (_ports, addr, mut listeners) = shared(&[Kind::Stream, Kind::Http]);
    let silent = TcpStream::connect(addr).await.unwrap();
    let unclear = dial(addr, b"G").await;
    // This clock jumps to the next timer whenever there is nothing to do.
    assert!(timeout(Duration::from_secs(60), listeners[0].accept()).await.is_err());
    is_reset(silent).await;
    is_reset(unclear).await;
}

#[tokio::test]
async fn a_dropped_accept_loses_no_connection() {
    let (_ports, addr, mut listeners) = shared(&[Kind::Stream, Kind::Http]);
    let dialled = dial(addr, HELLO[1].1).await;
    let http = loop {
        tokio::select! {
            biased;
            _ = listeners[0].accept() => panic!("not a stream"),
            () = tokio::task::yield_now() => {}
        }
        tokio::select! {
            biased;
            accepted = listeners[1].accept() => break accepted.unwrap(),
            () = tokio::task::yield_now() => {}
        }
    };
    assert_eq!(http.remote, dialled.local_addr().unwrap());
}
