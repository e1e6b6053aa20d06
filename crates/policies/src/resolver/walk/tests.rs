use super::*;
use async_trait::async_trait;
use skep_api::PeerId;
use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr},
    sync::atomic::{AtomicUsize, Ordering},
};

/// Records by name; names that start with `silent` never answer.
#[derive(Debug, Default)]
struct Table {
    v4: HashMap<String, Vec<Ipv4Addr>>,
    v6: HashMap<String, Vec<Ipv6Addr>>,
    txt: HashMap<String, Vec<Vec<u8>>>,
    asked: AtomicUsize,
}

impl Table {
    fn v4(mut self, name: &str, ips: &[&str]) -> Self {
        self.v4.insert(name.into(), ips.iter().map(|ip| ip.parse().unwrap()).collect());
        self
    }
    fn v6(mut self, name: &str, ips: &[&str]) -> Self {
        self.v6.insert(name.into(), ips.iter().map(|ip| ip.parse().unwrap()).collect());
        self
    }
    fn txt(mut self, name: &str, records: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        self.txt.insert(format!("_dnsaddr.{name}"), records.into_iter().map(Into::into).collect());
        self
    }
    async fn answer<T: Clone>(
        &self,
        records: &HashMap<String, Vec<T>>,
        name: &str,
    ) -> Result<Vec<T>, ResolveError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if name.contains("silent") {
            std::future::pending::<()>().await;
        }
        records.get(name).cloned().ok_or_else(|| ResolveError::new(ResolveErrorKind::NotFound, name))
    }
    async fn resolve(&self, addr: &str) -> Result<Vec<String>, ResolveErrorKind> {
        let found = resolve(self, &addr.parse().unwrap(), Duration::from_secs(10)).await;
        assert!(self.asked.swap(0, Ordering::Relaxed) <= MAX_LOOKUPS);
        let found = found.map_err(|e| e.kind())?;
        assert!(!found.is_empty() && found.len() <= MAX_OUTPUTS);
        assert!(found.iter().all(|addr| first_name(addr).is_none()));
        Ok(found.iter().map(Multiaddr::to_string).collect())
    }
}

#[async_trait]
impl Lookup for Table {
    async fn ipv4(&self, name: &str) -> Result<Vec<Ipv4Addr>, ResolveError> {
        self.answer(&self.v4, name).await
    }
    async fn ipv6(&self, name: &str) -> Result<Vec<Ipv6Addr>, ResolveError> {
        self.answer(&self.v6, name).await
    }
    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, ResolveError> {
        self.answer(&self.txt, name).await
    }
}

fn strings(texts: &[&str]) -> Result<Vec<String>, ResolveErrorKind> {
    Ok(texts.iter().map(|t| (*t).to_string()).collect())
}

#[tokio::test]
async fn addresses_without_a_name_come_back_unchanged() {
    for addr in ["/ip4/192.0.2.1/tcp/1", "/memory/7", "/ip4/192.0.2.1/tcp/443/tls/sni/example.com/ws"] {
        assert_eq!(Table::default().resolve(addr).await, strings(&[addr]));
    }
}

#[tokio::test]
async fn names_are_replaced_in_place() {
    let table = Table::default().v4("a", &["192.0.2.1", "192.0.2.2"]).v6("a", &["2001:db8::1"]);
    let four = ["/ip4/192.0.2.1/tcp/1/ws", "/ip4/192.0.2.2/tcp/1/ws"];
    assert_eq!(table.resolve("/dns4/a/tcp/1/ws").await, strings(&four));
    assert_eq!(table.resolve("/dns6/a/udp/1").await, strings(&["/ip6/2001:db8::1/udp/1"]));
    let all = ["/ip6/2001:db8::1/tcp/1/ws", four[0], four[1]];
    assert_eq!(table.resolve("/dns/a/tcp/1/ws").await, strings(&all));
}

#[tokio::test]
async fn one_family_is_enough() {
    let table = Table::default().v4("a", &["192.0.2.1"]);
    assert_eq!(table.resolve("/dns/a/tcp/1").await, strings(&["/ip4/192.0.2.1/tcp/1"]));
    assert_eq!(table.resolve("/dns6/a/tcp/1").await, Err(ResolveErrorKind::NotFound));
    assert_eq!(table.resolve("/dns/b/tcp/1").await, Err(ResolveErrorKind::NotFound));
}

