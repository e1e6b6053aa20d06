//! The road of a connection over real sockets: what a user of the swarm sees.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use skep::{
    DialOptions, StreamState,
    api::{
        CloseReason, Code, Multiaddr, PeerId, Side,
        gate::{Checkpoint, Denial, Gate, GateCx, Verdict},
        multiaddr::Protocol,
        protocol::{ProtocolError, ProtocolErrorKind},
        stream::StreamError,
    },
    swarm::{
        Settings,
        error::{Cause, DialError, Stage},
        events::Event,
    },
};
use std::{sync::Arc, time::Duration};
use support::{ECHO, PANIC, RESET, echo_works, event, layers, listen, tcp_node, tcp_node_with, with_tcp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LOOPBACK: &str = "/ip4/127.0.0.1/tcp/0";

/// The only leaf of a dial error, or the refusal to dial: stage, plugin, code.
fn leaf(error: &DialError) -> (Stage, &str, &'static str) {
    let Some(report) = error.report() else { return (Stage::Filter, "", error.code()) };
    assert_eq!(report.addrs.len(), 1, "{error:?}");
    let attempt = report.addrs[0].outcome.error().unwrap();
    (attempt.stage, attempt.plugin.as_str(), attempt.cause.code())
}

#[tokio::test]
async fn two_nodes_connect_and_stream_both_ways() {
    let (a, b) = (tcp_node(), tcp_node());
    let addr = listen(&a, LOOPBACK).await;
    let mut events = a.events();
    let to_a = b.dial_addr(&addr).await.unwrap();
    assert_eq!(to_a.peer(), a.peer_id());
    assert_eq!(
        (to_a.info().security.as_deref(), to_a.info().muxer.as_deref()),
        (Some("noise"), Some("yamux"))
    );
    assert!(to_a.info().early_muxer);
    echo_works(&to_a).await;

    let peer = event(&mut events, |e| match e {
        Event::Connected { peer, .. } => Some(peer),
        _ => None,
    })
    .await;
    assert_eq!(peer, b.peer_id());
    echo_works(&a.connection(&peer).unwrap()).await;
    assert_eq!((a.metrics().inbound, b.metrics().outbound, b.metrics().peers), (1, 1, 1));
}

#[tokio::test]
async fn a_connection_that_exists_is_given_again() {
    let (a, b) = (tcp_node(), tcp_node());
    let addr = listen(&a, LOOPBACK).await;
    let first = b.dial_addr(&addr).await.unwrap();
    assert_eq!(b.dial_addr(&addr).await.unwrap().id(), first.id());
    let second = b.dial_addr_with(&addr, DialOptions::default().always()).await.unwrap().connection;
    assert_ne!(second.id(), first.id());
    assert_eq!(b.metrics().connections, 2);
}

#[tokio::test]
async fn an_address_without_a_peer_id_takes_whoever_answers() {
    let (a, b) = (tcp_node(), tcp_node());
    let mut addr = listen(&a, LOOPBACK).await;
    addr.pop();
    assert_eq!(b.dial_addr(&addr).await.unwrap().peer(), a.peer_id());
}

#[tokio::test]
async fn another_peer_than_the_one_wanted_is_refused() {
    let (a, b) = (tcp_node(), tcp_node());
    let mut addr = listen(&a, LOOPBACK).await;
    addr.pop();
    let wanted = PeerId::random();
    let error = b.dial_addr(&addr.with(Protocol::P2p(wanted))).await.unwrap_err();
    assert_eq!(leaf(&error), (Stage::Security, "noise", "wrong_peer"));
    let expected = format!("another peer answered: expected {wanted}, found {}", a.peer_id());
    assert_eq!(error.cause().unwrap().to_string(), expected);
    assert_eq!(b.metrics().permits, 0);
}

#[tokio::test]
async fn a_node_does_not_dial_itself() {
    let a = tcp_node();
    let mut addr = listen(&a, LOOPBACK).await;
    let error = a.dial_addr(&addr).await.unwrap_err();
    assert_eq!(leaf(&error), (Stage::Filter, "", "own_address"));
    addr.pop();
    let error = a.dial_addr(&addr).await.unwrap_err();
    assert_eq!(leaf(&error), (Stage::Filter, "", "own_address"));
}

#[tokio::test]
async fn each_cause_has_its_stage_and_code() {
    let node = tcp_node();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused: Multiaddr = format!("/ip4/127.0.0.1/tcp/{free}").parse().unwrap();
    assert_eq!(leaf(&node.dial_addr(&refused).await.unwrap_err()), (Stage::Connect, "tcp", "refused"));
    let foreign = "/ip4/127.0.0.1/udp/1/quic-v1".parse().unwrap();
    let error = node.dial_addr(&foreign).await.unwrap_err();
    assert_eq!(leaf(&error), (Stage::Filter, "", "no_transport"));
    assert!(error.to_string().contains("transports here: tcp"), "{error}");
    let name = "/dns4/localhost/tcp/1".parse().unwrap();
    assert_eq!(leaf(&node.dial_addr(&name).await.unwrap_err()), (Stage::Resolve, "", "no_resolver"));
}

#[tokio::test]
async fn a_silent_address_ends_at_the_deadline_with_its_stage() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr: Multiaddr =
        format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port()).parse().unwrap();
    let node = tcp_node();
    let options = DialOptions::default().timeout(Duration::from_millis(100));
    let error = node.dial_addr_with(&addr, options).await.unwrap_err();
    assert_eq!(leaf(&error), (Stage::Security, "noise", "deadline"));
    assert_eq!(node.metrics().permits, 0);
}

