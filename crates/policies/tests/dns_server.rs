//! The `dns` resolver against a name server on a real socket, honest and hostile.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod name_server;

use name_server::{A, NameServer, Reply, TXT, a, cname, txt};
use skep_api::{
    ConfigSection, Multiaddr,
    config::DurationText,
    resolver::{MAX_OUTPUTS, ResolveErrorKind, Resolver},
};
use skep_policies::resolver::dns::{Config, Dns};
use std::{net::UdpSocket, time::Duration};

const PEER: &str = "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X";

/// Questions for one address at most: a lookup may be asked twice, over UDP and over TCP.
const MOST_QUESTIONS: usize = 64;

fn zone(name: &str, kind: u16) -> Reply {
    match (name, kind) {
        ("host.test", A) => Reply::Records(3_600, vec![a([192, 0, 2, 1]), a([192, 0, 2, 2])]),
        ("host.test", _) | ("new.test", _) => Reply::NoRecords(3_600),
        ("brief.test", A) => Reply::Records(1, vec![a([192, 0, 2, 3])]),
        (kept, A) if kept.starts_with("kept") => Reply::Records(3_600, vec![a([192, 0, 2, 4])]),
        ("_dnsaddr.boot.test", TXT) => {
            let boot = format!("dnsaddr=/dns4/host.test/tcp/4001/p2p/{PEER}");
            Reply::Records(60, vec![txt("v=junk"), txt(&boot)])
        }
        ("broken.test", _) => Reply::Failure,
        ("nobody.test", _) => Reply::NoName(Some(3_600)),
        ("unsigned.test", _) => Reply::NoName(None),
        _ => hostile(name, kind),
    }
}

fn hostile(name: &str, kind: u16) -> Reply {
    let numbers = 0..1_000u16;
    match (name, kind) {
        ("many.test", A) => {
            let ip = |n: u16| [10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]];
            Reply::Records(60, (0..4_000).map(|n| a(ip(n))).collect())
        }
        ("_dnsaddr.many.test", TXT) => {
            Reply::Records(60, numbers.map(|n| txt(&format!("dnsaddr=/ip4/192.0.2.1/tcp/{n}"))).collect())
        }
        ("_dnsaddr.self.test", TXT) => Reply::Records(60, vec![txt("dnsaddr=/dnsaddr/self.test")]),
        // Each name leads to ten more, of which none was asked for before.
        (fan, TXT) if fan.starts_with("_dnsaddr.fan") => {
            let name = fan.trim_start_matches("_dnsaddr.").trim_end_matches(".test");
            let record = |n| txt(&format!("dnsaddr=/dnsaddr/{name}-{n}.test"));
            Reply::Records(60, (0..10).map(record).collect())
        }
        ("_dnsaddr.hosts.test", TXT) => {
            Reply::Records(60, numbers.map(|n| txt(&format!("dnsaddr=/dns/host{n}.test/tcp/1"))).collect())
        }
        ("_dnsaddr.huge.test", TXT) => {
            let huge = format!("dnsaddr={}", "/tcp/1".repeat(10_000));
            Reply::Records(60, vec![txt(&huge), txt("dnsaddr=/ip4/192.0.2.1/tcp/1")])
        }
        ("_dnsaddr.onlyhuge.test", TXT) => Reply::Records(60, vec![txt(&"dnsaddr=/ip4".repeat(5_000))]),
        ("one.cname.test", _) => Reply::Records(60, vec![cname("two.cname.test")]),
        ("two.cname.test", _) => Reply::Records(60, vec![cname("one.cname.test")]),
        (chain, _) if chain.starts_with("chain") => Reply::Records(60, vec![cname(&format!("chain{chain}"))]),
        ("silent.test", _) => Reply::Silence,
        ("garbage.test", _) => Reply::Garbage,
        _ => Reply::NoName(None),
    }
}

fn config(server: &NameServer) -> Config {
    Config { nameservers: vec![server.addr.to_string()], ..Config::default() }
}

async fn ask(dns: &Dns, addr: &str) -> Result<Vec<String>, ResolveErrorKind> {
    let found = dns.resolve(&addr.parse().unwrap()).await.map_err(|e| e.kind())?;
    Ok(found.iter().map(Multiaddr::to_string).collect())
}

async fn resolve(server: &NameServer, addr: &str) -> Result<Vec<String>, ResolveErrorKind> {
    ask(&Dns::new(&config(server)), addr).await
}