#[tokio::test]
async fn dnsaddr_records_are_followed_and_filtered_by_peer() {
    let (p, q) = (PeerId::random(), PeerId::random());
    let table = Table::default()
        .txt("top", [format!("dnsaddr=/dnsaddr/p.top/p2p/{p}"), format!("dnsaddr=/dnsaddr/q.top/p2p/{q}")])
        .txt(
            "p.top",
            [format!("dnsaddr=/ip4/192.0.2.1/tcp/1/p2p/{p}"), format!("dnsaddr=/dns4/p/tcp/2/p2p/{p}")],
        )
        .txt(
            "q.top",
            [format!("dnsaddr=/ip4/192.0.2.3/tcp/1/p2p/{q}"), "dnsaddr=/ip4/192.0.2.4/tcp/1".into()],
        )
        .v4("p", &["192.0.2.2"]);
    let of_p = [format!("/ip4/192.0.2.1/tcp/1/p2p/{p}"), format!("/ip4/192.0.2.2/tcp/2/p2p/{p}")];
    let of_q = format!("/ip4/192.0.2.3/tcp/1/p2p/{q}");
    let all = Ok(vec![of_p[0].clone(), of_p[1].clone(), of_q]);
    assert_eq!(table.resolve("/dnsaddr/top").await, all);
    assert_eq!(table.resolve(&format!("/dnsaddr/top/p2p/{p}")).await, Ok(of_p.to_vec()));
    let nobody = format!("/dnsaddr/top/p2p/{}", PeerId::random());
    assert_eq!(table.resolve(&nobody).await, Err(ResolveErrorKind::NotFound));

    let behind = format!("/p2p-circuit/p2p/{}", PeerId::random());
    let relayed = table.resolve(&format!("/dnsaddr/top/p2p/{q}{behind}")).await;
    assert_eq!(relayed, Ok(vec![format!("/ip4/192.0.2.3/tcp/1/p2p/{q}{behind}")]));
}

#[tokio::test]
async fn junk_records_are_skipped_and_nothing_but_junk_is_an_error() {
    let junk =
        [b"v=spf1 -all".to_vec(), b"dnsaddr=".to_vec(), b"dnsaddr=/ip4/300.1.1.1".to_vec(), vec![0xff; 300]];
    let long = format!("dnsaddr={}", "/tcp/1".repeat(1_000)).into_bytes();
    let good = b"dnsaddr=/ip4/192.0.2.1/tcp/1".to_vec();
    let table = Table::default()
        .txt("junk", junk.clone())
        .txt("long", [long])
        .txt("none", Vec::<Vec<u8>>::new())
        .txt("mixed", junk.into_iter().chain([good]));
    for name in ["junk", "long", "none"] {
        assert_eq!(
            table.resolve(&format!("/dnsaddr/{name}")).await,
            Err(ResolveErrorKind::BadRecord),
            "{name}"
        );
    }
    assert_eq!(table.resolve("/dnsaddr/mixed").await, strings(&["/ip4/192.0.2.1/tcp/1"]));
}

#[tokio::test]
async fn cycles_end() {
    let table = Table::default()
        .txt("self", ["dnsaddr=/dnsaddr/self"])
        .txt("a", ["dnsaddr=/dnsaddr/b", "dnsaddr=/dnsaddr/b"])
        .txt("b", ["dnsaddr=/dnsaddr/a", "dnsaddr=/dnsaddr/a"])
        .txt("way-out", ["dnsaddr=/dnsaddr/way-out", "dnsaddr=/ip4/192.0.2.1/tcp/1"]);
    assert_eq!(table.resolve("/dnsaddr/self").await, Err(ResolveErrorKind::Limit));
    assert_eq!(table.resolve("/dnsaddr/a").await, Err(ResolveErrorKind::Limit));
    assert_eq!(table.resolve("/dnsaddr/way-out").await, strings(&["/ip4/192.0.2.1/tcp/1"]));
}

