use super::*;
use crate::{address::Address, error::UpgradeError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tungstenite::http::StatusCode;

const LIMIT: usize = 1024;
const GOOD: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// What the server makes of these bytes, and what it answers.
async fn served(request: &[u8], path: &str) -> (Result<Vec<u8>, UpgradeError>, String) {
    let (mut wire, mut io) = duplex(1 << 20);
    wire.write_all(request).await.unwrap();
    wire.shutdown().await.unwrap();
    let result = answer(&mut io, path, LIMIT).await;
    drop(io);
    let mut response = String::new();
    wire.read_to_string(&mut response).await.unwrap();
    (result, response)
}

/// What the client makes of an answer; `KEY` stands for the right key.
async fn answered(response: &str) -> Result<Vec<u8>, UpgradeError> {
    let (mut wire, mut io) = duplex(1 << 20);
    let address = "/ip4/192.0.2.1/tcp/80/ws/http-path/p2p".parse().unwrap();
    let address = Address::parse(&address).unwrap();
    let server = async {
        let mut request = vec![0; 4096];
        let n = wire.read(&mut request).await.unwrap();
        let request = String::from_utf8(request[..n].to_vec()).unwrap();
        assert!(request.starts_with("GET /p2p HTTP/1.1\r\nHost: 192.0.2.1:80\r\n"), "{request}");
        assert!(!request.contains("Origin") && !request.contains("Protocol"), "{request}");
        let key = request.split("Key: ").nth(1).unwrap().trim();
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        wire.write_all(response.replace("KEY", &accept).as_bytes()).await.unwrap();
        wire.shutdown().await.unwrap();
        let _ = wire.read(&mut [0]).await;
    };
    let client = async {
        let answer = request(&mut io, &address, LIMIT).await;
        drop(io);
        answer
    };
    tokio::join!(server, client).1
}

#[tokio::test]
async fn a_proper_request_is_answered_with_the_upgrade() {
    // The key and the answer to it are those of RFC 6455, section 1.3.
    for extra in ["", "Origin: https://example.org\r\n", "Sec-WebSocket-Protocol: chat\r\n"] {
        let (result, response) = served(format!("{GOOD}{extra}\r\nrest").as_bytes(), "/").await;
        assert_eq!(result.unwrap(), b"rest");
        assert_eq!(
            response.to_lowercase(),
            "http/1.1 101 switching protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n\r\n"
        );
    }
}

#[tokio::test]
async fn a_list_may_be_in_several_lines() {
    for (from, to) in [
        ("keep-alive, Upgrade", "keep-alive\r\nConnection: Upgrade"),
        ("keep-alive, Upgrade", "Upgrade\r\nConnection: keep-alive"),
        ("keep-alive, Upgrade", "keep-alive\r\nA: b\r\nconnection: x ,\tupgrade"),
        ("keep-alive, Upgrade", "keep-alive Upgrade"),
        ("Upgrade: websocket", "Upgrade: h2c\r\nUpgrade: WebSocket"),
        ("Upgrade: websocket", "Upgrade: h2c, websocket"),
    ] {
        let (result, response) = served(format!("{}\r\nrest", GOOD.replace(from, to)).as_bytes(), "/").await;
        assert!(response.starts_with("HTTP/1.1 101 "), "{to}: {response}");
        assert_eq!(result.unwrap(), b"rest");
    }
}

#[tokio::test]
async fn other_requests_are_refused_in_the_words_of_http() {
    let many = format!("{GOOD}{}", "A:1\r\n".repeat(130));
    let long = format!("{GOOD}A: {}\r\n", "x".repeat(64 * 1024));
    for (request, status, header) in [
        (GOOD.replace("GET", "POST"), 405, "Allow: GET"),
        (GOOD.replace("GET / ", "GET /other "), 404, "Connection: close"),
        (GOOD.replace("HTTP/1.1", "HTTP/1.0"), 505, "Connection: close"),
        (GOOD.replace("Upgrade: websocket", "A: b"), 426, "Upgrade: websocket"),
        (GOOD.replace("keep-alive, Upgrade", "close"), 426, "Upgrade: websocket"),
        (
            GOOD.replace("keep-alive, Upgrade", "keep-alive\r\nConnection: no-upgrade"),
            426,
            "Upgrade: websocket",
        ),
        (GOOD.replace("Version: 13", "Version: 8"), 426, "Sec-WebSocket-Version: 13"),
        (GOOD.replace("dGhl", ""), 400, "Connection: close"),
        (GOOD.replace("Host: h", "Host h"), 400, "Connection: close"),
        (many, 431, "Connection: close"),
        (long, 431, "Connection: close"),
        ("\x16\x03\x01 junk\r\n".into(), 400, "Connection: close"),
    ] {
        let (result, response) = served(format!("{request}\r\n").as_bytes(), "/").await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {response}");
        assert!(response.contains(&format!("\r\n{header}\r\n")), "{request}: {response}");
        match result.unwrap_err() {
            UpgradeError::Rejected { status: said, .. } => assert_eq!(said, status),
            UpgradeError::TooLong { limit } => assert_eq!((limit, status), (LIMIT, 431)),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_path_is_served_where_it_is_the_listeners() {
    let there = GOOD.replace("GET / ", "GET /p2p?a=b ");
    assert!(served(format!("{there}\r\n").as_bytes(), "/p2p").await.0.is_ok());
    assert!(served(format!("{GOOD}\r\n").as_bytes(), "/p2p").await.0.is_err());
}

#[tokio::test]
async fn a_header_is_found_however_it_is_cut() {
    let request = format!("{GOOD}\r\n");
    for cut in 0..request.len() {
        let (mut wire, mut io) = duplex(1 << 20);
        let (first, second) = request.as_bytes().split_at(cut);
        let send = async {
            wire.write_all(first).await.unwrap();
            tokio::task::yield_now().await;
            wire.write_all(second).await.unwrap();
        };
        let (result, ()) = tokio::join!(answer(&mut io, "/", LIMIT), send);
        assert!(result.unwrap().is_empty(), "cut at {cut}");
    }
}

#[tokio::test]
async fn a_request_that_ends_early_is_incomplete() {
    let (result, response) = served(GOOD.as_bytes(), "/").await;
    assert!(matches!(result, Err(UpgradeError::Incomplete)));
    assert_eq!(response, "");
}

#[tokio::test]
async fn the_limit_counts_to_the_byte() {
    let fill = |n: usize| format!("{GOOD}A: {}\r\n\r\n", "x".repeat(n));
    let spare = LIMIT - fill(0).len();
    assert!(served(fill(spare).as_bytes(), "/").await.0.is_ok());
    assert!(matches!(served(fill(spare + 1).as_bytes(), "/").await.0, Err(UpgradeError::TooLong { .. })));
}

#[tokio::test]
async fn answers_are_checked() {
    let good = "HTTP/1.1 101 X\r\nUpgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\nSec-WebSocket-Accept: KEY\r\n";
    assert_eq!(answered(&format!("{good}\r\n\x02")).await.unwrap(), b"\x02");
    let lines = good.replace(", upgrade", "\r\nConnection: upgrade");
    assert_eq!(answered(&format!("{lines}\r\n\x02")).await.unwrap(), b"\x02");
    for (from, to) in [
        ("Upgrade: WebSocket", "A: b"),
        ("keep-alive, upgrade", "close"),
        ("KEY", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("HTTP/1.1", "HTTP/1.0"),
        ("HTTP/1.1 101", "\x13/multistream"),
    ] {
        let error = answered(&format!("{}\r\n", good.replace(from, to))).await.unwrap_err();
        assert!(matches!(error, UpgradeError::BadResponse(_)), "{from}: {error}");
    }
    for name in ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"] {
        let error = answered(&format!("{good}{name}: x\r\n\r\n")).await.unwrap_err();
        assert!(matches!(error, UpgradeError::NotAskedFor(said) if said == name), "{error}");
    }
    let error = answered("HTTP/1.1 404 Not Found\r\n\r\n").await.unwrap_err();
    assert!(matches!(error, UpgradeError::Refused(StatusCode::NOT_FOUND)), "{error}");
    let error = answered(&format!("{good}A: {}\r\n\r\n", "x".repeat(64 * 1024))).await.unwrap_err();
    assert!(matches!(error, UpgradeError::TooLong { limit: LIMIT }), "{error}");
    assert!(matches!(answered(good).await.unwrap_err(), UpgradeError::Incomplete));
}