/// Asks until the server is asked again, which it is when what was kept has expired.
async fn ask_until_asked_again(dns: &Dns, server: &NameServer, addr: &str) {
    let first = ask(dns, addr).await;
    assert!(server.asked() > 0, "{addr} was kept before it was asked for");
    for _ in 0..400 {
        assert_eq!(ask(dns, addr).await, first);
        if server.asked() > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{addr} is still kept");
}

#[tokio::test]
async fn names_and_dnsaddr_are_resolved() {
    let server = NameServer::start(zone);
    let both = vec!["/ip4/192.0.2.1/tcp/1".to_string(), "/ip4/192.0.2.2/tcp/1".to_string()];
    assert_eq!(resolve(&server, "/dns4/host.test/tcp/1").await, Ok(both.clone()));
    assert_eq!(resolve(&server, "/dns/host.test/tcp/1").await, Ok(both));
    let boot = ["1", "2"].map(|n| format!("/ip4/192.0.2.{n}/tcp/4001/p2p/{PEER}"));
    assert_eq!(resolve(&server, "/dnsaddr/boot.test").await, Ok(boot.to_vec()));
    assert_eq!(resolve(&server, &format!("/dnsaddr/boot.test/p2p/{PEER}")).await, Ok(boot.to_vec()));
}

#[tokio::test]
async fn a_missing_name_is_told_apart_from_a_broken_server() {
    let server = NameServer::start(zone);
    assert_eq!(resolve(&server, "/dns4/nobody.test/tcp/1").await, Err(ResolveErrorKind::NotFound));
    assert_eq!(resolve(&server, "/dns6/host.test/tcp/1").await, Err(ResolveErrorKind::NotFound));
    assert_eq!(resolve(&server, "/dns4/broken.test/tcp/1").await, Err(ResolveErrorKind::Unavailable));
    assert_eq!(resolve(&server, "/dns4/a..b/tcp/1").await, Err(ResolveErrorKind::NotFound));
}

#[tokio::test]
async fn a_server_that_never_answers_is_unavailable_and_named() {
    // Bound without an answer for as long as the test runs, over UDP; closed, over TCP.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let section = toml::from_str(&format!(
        "nameservers = [\"{}\"]\ntimeout = \"200ms\"\nattempts = 1",
        silent.local_addr().unwrap()
    ));
    let config: Config = ConfigSection::from_table("resolver.dns", section.unwrap()).decode().unwrap();
    let error = Dns::new(&config).resolve(&"/dns4/host.test/tcp/1".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ResolveErrorKind::Unavailable);
    assert!(error.to_string().contains("host.test"), "{error}");
}