#[tokio::test]
async fn chains_are_followed_for_four_records() {
    let mut table = Table::default().txt("4", ["dnsaddr=/ip4/192.0.2.1/tcp/1"]);
    for n in 0..4 {
        table = table.txt(&n.to_string(), [format!("dnsaddr=/dnsaddr/{}", n + 1)]);
    }
    assert_eq!(table.resolve("/dnsaddr/1").await, strings(&["/ip4/192.0.2.1/tcp/1"]));
    assert_eq!(table.resolve("/dnsaddr/0").await, Err(ResolveErrorKind::Limit));
}

#[tokio::test]
async fn many_records_and_many_names_are_bounded() {
    let addrs = (0..10_000).map(|n| format!("dnsaddr=/ip4/192.0.2.1/tcp/{n}"));
    let names = (0..10_000).map(|n| format!("dnsaddr=/dns/host{n}/tcp/1"));
    let ips: Vec<_> = (0..1_000u32).map(|n| Ipv4Addr::from(n).to_string()).collect();
    let table = Table::default()
        .txt("addrs", addrs)
        .txt("names", names)
        .v4("ips", &ips.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(table.resolve("/dnsaddr/addrs").await.map(|found| found.len()), Ok(MAX_OUTPUTS));
    assert_eq!(table.resolve("/dns4/ips/tcp/1").await.map(|found| found.len()), Ok(MAX_OUTPUTS));
    assert_eq!(table.resolve("/dnsaddr/names").await, Err(ResolveErrorKind::Limit));
    let names_in_a_row = "/dns4/ips".repeat(50);
    assert_eq!(table.resolve(&names_in_a_row).await, Err(ResolveErrorKind::Limit));
}

#[tokio::test]
async fn the_same_address_twice_comes_back_once() {
    let table =
        Table::default().txt("twice", ["dnsaddr=/ip4/192.0.2.1/tcp/1", "dnsaddr=/ip4/192.0.2.1/tcp/1"]);
    assert_eq!(table.resolve("/dnsaddr/twice").await, strings(&["/ip4/192.0.2.1/tcp/1"]));
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_costs_no_more_than_its_own_names() {
    let table = Table::default().txt("half", ["dnsaddr=/dns4/silent/tcp/1", "dnsaddr=/ip4/192.0.2.1/tcp/1"]);
    assert_eq!(table.resolve("/dnsaddr/half").await, strings(&["/ip4/192.0.2.1/tcp/1"]));
    assert_eq!(table.resolve("/dns4/silent/tcp/1").await, Err(ResolveErrorKind::Unavailable));
}

#[tokio::test]
async fn tls_keeps_the_name() {
    let table =
        Table::default().v4("host", &["192.0.2.1"]).txt("list", ["dnsaddr=/dns4/host/tcp/443/tls/ws"]);
    let peer = PeerId::random();
    for (named, resolved) in [
        ("/dns4/host/tcp/443/tls/ws", "/ip4/192.0.2.1/tcp/443/tls/sni/host/ws"),
        ("/dns/host/tcp/443/wss", "/ip4/192.0.2.1/tcp/443/tls/sni/host/ws"),
        ("/dnsaddr/list", "/ip4/192.0.2.1/tcp/443/tls/sni/host/ws"),
        ("/dns4/host/tcp/443/x-parity-wss/%2Fp", "/ip4/192.0.2.1/tcp/443/tls/sni/host/x-parity-ws/%2Fp"),
        ("/dns4/host/tcp/443/tls/sni/other/ws", "/ip4/192.0.2.1/tcp/443/tls/sni/other/ws"),
        ("/dns4/host/tcp/80/ws", "/ip4/192.0.2.1/tcp/80/ws"),
        ("/dns4/host/tcp/80", "/ip4/192.0.2.1/tcp/80"),
        ("/dns4/host/udp/80/quic-v1", "/ip4/192.0.2.1/udp/80/quic-v1"),
    ] {
        assert_eq!(table.resolve(named).await, strings(&[resolved]), "{named}");
    }
    let behind = format!("/p2p/{peer}/p2p-circuit");
    let relayed = table.resolve(&format!("/dns4/host/tcp/443/wss{behind}")).await;
    assert_eq!(relayed, strings(&[&format!("/ip4/192.0.2.1/tcp/443/tls/sni/host/ws{behind}")]));
}
