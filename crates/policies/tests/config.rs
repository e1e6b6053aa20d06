//! What each table takes and refuses, with every message pinned.

#![allow(clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

use serde_json::{Map, Value};
use skep_api::{
    ConfigSection, PluginConfig,
    config::{DurationText, NoConfig, ValueOrigin},
};
use skep_policies::{
    gate::ip_filter,
    peerstore::{memory, redb},
    pruner::watermark,
    ranker::{sequential, smart},
    resolver::{dns, r#static},
    resources::{none, scoped},
    selector::health_based,
};
use std::collections::BTreeMap;

const VALID: &str = include_str!("../testdata/valid.toml");
const INVALID: &str = include_str!("../testdata/invalid.toml");

/// The table `<layer>.<name>` of a file in testdata.
fn section(file: &str, layer: &str, name: &str) -> ConfigSection {
    let table: Map<String, Value> = toml::from_str(file).expect("testdata is TOML");
    let table =
        table.get(layer).and_then(|l| l.get(name)).and_then(Value::as_object).expect("the table is there");
    let origin = ValueOrigin::File("skep.toml".into());
    ConfigSection::new(format!("{layer}.{name}"), table.clone(), BTreeMap::new(), origin)
}

fn refusal<C: PluginConfig + std::fmt::Debug>(layer: &str, name: &str) -> String {
    section(INVALID, layer, name).decode::<C>().expect_err("the table is invalid").to_string()
}

#[test]
fn valid_tables_are_read() {
    let gate: ip_filter::Config = section(VALID, "gate", "ip_filter").decode().unwrap();
    assert_eq!((gate.allow.len(), gate.deny.len()), (2, 2));
    assert_eq!((gate.allow_peers.len(), gate.deny_peers.len()), (1, 1));
    assert!(!gate.allow_private_addresses && !gate.allow_loopback_addresses);
    let dns: dns::Config = section(VALID, "resolver", "dns").decode().unwrap();
    assert_eq!((dns.nameservers.len(), dns.timeout, dns.attempts), (3, DurationText::secs(3), 1));
    assert_eq!(
        (dns.cache_size, dns.max_ttl, dns.max_negative_ttl.0.as_secs()),
        (0, DurationText::secs(86_400), 0)
    );
    let table: r#static::Config = section(VALID, "resolver", "static").decode().unwrap();
    assert_eq!((table.hosts.len(), table.hosts["node1.test"].len(), table.dnsaddr.len()), (2, 2, 1));
    let ranker: smart::Config = section(VALID, "ranker", "smart").decode().unwrap();
    assert_eq!(
        ranker,
        smart::Config {
            public_delay: DurationText::millis(200),
            private_delay: DurationText::secs(0),
            relay_delay: DurationText::secs(1),
            public_other_delay: DurationText::secs(2),
            private_other_delay: DurationText::secs(30),
        }
    );
    let ranker: sequential::Config = section(VALID, "ranker", "sequential").decode().unwrap();
    assert_eq!(ranker, sequential::Config { delay: Some(DurationText::secs(300)) });
    let pruner: watermark::Config = section(VALID, "pruner", "watermark").decode().unwrap();
    assert_eq!(
        pruner,
        watermark::Config {
            low: 10,
            high: 10,
            grace: DurationText::secs(0),
            silence: DurationText::secs(10)
        }
    );
    section(VALID, "selector", "best").decode::<NoConfig>().unwrap();
    let health: health_based::Config = section(VALID, "selector", "health_based").decode().unwrap();
    assert_eq!(health, health_based::Config { success: 1.0, latency: 0.0, stability: 0.5 });
    let memory = memory::Config {
        max_peers: 500,
        max_addrs: 2_000,
        max_addrs_per_peer: 10,
        max_records: 100,
        max_protocols_per_peer: 32,
        max_metadata_per_peer: 0,
        temporary_ttl: DurationText::secs(30),
        recently_connected_ttl: DurationText::secs(3_600),
    };
    assert_eq!(section(VALID, "peerstore", "memory").decode::<memory::Config>().unwrap(), memory);
    let file: redb::Config = section(VALID, "peerstore", "redb").decode().unwrap();
    assert_eq!((file.path.as_str(), file.on_corruption), ("peers.redb", redb::OnCorruption::StartAfresh));
    assert_eq!((file.write_every, file.max_peers), (DurationText::millis(250), memory.max_peers));
    let scoped: scoped::Config = section(VALID, "resources", "scoped").decode().unwrap();
    assert_eq!((scoped.max_memory.0, scoped.max_descriptors.0), (Some(512 << 20), Some(128)));
    assert_eq!((scoped.connection_memory.0, scoped.stream_memory.0), (Some(64 << 10), Some(4_096)));
    assert_eq!((scoped.ip4_limits.len(), scoped.ip6_limits.len()), (2, 0));
    assert_eq!((scoped.inbound_rate, scoped.inbound_burst, scoped.rate_hosts), (0, 1, 100));
    assert!(scoped.limit_loopback && scoped.services["identify"].len() == 2);
    assert_eq!((scoped.trusted.len(), scoped.allowlist.len()), (2, 3));
    assert_eq!(scoped.limits.system.memory, Some(scoped::BytesLimit(None)));
    assert_eq!(scoped.limits.peer.connections, Some(scoped::CountLimit(Some(500))));
    section(VALID, "resources", "none").decode::<NoConfig>().unwrap();
}

#[test]
fn what_is_written_of_limits_is_what_was_read() {
    let table = section(VALID, "resources", "scoped");
    let scoped: scoped::Config = table.decode().unwrap();
    let written = serde_json::to_value(&scoped).unwrap();
    let mut expected = Value::Object(table.table().clone());
    expected["stream_memory"] = "4KiB".into();
    assert_eq!(written, expected);
}

#[test]
fn an_empty_table_is_the_default() {
    let empty = |path: &str| ConfigSection::empty(path);
    assert_eq!(empty("gate.ip_filter").decode::<ip_filter::Config>().unwrap(), ip_filter::Config::default());
    assert_eq!(empty("resolver.dns").decode::<dns::Config>().unwrap(), dns::Config::default());
    assert_eq!(empty("resolver.static").decode::<r#static::Config>().unwrap(), r#static::Config::default());
    assert_eq!(empty("ranker.smart").decode::<smart::Config>().unwrap(), smart::Config::default());
    assert_eq!(
        empty("ranker.sequential").decode::<sequential::Config>().unwrap(),
        sequential::Config::default()
    );
    assert_eq!(
        empty("pruner.watermark").decode::<watermark::Config>().unwrap(),
        watermark::Config::default()
    );
    assert_eq!(empty("resources.scoped").decode::<scoped::Config>().unwrap(), scoped::Config::default());
    assert_eq!(empty("peerstore.memory").decode::<memory::Config>().unwrap(), memory::Config::default());
}

#[test]
fn a_peer_store_in_a_file_needs_a_path() {
    let errors = ConfigSection::empty("peerstore.redb").decode::<redb::Config>().unwrap_err();
    assert_eq!(
        errors.to_string(),
        "1 problem in the configuration:\n  \
         1. peerstore.redb.path: there is no file [default]\n    \
         the path of a file, such as \"peers.redb\""
    );
}

#[test]
fn a_table_is_read_by_the_file_of_its_name() {
    assert!(ip_filter::PLUGIN.origin.config_file.ends_with("policies/src/gate/ip_filter.rs"));
    assert!(dns::PLUGIN.origin.config_file.ends_with("policies/src/resolver/dns.rs"));
    assert!(r#static::PLUGIN.origin.config_file.ends_with("policies/src/resolver/static.rs"));
    assert!(smart::PLUGIN.origin.config_file.ends_with("policies/src/ranker/smart.rs"));
    assert!(sequential::PLUGIN.origin.config_file.ends_with("policies/src/ranker/sequential.rs"));
    assert!(memory::PLUGIN.origin.config_file.ends_with("policies/src/peerstore/memory.rs"));
    assert!(redb::PLUGIN.origin.config_file.ends_with("policies/src/peerstore/redb.rs"));
    assert!(scoped::PLUGIN.origin.config_file.ends_with("policies/src/resources/scoped.rs"));
    assert!(none::PLUGIN.origin.file.ends_with("policies/src/resources/none.rs"));
    assert!(watermark::PLUGIN.origin.config_file.ends_with("policies/src/pruner/watermark.rs"));
}

#[test]
fn messages_of_ip_filter() {
    assert_eq!(
        refusal::<ip_filter::Config>("gate", "ip_filter"),
        "9 problems in the configuration:\n  \
         1. gate.ip_filter.allow_loopback_addresses: invalid type: integer `0`, expected a boolean [file skep.toml]\n    \
         Whether addresses of this host itself may connect and be dialled: 127.0.0.0/8, ::1, and 0.0.0.0 and ::, which lead there. Default true; false wins over `allow`, and cuts off a proxy on the same machine.\n  \
         2. gate.ip_filter.allow_private_addresses: invalid type: string \"no\", expected a boolean [file skep.toml]\n    \
         Whether private and link-local addresses may connect and be dialled: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, 169.254.0.0/16, fc00::/7 and fe80::/10. Default true; false wins over `allow`, and cuts off the node's own network.\n  \
         3. gate.ip_filter.alow: unknown key [file skep.toml]\n    \
         did you mean `allow`? keys here: allow, allow_loopback_addresses, allow_peers, allow_private_addresses, deny, deny_peers\n  \
         4. gate.ip_filter.deny: invalid type: string \"10.0.0.0/8\", expected a sequence [file skep.toml]\n    \
         Networks that may not connect, such as `\"10.0.0.0/8\"`; wins over `allow`. Default none.\n  \
         5. gate.ip_filter.allow[0]: \"10.0.0.0/33\" is neither an IP address nor a network [file skep.toml]\n    \
         an address or a network, such as \"192.0.2.7\", \"10.0.0.0/8\" or \"2001:db8::/32\"\n  \
         6. gate.ip_filter.allow[1]: \"example.com\" is neither an IP address nor a network [file skep.toml]\n    \
         an address or a network, such as \"192.0.2.7\", \"10.0.0.0/8\" or \"2001:db8::/32\"\n  \
         7. gate.ip_filter.allow[2]: \"10.1.2.3/8\" has address bits beyond its prefix length [file skep.toml]\n    \
         write \"10.0.0.0/8\" for the network or \"10.1.2.3\" for the address\n  \
         8. gate.ip_filter.allow_peers[0]: \"12D3KooWnobody\" is not a peer id: invalid multihash [file skep.toml]\n    \
         the text form of a peer id, such as \"12D3KooW…\"\n  \
         9. gate.ip_filter.deny_peers[0]: \"nobody\" is not a peer id: invalid multihash [file skep.toml]\n    \
         the text form of a peer id, such as \"12D3KooW…\""
    );
}

#[test]
fn messages_of_dns() {
    assert_eq!(
        refusal::<dns::Config>("resolver", "dns"),
        "7 problems in the configuration:\n  \
         1. resolver.dns.nameservers[1]: \"dns.example.com\" is not the address of a name server [file skep.toml]\n    \
         an IP address with a port, such as \"192.0.2.53:53\" or \"[2001:db8::53]:53\"\n  \
         2. resolver.dns.nameservers[2]: \"192.0.2.53:0\" is not the address of a name server [file skep.toml]\n    \
         an IP address with a port, such as \"192.0.2.53:53\" or \"[2001:db8::53]:53\"\n  \
         3. resolver.dns.timeout: 6m is out of range [file skep.toml]\n    \
         allowed: 1ms to 5m\n  \
         4. resolver.dns.attempts: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 10\n  \
         5. resolver.dns.cache_size: 65537 is out of range [file skep.toml]\n    \
         allowed: 0 to 65536\n  \
         6. resolver.dns.max_ttl: 25h is out of range [file skep.toml]\n    \
         allowed: 0s to 24h\n  \
         7. resolver.dns.max_negative_ttl: 61m is out of range [file skep.toml]\n    \
         allowed: 0s to 1h"
    );
}

#[test]
fn messages_of_static() {
    assert_eq!(
        refusal::<r#static::Config>("resolver", "static"),
        "8 problems in the configuration:\n  \
         1. resolver.static.hosts.\"a..test\": \"a..test\" is not a name [file skep.toml]\n    \
         a name of DNS, such as \"node1.test\"\n  \
         2. resolver.static.hosts.\"node1.test\"[1]: \"10.0.0.256\" is not an IP address [file skep.toml]\n    \
         an IP address, such as \"192.0.2.7\" or \"2001:db8::1\"\n  \
         3. resolver.static.hosts.\"node1.test\"[2]: \"/ip4/10.0.0.1\" is not an IP address [file skep.toml]\n    \
         an IP address, such as \"192.0.2.7\" or \"2001:db8::1\"\n  \
         4. resolver.static.hosts.\"node1.test\": \"node1.test\" is in the table twice [file skep.toml]\n    \
         names differ in more than case and the dot at their end; put the lists together\n  \
         5. resolver.static.hosts.\"node2.test\": \"node2.test\" has 0 addresses [file skep.toml]\n    \
         allowed: 1 to 100, or leave the name out\n  \
         6. resolver.static.dnsaddr.\"_dnsaddr.boot.test\": \"_dnsaddr.boot.test\" begins with `_dnsaddr.` [file skep.toml]\n    \
         write \"boot.test\"\n  \
         7. resolver.static.dnsaddr.\"boot.test\"[0]: \"10.0.0.1\" is not an address: invalid multiaddr [file skep.toml]\n    \
         an address, such as \"/ip4/192.0.2.7/tcp/4001/p2p/12D3KooW…\"\n  \
         8. resolver.static.dnsaddr.\"boot.test\"[1]: \"\" is not an address [file skep.toml]\n    \
         an address, such as \"/ip4/192.0.2.7/tcp/4001/p2p/12D3KooW…\""
    );
    assert_eq!(
        refusal::<r#static::Config>("resolver", "static/typed"),
        "1 problem in the configuration:\n  \
         1. resolver.static/typed.hosts: \"node2.test\": invalid type: string \"10.0.0.2\", expected a sequence [file skep.toml]\n    \
         The IP addresses of names, as `\"node1.test\" = [\"10.0.0.1\", \"2001:db8::1\"]`, up to 100 for each. Default none."
    );
}

#[test]
fn messages_of_smart() {
    assert_eq!(
        refusal::<smart::Config>("ranker", "smart"),
        "6 problems in the configuration:\n  \
         1. ranker.smart.delay: unknown key [file skep.toml]\n    \
         keys here: private_delay, private_other_delay, public_delay, public_other_delay, relay_delay\n  \
         2. ranker.smart.private_delay: invalid type: integer `30`, expected a duration with a unit, such as \"250ms\", \"5s\", \"2m\" or \"1h\" [file skep.toml]\n    \
         The stagger between addresses of this host and its networks, up to `\"30s\"`. Default `\"30ms\"`.\n  \
         3. ranker.smart.public_delay: 31s is out of range [file skep.toml]\n    \
         allowed: 0s to 30s\n  \
         4. ranker.smart.relay_delay: 1m is out of range [file skep.toml]\n    \
         allowed: 0s to 30s\n  \
         5. ranker.smart.public_other_delay: 1h is out of range [file skep.toml]\n    \
         allowed: 0s to 30s\n  \
         6. ranker.smart.private_other_delay: 30001ms is out of range [file skep.toml]\n    \
         allowed: 0s to 30s"
    );
}

#[test]
fn messages_of_sequential() {
    assert_eq!(
        refusal::<sequential::Config>("ranker", "sequential"),
        "1 problem in the configuration:\n  \
         1. ranker.sequential.delay: 0s is out of range [file skep.toml]\n    \
         allowed: 1ms to 5m"
    );
}

#[test]
fn messages_of_watermark() {
    assert_eq!(
        refusal::<watermark::Config>("pruner", "watermark"),
        "3 problems in the configuration:\n  \
         1. pruner.watermark.grace: invalid value: string \"60\", expected a duration with a unit, such as \"250ms\", \"5s\", \"2m\" or \"1h\" [file skep.toml]\n    \
         How long a new connection is spared. Default `\"60s\"`; a longer time leaves a flood standing.\n  \
         2. pruner.watermark.high: invalid value: integer `-1`, expected u32 [file skep.toml]\n    \
         Connections above which pruning starts, at least `low`. Default 256; each costs memory and a socket.\n  \
         3. pruner.watermark.low: 0 would close every connection [file skep.toml]\n    \
         allowed: 1 or more"
    );
    let mut marks = Map::new();
    marks.insert("low".into(), 300.into());
    let errors =
        ConfigSection::from_table("pruner.watermark", marks).decode::<watermark::Config>().unwrap_err();
    assert_eq!(
        errors.to_string(),
        "1 problem in the configuration:\n  \
         1. pruner.watermark.high: 256 is below `low`, which is 300 [default]\n    \
         allowed: 300 or more, or lower `low`"
    );
}

#[test]
fn messages_of_best() {
    assert_eq!(
        refusal::<NoConfig>("selector", "best"),
        "1 problem in the configuration:\n  \
         1. selector.best.strategy: unknown key [file skep.toml]\n    \
         this plugin has no keys"
    );
}

#[test]
fn messages_of_health_based() {
    assert_eq!(
        refusal::<health_based::Config>("selector", "health_based"),
        "2 problems in the configuration:\n  \
         1. selector.health_based.success: -1 is no weight [file skep.toml]\n    \
         allowed: 0 to 1000\n  \
         2. selector.health_based.latency: 2000 is no weight [file skep.toml]\n    \
         allowed: 0 to 1000"
    );
    let mut weights = Map::new();
    for key in ["success", "latency", "stability"] {
        weights.insert(key.into(), 0.0.into());
    }
    let section = ConfigSection::from_table("selector.health_based", weights);
    let errors = section.decode::<health_based::Config>().unwrap_err();
    assert_eq!(
        errors.to_string(),
        "1 problem in the configuration:\n  \
         1. selector.health_based.success: all weights are 0, which tells nothing apart [set in code]\n    \
         give one of them a weight"
    );
}

#[test]
fn messages_of_memory() {
    assert_eq!(
        refusal::<memory::Config>("peerstore", "memory"),
        "7 problems in the configuration:\n  \
         1. peerstore.memory.max_peer: unknown key [file skep.toml]\n    \
         did you mean `max_peers`? keys here: max_addrs, max_addrs_per_peer, max_metadata_per_peer, max_peers, max_protocols_per_peer, max_records, recently_connected_ttl, temporary_ttl\n  \
         2. peerstore.memory.max_records: invalid value: integer `-1`, expected u32 [file skep.toml]\n    \
         Certified records, at least 1. Default 10000; each costs up to 8 KiB.\n  \
         3. peerstore.memory.recently_connected_ttl: invalid value: string \"a while\", expected a duration with a unit, such as \"250ms\", \"5s\", \"2m\" or \"1h\" [file skep.toml]\n    \
         How long an address is kept after its connection has ended, `\"1s\"` to `\"720h\"`. Default `\"15m\"`; longer means more dead ones.\n  \
         4. peerstore.memory.max_peers: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 10000000\n  \
         5. peerstore.memory.max_metadata_per_peer: 16777217 is out of range [file skep.toml]\n    \
         allowed: 0 to 16777216\n  \
         6. peerstore.memory.max_addrs: 5 is below `max_addrs_per_peer`, which is 10 [file skep.toml]\n    \
         allowed: 10 or more, or lower `max_addrs_per_peer`\n  \
         7. peerstore.memory.temporary_ttl: 0s is out of range [file skep.toml]\n    \
         allowed: 1s to 720h"
    );
}

#[test]
fn messages_of_redb() {
    assert_eq!(
        refusal::<redb::Config>("peerstore", "redb"),
        "4 problems in the configuration:\n  \
         1. peerstore.redb.on_corruption: unknown variant `delete`, expected `fail` or `start_afresh` [file skep.toml]\n    \
         What to do about a damaged file: `\"fail\"`, or `\"start_afresh\"`, which moves it to `<path>.damaged-<n>`. Default `\"fail\"`; starting afresh costs all that was known.\n  \
         2. peerstore.redb.path: there is no file [file skep.toml]\n    \
         the path of a file, such as \"peers.redb\"\n  \
         3. peerstore.redb.write_every: 2h is out of range [file skep.toml]\n    \
         allowed: 10ms to 1h\n  \
         4. peerstore.redb.max_protocols_per_peer: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 10000"
    );
}

#[test]
fn messages_of_scoped() {
    assert_eq!(
        refusal::<scoped::Config>("resources", "scoped"),
        "21 problems in the configuration:\n  \
         1. resources.scoped.connection_memory: invalid value: string \"32KB\", expected bytes, such as 4096 or \"64KiB\" [file skep.toml]\n    \
         What each connection is charged, in bytes. Default `\"32KiB\"`: its task, its socket, and what security and muxer keep at rest.\n  \
         2. resources.scoped.inbound_rates: unknown key [file skep.toml]\n    \
         did you mean `inbound_rate`? keys here: allowlist, connection_memory, inbound_burst, inbound_rate, ip4_limits, ip6_limits, limit_loopback, limits, max_descriptors, max_memory, rate_hosts, services, stream_memory, trusted\n  \
         3. resources.scoped.max_descriptors: invalid value: string \"many\", expected \"auto\" or a number [file skep.toml]\n    \
         File descriptors that connections may have. Default `\"auto\"`: half of what the process may open (`ulimit -n`).\n  \
         4. resources.scoped.ip4_limits[1].connections: 4 for a /24 is below the 8 for a /32 within it [file skep.toml]\n    \
         allowed: 8 or more\n  \
         5. resources.scoped.ip4_limits[2].prefix: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 32\n  \
         6. resources.scoped.ip4_limits[3].prefix: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 32\n  \
         7. resources.scoped.ip4_limits[3].prefix: /0 comes after /0 [file skep.toml]\n    \
         from the longest prefix to the shortest, each once\n  \
         8. resources.scoped.ip6_limits[1].connections: 4 for a /56 is below the 8 for a /64 within it [file skep.toml]\n    \
         allowed: 8 or more\n  \
         9. resources.scoped.inbound_rate: 100001 is out of range [file skep.toml]\n    \
         allowed: 0 to 100000\n  \
         10. resources.scoped.inbound_burst: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 100000\n  \
         11. resources.scoped.rate_hosts: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 1000000\n  \
         12. resources.scoped.max_memory: 40KiB has no room for one connection [file skep.toml]\n    \
         allowed: 48KiB or more, which is `connection_memory` and `stream_memory`\n  \
         13. resources.scoped.services.second[0]: \"/b\" belongs to `first` already [file skep.toml]\n    \
         a protocol has one service\n  \
         14. resources.scoped.limits.system.connections_inbound: 200 is above `limits.system.connections`, which is 100 [file skep.toml]\n    \
         allowed: 0 to 100, or raise `limits.system.connections`\n  \
         15. resources.scoped.limits.peer.connections: 150 is above `limits.system.connections`, which is 100 [file skep.toml]\n    \
         allowed: 0 to 100, or raise `limits.system.connections`\n  \
         16. resources.scoped.limits.peer.memory: 20MiB is above `limits.system.memory`, which is 10MiB [file skep.toml]\n    \
         allowed: 0 to 10MiB, or raise `limits.system.memory`\n  \
         17. resources.scoped.limits.protocol_peer.connections: there are no connections within a protocol_peer to limit [file skep.toml]\n    \
         remove the key\n  \
         18. resources.scoped.limits.protocol_peer.streams: 11 is above `limits.peer.streams`, which is 10 [file skep.toml]\n    \
         allowed: 0 to 10, or raise `limits.peer.streams`\n  \
         19. resources.scoped.trusted[0]: \"10.1.2.3/8\" has address bits beyond its prefix length [file skep.toml]\n    \
         write \"10.0.0.0/8\" for the network or \"10.1.2.3\" for the address\n  \
         20. resources.scoped.allowlist[0]: \"friends\" is neither an IP address nor a network [file skep.toml]\n    \
         an address or a network, such as \"192.0.2.7\", \"10.0.0.0/8\" or \"2001:db8::/32\"; or with a peer, \"10.0.0.0/8/p2p/12D3KooW…\"; or the peer alone, \"/p2p/12D3KooW…\"\n  \
         21. resources.scoped.allowlist[1]: \"nobody\" is not a peer id: invalid multihash [file skep.toml]\n    \
         the text form of a peer id, such as \"12D3KooW…\""
    );
    assert_eq!(
        refusal::<scoped::Config>("resources", "scoped/typed"),
        "1 problem in the configuration:\n  \
         1. resources.scoped/typed.limits: unknown field `sistem`, expected one of `system`, `transient`, `allowlisted_system`, `allowlisted_transient`, `service`, `protocol`, `peer`, `service_peer`, `protocol_peer`, `connection`, `stream` [file skep.toml]\n    \
         Limits set by hand, as `peer = { streams_inbound = 128 }`; a number or `\"unlimited\"`. Default none: all are derived."
    );
    assert_eq!(
        refusal::<scoped::Config>("resources", "scoped/negative"),
        "1 problem in the configuration:\n  \
         1. resources.scoped/negative.limits: invalid value: integer `-1`, expected a number or \"unlimited\" [file skep.toml]\n    \
         Limits set by hand, as `peer = { streams_inbound = 128 }`; a number or `\"unlimited\"`. Default none: all are derived."
    );
}

#[test]
fn messages_of_none() {
    assert_eq!(
        refusal::<NoConfig>("resources", "none"),
        "1 problem in the configuration:\n  \
         1. resources.none.max_memory: unknown key [file skep.toml]\n    \
         this plugin has no keys"
    );
}