#[tokio::test]
async fn answers_are_kept_and_asked_for_once() {
    let server = NameServer::start(zone);
    let dns = Dns::new(&config(&server));
    let addr = format!("/dnsaddr/boot.test/p2p/{PEER}");
    let first = ask(&dns, &addr).await;
    assert_eq!(server.asked(), 2);
    for _ in 0..100 {
        assert_eq!(ask(&dns, &addr).await, first);
        assert_eq!(ask(&dns, "/dns4/HOST.test/udp/1").await.map(|found| found.len()), Ok(2));
    }
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn that_there_is_nothing_is_kept_too() {
    let server = NameServer::start(zone);
    let dns = Dns::new(&config(&server));
    for addr in ["/dns4/nobody.test/tcp/1", "/dns6/host.test/tcp/1"] {
        assert_eq!(ask(&dns, addr).await, Err(ResolveErrorKind::NotFound), "{addr}");
        assert_eq!(server.asked(), 1, "{addr}");
        assert_eq!(ask(&dns, addr).await, Err(ResolveErrorKind::NotFound), "{addr}");
        assert_eq!(server.asked(), 0, "{addr}");
    }
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let server = NameServer::start(zone);
    let dns = Dns::new(&config(&server));
    // A name that does not exist, but no word on how long that holds.
    for addr in ["/dns4/broken.test/tcp/1", "/dns4/unsigned.test/tcp/1"] {
        for _ in 0..2 {
            assert!(ask(&dns, addr).await.is_err(), "{addr}");
            assert!(server.asked() > 0, "{addr}");
        }
    }
}

#[tokio::test]
async fn records_are_kept_for_as_long_as_they_say() {
    let server = NameServer::start(zone);
    let dns = Dns::new(&config(&server));
    ask_until_asked_again(&dns, &server, "/dns4/brief.test/tcp/1").await;
}

#[tokio::test]
async fn records_are_kept_no_longer_than_allowed() {
    let server = NameServer::start(zone);
    let dns = Dns::new(&Config { max_ttl: DurationText::secs(1), ..config(&server) });
    ask_until_asked_again(&dns, &server, "/dns4/host.test/tcp/1").await;
}

#[tokio::test]
async fn that_there_is_nothing_is_kept_no_longer_than_allowed() {
    let server = NameServer::start(zone);
    let dns = Dns::new(&Config { max_negative_ttl: DurationText::secs(1), ..config(&server) });
    ask_until_asked_again(&dns, &server, "/dns4/nobody.test/tcp/1").await;
    ask_until_asked_again(&dns, &server, "/dns6/new.test/tcp/1").await;
}

#[tokio::test]
async fn a_cache_of_no_size_keeps_nothing() {
    let server = NameServer::start(zone);
    let dns = Dns::new(&Config { cache_size: 0, ..config(&server) });
    for addr in ["/dns4/host.test/tcp/1", "/dns4/nobody.test/tcp/1"] {
        for _ in 0..3 {
            let before = server.asked_ever();
            drop(ask(&dns, addr).await);
            assert!(server.asked_ever() > before, "{addr}");
        }
    }
}

#[tokio::test]
async fn a_full_cache_forgets() {
    let server = NameServer::start(zone);
    let dns = Dns::new(&Config { cache_size: 2, ..config(&server) });
    for _ in 0..2 {
        let before = server.asked_ever();
        for n in 0..3 {
            assert!(ask(&dns, &format!("/dns4/kept{n}.test/tcp/1")).await.is_ok());
        }
        assert!(server.asked_ever() - before >= 3);
    }
}

#[tokio::test]
async fn thousands_of_records_are_cut_to_what_may_come_back() {
    let server = NameServer::start(zone);
    for addr in ["/dns4/many.test/tcp/1", "/dns/many.test/tcp/1", "/dnsaddr/many.test"] {
        assert_eq!(resolve(&server, addr).await.map(|found| found.len()), Ok(MAX_OUTPUTS), "{addr}");
    }
}

#[tokio::test]
async fn records_that_lead_on_and_on_are_given_up() {
    let server = NameServer::start(zone);
    for addr in ["/dnsaddr/self.test", "/dnsaddr/fan.test", "/dnsaddr/hosts.test"] {
        let before = server.asked_ever();
        assert_eq!(resolve(&server, addr).await, Err(ResolveErrorKind::Limit), "{addr}");
        let asked = server.asked_ever().saturating_sub(before);
        assert!(asked <= MOST_QUESTIONS, "{asked} questions for {addr}");
    }
}

#[tokio::test]
async fn names_that_are_other_names_without_end_are_given_up() {
    let server = NameServer::start(zone);
    for addr in ["/dns4/one.cname.test/tcp/1", "/dns4/chain.test/tcp/1"] {
        let before = server.asked_ever();
        assert_eq!(resolve(&server, addr).await, Err(ResolveErrorKind::NotFound), "{addr}");
        let asked = server.asked_ever().saturating_sub(before);
        assert!(asked <= MOST_QUESTIONS, "{asked} questions for {addr}");
    }
}

#[tokio::test]
async fn a_huge_record_is_skipped() {
    let server = NameServer::start(zone);
    assert_eq!(resolve(&server, "/dnsaddr/huge.test").await, Ok(vec!["/ip4/192.0.2.1/tcp/1".to_string()]));
    assert_eq!(resolve(&server, "/dnsaddr/onlyhuge.test").await, Err(ResolveErrorKind::BadRecord));
}

#[tokio::test]
async fn silence_and_garbage_end_with_the_timeout() {
    let server = NameServer::start(zone);
    let dns = Dns::new(&Config { timeout: DurationText::millis(300), ..config(&server) });
    for addr in ["/dns4/silent.test/tcp/1", "/dns4/garbage.test/tcp/1", "/dns/silent.test/tcp/1"] {
        let before = server.asked_ever();
        assert_eq!(ask(&dns, addr).await, Err(ResolveErrorKind::Unavailable), "{addr}");
        let asked = server.asked_ever().saturating_sub(before);
        assert!(asked <= MOST_QUESTIONS, "{asked} questions for {addr}");
    }
}
