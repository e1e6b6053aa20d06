//! The server: what it answers, and how it bears those who do not behave.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use skep_api::{
    TaskScope,
    metrics::{Instrument, Sink, Values},
};
use skep_metrics_prometheus::{ServeError, serve};
use skep_testkit::build_cx;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const CLIENTS: usize = 16;

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A server of a sink with one counter at `n`.
async fn server(n: u64) -> (SocketAddr, TaskScope) {
    let tasks = build_cx().tasks;
    let sink = Sink::new();
    sink.counters(Instrument::new("x", "X.")).with(&[]).add(n);
    (serve(loopback(), &sink, &tasks).await.unwrap(), tasks)
}

/// Sends bytes and reads until the server hangs up.
async fn send(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(bytes.as_ref()).await.unwrap();
    rest(&mut client).await
}

/// What comes until the server hangs up. Whoever sends more than is read may see a reset after it.
async fn rest(client: &mut TcpStream) -> String {
    let (mut all, mut buf) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = client.read(&mut buf).await {
        all.extend_from_slice(&buf[..n]);
    }
    String::from_utf8(all).unwrap()
}

async fn request(addr: SocketAddr, method: &str, path: &str) -> String {
    send(addr, format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await
}

#[tokio::test]
async fn metrics_and_health_are_given_and_nothing_else() {
    let (addr, _tasks) = server(7).await;
    let metrics = request(addr, "GET", "/metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    assert!(metrics.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
    assert!(metrics.contains("connection: close\r\n"), "{metrics}");
    assert!(metrics.contains("\nx_total 7\n") && metrics.ends_with("# EOF\n"), "{metrics}");
    let with_query = request(addr, "GET", "/metrics?name=x").await;
    assert!(with_query.contains("x_total 7"), "{with_query}");
    let head = request(addr, "HEAD", "/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    let health = request(addr, "GET", "/healthz").await;
    assert!(health.starts_with("HTTP/1.1 200 ") && health.ends_with("\r\n\r\nok\n"), "{health}");
    for path in ["/", "/metrics/", "/../etc/passwd", "/%6detrics"] {
        let nothing = request(addr, "GET", path).await;
        assert!(nothing.starts_with("HTTP/1.1 404 "), "{path}: {nothing}");
    }
    for method in ["POST", "DELETE", "OPTIONS", "NONSENSE"] {
        let refused = request(addr, method, "/metrics").await;
        assert!(
            refused.starts_with("HTTP/1.1 405 ") && refused.contains("allow: GET, HEAD\r\n"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_body_is_not_waited_for() {
    let (addr, _tasks) = server(1).await;
    let refused = send(addr, "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let (addr, _tasks) = server(1).await;
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(100_000));
    let large = format!("GET /metrics HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(65));
    for (bytes, status) in [
        (long, "431"),
        (large, "431"),
        (many, "431"),
        ("nonsense\r\n\r\n".into(), "400"),
        ("\0\0\0\0\r\n\r\n".into(), "400"),
        ("GET /metrics HTTP/1.1\r\nbad header\r\n\r\n".into(), "400"),
    ] {
        let answer = send(addr, &bytes).await;
        let shown = &bytes[..bytes.len().min(40)];
        assert!(
            answer.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{shown:?}: {answer}"
        );
    }
    assert!(request(addr, "GET", "/metrics").await.contains("x_total 1"), "the next one is served");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_go_on_is_hung_up_on() {
    let (addr, _tasks) = server(1).await;
    let mut silent = TcpStream::connect(addr).await.unwrap();
    let mut half = TcpStream::connect(addr).await.unwrap();
    half.write_all(b"GET /metrics HTTP/1.1\r\nhost: ").await.unwrap();
    // The clock is paused: it moves on when nothing else does.
    assert!(!rest(&mut silent).await.contains("200"));
    assert!(!rest(&mut half).await.contains("200"));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_hung_up_on() {
    let tasks = build_cx().tasks;
    let (sink, long) = (Sink::new(), "x".repeat(100));
    let values = Values::of((0..500).map(|n| format!("{n}{long}")));
    // More than the system's buffers take.
    for n in 0..60 {
        let name: &'static str = format!("x{n}").leak();
        let family = sink.counters(Instrument::new(name, "X.").label("a", &values).label("b", &values));
        (0..500).for_each(|n| family.with(&[&format!("{n}{long}"), &format!("{n}{long}")]).inc());
    }
    let addr = serve(loopback(), &sink, &tasks).await.unwrap();
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    client.readable().await.unwrap();
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(11)).await;
    let answer = rest(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.ends_with("# EOF\n"), "{} bytes", answer.len());
}

#[tokio::test]
async fn too_many_clients_are_told_so_and_those_that_go_make_room() {
    let (addr, _tasks) = server(1).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(TcpStream::connect(addr).await.unwrap());
    }
    let mut refused = TcpStream::connect(addr).await.unwrap();
    let answer = rest(&mut refused).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: "), "{head}");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}, and {} bytes", body.len());
    tokio::time::pause();
    for client in &mut clients {
        assert_eq!(rest(client).await, "", "a silent client gets nothing");
    }
    tokio::time::resume();
    let answer = request(addr, "GET", "/metrics").await;
    assert!(answer.contains("x_total 1"), "{answer}");
}

#[tokio::test]
async fn two_nodes_in_one_process_do_not_collide() {
    let ((one, _one), (two, _two)) = (server(1).await, server(2).await);
    assert!(request(one, "GET", "/metrics").await.contains("x_total 1\n"));
    assert!(request(two, "GET", "/metrics").await.contains("x_total 2\n"));
}

#[tokio::test]
async fn the_end_of_the_node_frees_the_address_and_ends_the_clients() {
    let (addr, tasks) = server(1).await;
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(b"GET ").await.unwrap();
    tasks.cancelled().cancel();
    rest(&mut client).await;
    let refused = loop {
        // The listener goes with its task, which has yet to notice.
        if let Err(error) = TcpStream::connect(addr).await {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_told_with_advice() {
    let tasks = build_cx().tasks;
    let other = TcpListener::bind(loopback()).await.unwrap();
    let taken = serve(other.local_addr().unwrap(), &Sink::new(), &tasks).await.unwrap_err();
    assert!(matches!(taken, ServeError::InUse(..)), "{taken:?}");
    assert!(taken.advice().contains("another port"), "{}", taken.advice());
    // TEST-NET-1 is nobody's.
    let foreign = serve("192.0.2.1:0".parse().unwrap(), &Sink::new(), &tasks).await.unwrap_err();
    assert!(matches!(foreign, ServeError::Unavailable(..)), "{foreign:?}");
}