/// Denies at one checkpoint.
#[derive(Debug)]
struct DenyAt(&'static str);

impl Gate for DenyAt {
    fn check(&self, point: &Checkpoint<'_>, _cx: &GateCx<'_>) -> Verdict {
        if point.name() == self.0 { Verdict::Deny(Denial::new("test", "on purpose")) } else { Verdict::Allow }
    }
}

#[tokio::test]
async fn an_outbound_gate_stops_the_dial_at_its_checkpoint() {
    let a = tcp_node();
    let addr = listen(&a, LOOPBACK).await;
    for point in ["addr_dial", "peer", "ready"] {
        let b = with_tcp(layers()).gate("strict", Arc::new(DenyAt(point))).build().unwrap();
        let error = b.dial_addr(&addr).await.unwrap_err();
        assert_eq!(leaf(&error), (Stage::Gate, "strict", "denied"));
        let text = format!("refused at checkpoint `{point}` by gate `strict`: on purpose (rule: test)");
        assert_eq!(error.cause().unwrap().to_string(), text);
        assert_eq!(b.metrics().connections, 0);
    }
}

#[tokio::test]
async fn an_inbound_gate_stops_the_peer_at_its_checkpoint() {
    for point in ["link", "peer", "ready"] {
        let a = with_tcp(layers()).gate("strict", Arc::new(DenyAt(point))).build().unwrap();
        let mut events = a.events();
        let addr = listen(&a, LOOPBACK).await;
        let b = tcp_node();
        let conn = b.dial_addr(&addr).await;
        // The dialler may have been done before it was refused; then the connection ends.
        if let Ok(conn) = conn {
            conn.closed().await;
        }
        assert_eq!(a.metrics().connections, 0);
        if point != "ready" {
            let checkpoint = event(&mut events, |e| match e {
                Event::InboundFailed { error, .. } => match &error.cause {
                    Cause::Denied { checkpoint, .. } => Some(*checkpoint),
                    other => panic!("{other}"),
                },
                _ => None,
            });
            assert_eq!(checkpoint.await, point);
        }
    }
}

#[tokio::test]
async fn a_protocol_that_nobody_serves_is_refused_and_the_connection_goes_on() {
    let (a, b) = (tcp_node(), tcp_node());
    let conn = b.dial_addr(&listen(&a, LOOPBACK).await).await.unwrap();
    let mut stream = conn.open_stream(&["/nobody/1".into()]).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    let error = stream.read(&mut [0; 8]).await.unwrap_err();
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<ProtocolError>()).expect("a protocol error");
    assert_eq!(inner.kind(), ProtocolErrorKind::NotSupported);
    // With a choice, the one that is served is found before the stream is given out.
    let stream = conn.open_stream(&["/nobody/1".into(), ECHO.into()]).await.unwrap();
    assert_eq!(stream.protocol_id(), ECHO);
    echo_works(&conn).await;
}

