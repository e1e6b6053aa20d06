//! The `dns` resolver against a name server on a real socket, with answers written by hand.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

use skep_api::{
    ConfigSection, Multiaddr,
    resolver::{ResolveErrorKind, Resolver},
};
use skep_policies::resolver::dns::{Config, Dns};
use std::net::SocketAddr;
use tokio::net::UdpSocket;

const A: u16 = 1;
const TXT: u16 = 16;
const PEER: &str = "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X";

/// The answer to a question as RFC 1035 section 4 lays it out: header, the question again, the records.
fn answer(query: &[u8]) -> Vec<u8> {
    let (name, question) = question(query);
    let kind = u16::from_be_bytes([question[question.len() - 4], question[question.len() - 3]]);
    let txt = |text: String| [vec![u8::try_from(text.len()).unwrap()], text.into_bytes()].concat();
    let (code, records) = match (name.to_lowercase().as_str(), kind) {
        ("host.test", A) => (0, vec![vec![192, 0, 2, 1], vec![192, 0, 2, 2]]),
        ("host.test", _) => (0, vec![]),
        ("_dnsaddr.boot.test", TXT) => {
            (0, vec![txt("v=junk".into()), txt(format!("dnsaddr=/dns4/host.test/tcp/4001/p2p/{PEER}"))])
        }
        ("broken.test", _) => (2, vec![]),
        _ => (3, vec![]),
    };
    let mut out = query[..2].to_vec();
    // A response to a recursive question, recursion available, and the code.
    out.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
    out.extend(question);
    for data in records {
        // The name is a pointer to the question; class IN, a minute to live.
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 60]);
        out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        out.extend(data);
    }
    out
}

/// The name asked for, and the bytes of the question.
fn question(query: &[u8]) -> (String, &[u8]) {
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..end].to_vec()).unwrap());
        at = end;
    }
    (labels.join("."), &query[12..at + 5])
}

async fn serve() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&answer(&buffer[..len]), from).await;
        }
    });
    addr
}

async fn resolve(server: SocketAddr, addr: &str) -> Result<Vec<String>, ResolveErrorKind> {
    let config = Config { nameservers: vec![server.to_string()], ..Config::default() };
    let found = Dns::new(&config).resolve(&addr.parse().unwrap()).await.map_err(|e| e.kind())?;
    Ok(found.iter().map(Multiaddr::to_string).collect())
}

#[tokio::test]
async fn names_and_dnsaddr_are_resolved() {
    let server = serve().await;
    let both = vec!["/ip4/192.0.2.1/tcp/1".to_string(), "/ip4/192.0.2.2/tcp/1".to_string()];
    assert_eq!(resolve(server, "/dns4/host.test/tcp/1").await, Ok(both.clone()));
    assert_eq!(resolve(server, "/dns/host.test/tcp/1").await, Ok(both));
    let boot = ["1", "2"].map(|n| format!("/ip4/192.0.2.{n}/tcp/4001/p2p/{PEER}"));
    assert_eq!(resolve(server, "/dnsaddr/boot.test").await, Ok(boot.to_vec()));
    assert_eq!(resolve(server, &format!("/dnsaddr/boot.test/p2p/{PEER}")).await, Ok(boot.to_vec()));
}

#[tokio::test]
async fn a_missing_name_is_told_apart_from_a_broken_server() {
    let server = serve().await;
    assert_eq!(resolve(server, "/dns4/nobody.test/tcp/1").await, Err(ResolveErrorKind::NotFound));
    assert_eq!(resolve(server, "/dns6/host.test/tcp/1").await, Err(ResolveErrorKind::NotFound));
    assert_eq!(resolve(server, "/dns4/broken.test/tcp/1").await, Err(ResolveErrorKind::Unavailable));
    assert_eq!(resolve(server, "/dns4/a..b/tcp/1").await, Err(ResolveErrorKind::NotFound));
}

#[tokio::test]
async fn a_closed_port_is_unavailable_and_keeps_its_cause() {
    // Bound without an answer for as long as the test runs, over UDP; closed, over TCP.
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let section = toml::from_str(&format!(
        "nameservers = [\"{}\"]\ntimeout = \"200ms\"\nattempts = 1",
        silent.local_addr().unwrap()
    ));
    let config: Config = ConfigSection::from_table("resolver.dns", section.unwrap()).decode().unwrap();
    let error = Dns::new(&config).resolve(&"/dns4/host.test/tcp/1".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ResolveErrorKind::Unavailable);
    assert!(error.to_string().contains("host.test"), "{error}");
}
