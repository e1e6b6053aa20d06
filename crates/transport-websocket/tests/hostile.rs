//! Clients and servers that mean no good, on real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use skep_api::{
    config::DurationText,
    transport::{TransportError, TransportErrorKind},
};
use skep_transport_websocket::{Config, UpgradeError, WebSocketTransport};
use std::error::Error;
use support::{io_of, listen, socket_of, transport};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// What the listener makes of a client that sends these bytes, and what the client hears.
async fn client_that_sends(bytes: Vec<u8>) -> (TransportError, String) {
    let transport = transport();
    let (mut listener, addr) = listen(&*transport, "/ip4/127.0.0.1/tcp/0/ws").await;
    let client = tokio::spawn(async move {
        let mut tcp = TcpStream::connect(socket_of(&addr)).await.unwrap();
        tcp.write_all(&bytes).await.unwrap();
        let mut heard = String::new();
        tcp.read_to_string(&mut heard).await.unwrap();
        heard
    });
    let error = listener.accept().await.unwrap().accept().await.unwrap_err();
    (error, client.await.unwrap())
}

#[tokio::test]
async fn a_header_without_end_is_refused_and_the_client_gets_to_know() {
    let (error, heard) =
        client_that_sends(format!("{UPGRADE}A: {}", "x".repeat(64 * 1024)).into_bytes()).await;
    assert_eq!(error.kind(), TransportErrorKind::Handshake);
    let source = error.source().unwrap();
    assert_eq!(source.to_string(), "the HTTP header is longer than 8192 bytes (`max_header_bytes`)");
    assert!(heard.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{heard}");
}

#[tokio::test]
async fn a_browser_that_looks_around_is_told_what_this_is() {
    let (error, heard) = client_that_sends(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec()).await;
    assert!(matches!(error.source().unwrap().downcast_ref(), Some(UpgradeError::Rejected { .. })), "{error}");
    assert!(heard.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{heard}");
    assert!(
        heard.ends_with("libp2p over WebSocket is served here, and the request asks for no upgrade\n"),
        "{heard}"
    );
}

/// One byte at a time, each well within the time limit: the limit is for the whole.
#[tokio::test(start_paused = true)]
async fn a_header_that_comes_by_the_byte_runs_out_of_time() {
    let config = Config { handshake_timeout: DurationText::secs(5), ..Config::default() };
    let transport = WebSocketTransport::new(&config).unwrap();
    let (mut listener, addr) = listen(&transport, "/ip4/127.0.0.1/tcp/0/ws").await;
    let client = tokio::spawn(async move {
        let mut tcp = TcpStream::connect(socket_of(&addr)).await.unwrap();
        for byte in UPGRADE.bytes().cycle() {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            if tcp.write_all(&[byte]).await.is_err() {
                break;
            }
        }
    });
    let error = listener.accept().await.unwrap().accept().await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::TimedOut);
    assert!(error.to_string().ends_with("no upgrade within 5s (`handshake_timeout`)"), "{error}");
    client.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_runs_out_of_time() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = format!("/ip4/127.0.0.1/tcp/{}/ws", tcp.local_addr().unwrap().port());
    let error = transport().dial(&addr.parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::TimedOut);
    assert_eq!(
        error.to_string(),
        format!("no answer in time: {addr}: no upgrade within 10s (`handshake_timeout`)")
    );
}

#[tokio::test]
async fn a_server_that_is_no_websocket_is_told() {
    for (answer, kind, expected) in [
        (
            "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n",
            TransportErrorKind::Handshake,
            "the server answered 302 Found instead of 101: no WebSocket is served there",
        ),
        (
            "\x13/multistream/1.0.0\n\r\n\r\n",
            TransportErrorKind::Handshake,
            "the server's answer is no WebSocket upgrade",
        ),
        ("", TransportErrorKind::Reset, "the connection ended within the HTTP header"),
    ] {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = format!("/ip4/127.0.0.1/tcp/{}/ws", tcp.local_addr().unwrap().port());
        let server = tokio::spawn(async move {
            let (mut tcp, _) = tcp.accept().await.unwrap();
            assert!(tcp.read(&mut [0; 1024]).await.unwrap() > 0);
            tcp.write_all(answer.as_bytes()).await.unwrap();
        });
        let error = transport().dial(&addr.parse().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().ends_with(&addr), "{error}");
        assert_eq!(error.source().unwrap().to_string(), expected);
        server.await.unwrap();
    }
}

#[tokio::test]
async fn forwarded_headers_are_not_believed() {
    let transport = transport();
    let (mut listener, addr) = listen(&*transport, "/ip4/127.0.0.1/tcp/0/ws").await;
    let mut tcp = TcpStream::connect(socket_of(&addr)).await.unwrap();
    let forwarded =
        "X-Forwarded-For: 198.51.100.7\r\nX-Real-IP: 198.51.100.7\r\nForwarded: for=198.51.100.7\r\n";
    tcp.write_all(format!("{UPGRADE}{forwarded}\r\n").as_bytes()).await.unwrap();
    let link = listener.accept().await.unwrap().accept().await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    assert_eq!(link.remote().to_string(), format!("/ip4/127.0.0.1/tcp/{port}/ws"));
}

#[tokio::test]
async fn junk_after_the_upgrade_ends_the_connection_and_not_the_listener() {
    let transport = transport();
    let (mut listener, addr) = listen(&*transport, "/ip4/127.0.0.1/tcp/0/ws").await;
    for junk in [&[0xff; 1000][..], b"\x13/multistream/1.0.0\n", &[0x82, 0x04, 1, 2, 3, 4]] {
        let mut tcp = TcpStream::connect(socket_of(&addr)).await.unwrap();
        tcp.write_all(format!("{UPGRADE}\r\n").as_bytes()).await.unwrap();
        tcp.write_all(junk).await.unwrap();
        let mut io = io_of(listener.accept().await.unwrap().accept().await.unwrap());
        let error = io.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        let mut heard = vec![0; 4096];
        let n = tcp.read(&mut heard).await.unwrap();
        assert!(heard[..n].starts_with(b"HTTP/1.1 101 "));
    }
    let dial = tokio::spawn(async move { transport.dial(&addr).await });
    listener.accept().await.unwrap().accept().await.unwrap();
    dial.await.unwrap().unwrap();
}