#[tokio::test]
async fn after_a_refusal_every_call_says_so() {
    let (a, b) = (tcp_node(), tcp_node());
    let conn = b.dial_addr(&listen(&a, LOOPBACK).await).await.unwrap();
    let mut stream = conn.open_stream(&["/nobody/1".into()]).await.unwrap();
    for _ in 0..2 {
        assert_eq!(stream.finish().await.unwrap_err().kind(), std::io::ErrorKind::Unsupported);
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_err().kind(), std::io::ErrorKind::Unsupported);
        assert_eq!(stream.write(b"x").await.unwrap_err().kind(), std::io::ErrorKind::Unsupported);
        assert_eq!(stream.flush().await.unwrap_err().kind(), std::io::ErrorKind::Unsupported);
    }
    assert_eq!(stream.state(), StreamState::Error);
}

#[tokio::test]
async fn halves_in_different_tasks_do_not_lose_each_others_wake_ups() {
    let (a, b) = (tcp_node(), tcp_node());
    let conn = b.dial_addr(&listen(&a, LOOPBACK).await).await.unwrap();
    for _ in 0..50 {
        let (mut r, mut w) = tokio::io::split(conn.open_stream(&[ECHO.into()]).await.unwrap());
        let reader = tokio::spawn(async move {
            let mut back = Vec::new();
            r.read_to_end(&mut back).await.map(|_| back)
        });
        // The reader waits for the answer first.
        tokio::task::yield_now().await;
        for _ in 0..40 {
            w.write_all(b"x").await.unwrap();
        }
        w.shutdown().await.unwrap();
        assert_eq!(reader.await.unwrap().unwrap().len(), 40);
    }
}

#[tokio::test]
async fn a_stream_that_is_not_read_can_be_finished() {
    let (a, b) = (tcp_node(), tcp_node());
    let conn = b.dial_addr(&listen(&a, LOOPBACK).await).await.unwrap();
    let mut stream = conn.open_stream(&[ECHO.into()]).await.unwrap();
    stream.stop_reading(Code::NONE);
    stream.write_all(b"hello").await.unwrap();
    stream.finish().await.unwrap();
}

#[tokio::test]
async fn a_dial_under_way_ends_with_the_node() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr: Multiaddr =
        format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port()).parse().unwrap();
    let node = tcp_node();
    let dial = node.dial_addr(&addr);
    let end = async {
        while node.metrics().permits == 0 {
            tokio::task::yield_now().await;
        }
        node.shutdown(Duration::from_secs(5)).await
    };
    let (dialled, report) = tokio::join!(dial, end);
    assert_eq!(leaf(&dialled.unwrap_err()).2, "shutting_down");
    assert!(report.forced.is_empty());
    assert_eq!(node.metrics().permits, 0);
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_stream_only() {
    let (a, b) = (tcp_node(), tcp_node());
    let conn = b.dial_addr(&listen(&a, LOOPBACK).await).await.unwrap();
    let mut stream = conn.open_stream(&[PANIC.into()]).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    let mut all = Vec::new();
    let error = stream.read_to_end(&mut all).await.unwrap_err();
    assert!(matches!(StreamError::of(&error), Some(StreamError::Reset { by: Side::Remote, .. })), "{error}");
    echo_works(&conn).await;
    assert_eq!(a.metrics().panics, 1);
}

#[tokio::test]
async fn a_reset_arrives_with_its_code() {
    let (a, b) = (tcp_node(), tcp_node());
    let conn = b.dial_addr(&listen(&a, LOOPBACK).await).await.unwrap();
    let mut stream = conn.open_stream(&[RESET.into()]).await.unwrap();
    assert_eq!(stream.state(), StreamState::Init);
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.state(), StreamState::Open);
    let error = stream.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(StreamError::of(&error), Some(&StreamError::Reset { by: Side::Remote, code: Code(77) }));
    assert_eq!(stream.state(), StreamState::Reset);
    assert!(!stream.is_operational());
}

