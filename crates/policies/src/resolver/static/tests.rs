use super::*;

fn table(entries: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_string()).collect();
    entries.iter().map(|(name, texts)| ((*name).to_string(), strings(texts))).collect()
}

async fn resolve(addr: &str) -> Result<Vec<String>, ResolveError> {
    let config = Config {
        hosts: table(&[
            ("node1.test", &["10.0.0.2", "2001:db8::1", "10.0.0.1"]),
            ("Six.Test.", &["2001:db8::6"]),
        ]),
        dnsaddr: table(&[
            ("boot.test", &["/dnsaddr/more.boot.test", "/dns/NODE1.test./tcp/4001"]),
            ("more.boot.test", &["/ip4/10.0.0.9/udp/4001/quic-v1"]),
            ("loop.test", &["/dnsaddr/loop.test", "/dnsaddr/LOOP.test"]),
        ]),
    };
    let found = Static::new(&config).unwrap().resolve(&addr.parse().unwrap()).await?;
    Ok(found.iter().map(Multiaddr::to_string).collect())
}

#[tokio::test]
async fn names_of_the_table_are_replaced() {
    let four = ["/ip4/10.0.0.2/tcp/1", "/ip4/10.0.0.1/tcp/1"];
    assert_eq!(resolve("/dns4/node1.test/tcp/1").await.unwrap(), four);
    assert_eq!(resolve("/dns6/node1.test/tcp/1").await.unwrap(), ["/ip6/2001:db8::1/tcp/1"]);
    let all = ["/ip6/2001:db8::1/tcp/1", four[0], four[1]];
    assert_eq!(resolve("/dns/node1.test/tcp/1").await.unwrap(), all);
    assert_eq!(resolve("/ip4/192.0.2.1/tcp/1").await.unwrap(), ["/ip4/192.0.2.1/tcp/1"]);
}

#[tokio::test]
async fn case_and_the_last_dot_do_not_matter() {
    for name in ["six.test", "SIX.TEST", "six.test.", "Six.Test."] {
        assert_eq!(
            resolve(&format!("/dns6/{name}/tcp/1")).await.unwrap(),
            ["/ip6/2001:db8::6/tcp/1"],
            "{name}"
        );
    }
}

#[tokio::test]
async fn dnsaddr_entries_are_followed_in_order() {
    assert_eq!(
        resolve("/dnsaddr/Boot.test.").await.unwrap(),
        [
            "/ip4/10.0.0.9/udp/4001/quic-v1",
            "/ip6/2001:db8::1/tcp/4001",
            "/ip4/10.0.0.2/tcp/4001",
            "/ip4/10.0.0.1/tcp/4001"
        ]
    );
}

#[tokio::test]
async fn what_is_not_in_the_table_is_not_found() {
    for (addr, detail) in [
        ("/dns4/nobody.test/tcp/1", "nobody.test has no IPv4 address in the table"),
        ("/dns4/six.test/tcp/1", "six.test has no IPv4 address in the table"),
        ("/dnsaddr/node1.test", "_dnsaddr.node1.test has no dnsaddr entry in the table"),
        ("/dns/boot.test/tcp/1", "boot.test has no IPv4 address in the table"),
    ] {
        let error = resolve(addr).await.unwrap_err();
        assert_eq!(error.kind(), ResolveErrorKind::NotFound, "{addr}");
        assert!(error.to_string().contains(detail), "{addr}: {error}");
    }
}

#[tokio::test]
async fn an_entry_that_leads_to_itself_is_given_up() {
    assert_eq!(resolve("/dnsaddr/loop.test").await.unwrap_err().kind(), ResolveErrorKind::Limit);
}