#[tokio::test]
async fn both_ends_learn_why_a_connection_was_closed() {
    let (a, b) = (tcp_node(), tcp_node());
    let mut events = a.events();
    let conn = b.dial_addr(&listen(&a, LOOPBACK).await).await.unwrap();
    echo_works(&conn).await;
    conn.close(Code::SUPPLANTED).await;
    assert_eq!(conn.closed().await, CloseReason::local(Code::SUPPLANTED));
    let reason = event(&mut events, |e| match e {
        Event::Disconnected { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reason.await, CloseReason::remote(Code::SUPPLANTED));
    assert_eq!((a.metrics().permits, b.metrics().permits), (0, 0));
}

#[tokio::test]
async fn one_more_than_the_limit_for_a_peer_is_refused() {
    let a = tcp_node_with(Settings { max_connections_per_peer: 1, ..Settings::default() });
    let addr = listen(&a, LOOPBACK).await;
    let b = tcp_node();
    let first = b.dial_addr(&addr).await.unwrap();
    let second = b.dial_addr_with(&addr, DialOptions::default().always()).await.unwrap().connection;
    assert_eq!(second.closed().await, CloseReason::remote(Code::RESOURCE_LIMIT));
    echo_works(&first).await;
}

#[tokio::test]
async fn a_full_node_does_not_dial_and_says_which_key() {
    let a = tcp_node();
    let addr = listen(&a, LOOPBACK).await;
    let b = tcp_node_with(Settings { max_connections: 1, ..Settings::default() });
    let _first = b.dial_addr(&addr).await.unwrap();
    let error = b.dial_addr_with(&addr, DialOptions::default().always()).await.unwrap_err();
    assert_eq!(leaf(&error), (Stage::Queue, "", "local_limit"));
    assert!(error.to_string().contains("1 of 1 in use; raise `swarm.max_connections`"), "{error}");
}

#[tokio::test]
async fn shutdown_joins_every_task_and_frees_the_port() {
    let (a, b) = (tcp_node(), tcp_node());
    let addr = listen(&a, LOOPBACK).await;
    let conn = b.dial_addr(&addr).await.unwrap();
    echo_works(&conn).await;
    let _stream = conn.open_stream(&[ECHO.into()]).await.unwrap();
    let report = a.shutdown(Duration::from_secs(10)).await;
    assert_eq!((report.connections, report.forced.len()), (1, 0), "{report:?}");
    assert_eq!((a.metrics().tasks, a.metrics().permits), (0, 0));
    assert_eq!(conn.closed().await, CloseReason::remote(Code::SHUTDOWN));
    let error = a.dial_addr(&addr).await.unwrap_err();
    assert_eq!(leaf(&error).2, "shutting_down");
    let mut bare = addr;
    bare.pop();
    let c = tcp_node();
    c.listen(&bare).await.unwrap();
}

#[tokio::test]
async fn a_removed_listener_takes_no_more_connections() {
    let (a, b) = (tcp_node(), tcp_node());
    let mut addr = listen(&a, LOOPBACK).await;
    let kept = b.dial_addr(&addr).await.unwrap();
    addr.pop();
    let mut events = a.events();
    assert!(a.remove_listener(&addr).await);
    assert!(!a.remove_listener(&addr).await);
    event(&mut events, |e| matches!(e, Event::ListenerClosed { .. }).then_some(())).await;
    let error = b.dial_addr_with(&addr, DialOptions::default().always()).await.unwrap_err();
    assert_eq!(leaf(&error).2, "refused");
    echo_works(&kept).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_dial_each_other_over_tcp_keep_the_one_connection_that_is_allowed() {
    for round in 0..100 {
        let one = Settings { max_connections_per_peer: 1, ..Settings::default() };
        let (a, b) = (tcp_node_with(one.clone()), tcp_node_with(one));
        let (at_a, at_b) = (listen(&a, LOOPBACK).await, listen(&b, LOOPBACK).await);
        let (from_a, from_b) = tokio::join!(a.dial_addr(&at_b), b.dial_addr(&at_a));
        assert!(from_a.is_ok() && from_b.is_ok(), "round {round}: {from_a:?} {from_b:?}");
        // Until the loser has said goodbye.
        let mut spins = 0;
        while [&a, &b].iter().any(|node| (node.metrics().permits, node.metrics().connections) != (1, 1)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
            spins += 1;
            assert!(spins < 60_000, "round {round}: {:?} and {:?}", a.metrics(), b.metrics());
        }
        assert_eq!((a.connections().len(), b.connections().len()), (1, 1), "round {round}");
        echo_works(&a.connections()[0]).await;
        tokio::join!(a.shutdown(Duration::from_secs(5)), b.shutdown(Duration::from_secs(5)));
    }
}
