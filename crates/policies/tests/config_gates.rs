//! What the tables of the gates that limit take and refuse, with every message pinned.

#![allow(clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

use skep_api::{ConfigSection, PluginConfig, config::ValueOrigin};
use skep_policies::gate::{prefix_limit, rate_limit};
use std::collections::BTreeMap;

fn section(path: &str, toml: &str) -> ConfigSection {
    let table = toml::from_str(toml).expect("the table is TOML");
    ConfigSection::new(path, table, BTreeMap::new(), ValueOrigin::File("skep.toml".into()))
}

fn refusal<C: PluginConfig + std::fmt::Debug>(path: &str, toml: &str) -> String {
    section(path, toml).decode::<C>().expect_err("the table is invalid").to_string()
}

#[test]
fn valid_tables_are_read() {
    let prefix = |bits, max| prefix_limit::PrefixMax { bits, max };
    let table = r#"
        inbound_v4 = [{ bits = 32, max = 8 }, { bits = 24, max = 32 }]
        inbound_v6 = []
        outbound_v4 = [{ bits = 1, max = 1000000 }]
        outbound_v6 = [{ bits = 128, max = 1 }]
        handshakes = 0
        exempt = []
    "#;
    let read: prefix_limit::Config = section("gate.prefix_limit", table).decode().unwrap();
    assert_eq!(
        read,
        prefix_limit::Config {
            inbound_v4: vec![prefix(32, 8), prefix(24, 32)],
            inbound_v6: Vec::new(),
            outbound_v4: vec![prefix(1, 1_000_000)],
            outbound_v6: vec![prefix(128, 1)],
            handshakes: 0,
            exempt: Vec::new(),
        }
    );
    let table = r#"
        inbound_per_host = 0
        inbound_burst = 1
        inbound_total = 100000
        inbound_total_burst = 100000
        streams_per_peer = 7
        streams_burst = 8
        protocols = { "/ipfs/id/1.0.0" = { streams = 1, burst = 4 } }
        dials = 9
        dials_burst = 10
        dials_per_host = 11
        dials_per_host_burst = 12
        hosts = 1000000
        peers = 1
        exempt = ["10.0.0.0/8"]
    "#;
    let read: rate_limit::Config = section("gate.rate_limit", table).decode().unwrap();
    let rate = rate_limit::StreamRate { streams: 1, burst: 4 };
    assert_eq!(
        read,
        rate_limit::Config {
            inbound_per_host: 0,
            inbound_burst: 1,
            inbound_total: 100_000,
            inbound_total_burst: 100_000,
            streams_per_peer: 7,
            streams_burst: 8,
            protocols: BTreeMap::from([("/ipfs/id/1.0.0".into(), rate)]),
            dials: 9,
            dials_burst: 10,
            dials_per_host: 11,
            dials_per_host_burst: 12,
            hosts: 1_000_000,
            peers: 1,
            exempt: vec!["10.0.0.0/8".into()],
        }
    );
}

#[test]
fn an_empty_table_is_the_default() {
    let empty = ConfigSection::empty;
    let prefix: prefix_limit::Config = empty("gate.prefix_limit").decode().unwrap();
    assert_eq!(prefix, prefix_limit::Config::default());
    let rate: rate_limit::Config = empty("gate.rate_limit").decode().unwrap();
    assert_eq!(rate, rate_limit::Config::default());
    assert!(prefix_limit::PLUGIN.origin.config_file.ends_with("policies/src/gate/prefix_limit.rs"));
    assert!(rate_limit::PLUGIN.origin.config_file.ends_with("policies/src/gate/rate_limit.rs"));
}

#[test]
fn messages_of_prefix_limit() {
    let table = r#"
        inbound_v4 = [{ bits = 0, max = 8 }, { bits = 33, max = 0 }]
        inbound_v6 = [{ bits = 56, max = 8 }, { bits = 48, max = 4 }]
        outbound_v4 = [{ bits = 24, max = 8 }, { bits = 24, max = 8 }]
        outbound_v6 = [{ bits = 129, max = 1000001 }]
        handshakes = 100001
        exempt = ["lan"]
        inbound = 8
    "#;
    assert_eq!(
        refusal::<prefix_limit::Config>("gate.prefix_limit", table),
        "11 problems in the configuration:\n  \
         1. gate.prefix_limit.inbound: unknown key [file skep.toml]\n    \
         did you mean `inbound_v6`? keys here: exempt, handshakes, inbound_v4, inbound_v6, outbound_v4, outbound_v6\n  \
         2. gate.prefix_limit.inbound_v4[0].bits: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 32\n  \
         3. gate.prefix_limit.inbound_v4[1].bits: 33 is out of range [file skep.toml]\n    \
         allowed: 1 to 32\n  \
         4. gate.prefix_limit.inbound_v4[1].max: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 1000000\n  \
         5. gate.prefix_limit.inbound_v4[1].bits: /33 comes after /0 [file skep.toml]\n    \
         from the longest prefix to the shortest, each once\n  \
         6. gate.prefix_limit.inbound_v6[1].max: 4 for a /48 is below the 8 for a /56 within it [file skep.toml]\n    \
         allowed: 8 or more\n  \
         7. gate.prefix_limit.outbound_v4[1].bits: /24 comes after /24 [file skep.toml]\n    \
         from the longest prefix to the shortest, each once\n  \
         8. gate.prefix_limit.outbound_v6[0].bits: 129 is out of range [file skep.toml]\n    \
         allowed: 1 to 128\n  \
         9. gate.prefix_limit.outbound_v6[0].max: 1000001 is out of range [file skep.toml]\n    \
         allowed: 1 to 1000000\n  \
         10. gate.prefix_limit.handshakes: 100001 is out of range [file skep.toml]\n    \
         allowed: 0 to 100000\n  \
         11. gate.prefix_limit.exempt[0]: \"lan\" is neither an IP address nor a network [file skep.toml]\n    \
         an address or a network, such as \"192.0.2.7\", \"10.0.0.0/8\" or \"2001:db8::/32\""
    );
}

#[test]
fn messages_of_prefix_limit_about_types() {
    let table = r#"
        inbound_v4 = 8
        inbound_v6 = [{ bits = 56 }]
        outbound_v4 = [{ prefix = 24, max = 8 }]
        outbound_v6 = [{ bits = 256, max = 8 }]
        handshakes = "8"
        exempt = "10.0.0.0/8"
    "#;
    assert_eq!(
        refusal::<prefix_limit::Config>("gate.prefix_limit", table),
        "6 problems in the configuration:\n  \
         1. gate.prefix_limit.exempt: invalid type: string \"10.0.0.0/8\", expected a sequence [file skep.toml]\n    \
         Networks that are not limited, such as `\"10.0.0.0/8\"`. Default `[\"127.0.0.0/8\", \"::1\"]`, this host itself; a list of one's own is in its place.\n  \
         2. gate.prefix_limit.handshakes: invalid type: string \"8\", expected u32 [file skep.toml]\n    \
         Inbound connections of one host, an address of IPv4 or a /56 of IPv6, that may be in their handshake at a time, 0 (no limit) to 100000. Default 8.\n  \
         3. gate.prefix_limit.inbound_v4: invalid type: integer `8`, expected a sequence [file skep.toml]\n    \
         Inbound connections from one prefix of IPv4, as `{ bits = 32, max = 8 }`, the longest prefix first. Default `[{ bits = 32, max = 32 }, { bits = 24, max = 128 }]`; `[]` for no limit. More behind one NAT are denied.\n  \
         4. gate.prefix_limit.inbound_v6: missing field `max` [file skep.toml]\n    \
         Inbound connections from one prefix of IPv6, as `{ bits = 56, max = 8 }`, the longest prefix first. Default `[{ bits = 56, max = 32 }, { bits = 48, max = 128 }]`; `[]` for no limit. A cluster is often one /56.\n  \
         5. gate.prefix_limit.outbound_v4: unknown field `prefix`, expected `bits` or `max` [file skep.toml]\n    \
         Outbound connections to one prefix of IPv4, as `{ bits = 24, max = 32 }`. Default none: no limit.\n  \
         6. gate.prefix_limit.outbound_v6: invalid value: integer `256`, expected u8 [file skep.toml]\n    \
         Outbound connections to one prefix of IPv6, as `{ bits = 48, max = 32 }`. Default none: no limit."
    );
}

#[test]
fn messages_of_rate_limit() {
    let table = r#"
        inbound_per_host = 100001
        inbound_burst = 0
        inbound_total = 100001
        inbound_total_burst = 0
        streams_per_peer = 100001
        streams_burst = 0
        dials = 100001
        dials_burst = 0
        dials_per_host = 100001
        dials_per_host_burst = 0
        hosts = 0
        peers = 1000001
        exempt = ["10.1.2.3/8"]
        inbound_rate = 5
        [protocols]
        "/x/1.0.0" = { streams = 100001, burst = 0 }
        "identify" = { streams = 1, burst = 1 }
    "#;
    assert_eq!(
        refusal::<rate_limit::Config>("gate.rate_limit", table),
        "17 problems in the configuration:\n  \
         1. gate.rate_limit.inbound_rate: unknown key [file skep.toml]\n    \
         did you mean `inbound_burst`? keys here: dials, dials_burst, dials_per_host, dials_per_host_burst, exempt, hosts, inbound_burst, inbound_per_host, inbound_total, inbound_total_burst, peers, protocols, streams_burst, streams_per_peer\n  \
         2. gate.rate_limit.inbound_per_host: 100001 is out of range [file skep.toml]\n    \
         allowed: 0 to 100000\n  \
         3. gate.rate_limit.inbound_burst: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 100000\n  \
         4. gate.rate_limit.inbound_total: 100001 is out of range [file skep.toml]\n    \
         allowed: 0 to 100000\n  \
         5. gate.rate_limit.inbound_total_burst: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 100000\n  \
         6. gate.rate_limit.streams_per_peer: 100001 is out of range [file skep.toml]\n    \
         allowed: 0 to 100000\n  \
         7. gate.rate_limit.streams_burst: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 100000\n  \
         8. gate.rate_limit.dials: 100001 is out of range [file skep.toml]\n    \
         allowed: 0 to 100000\n  \
         9. gate.rate_limit.dials_burst: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 100000\n  \
         10. gate.rate_limit.dials_per_host: 100001 is out of range [file skep.toml]\n    \
         allowed: 0 to 100000\n  \
         11. gate.rate_limit.dials_per_host_burst: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 100000\n  \
         12. gate.rate_limit.protocols.\"/x/1.0.0\".streams: 100001 is out of range [file skep.toml]\n    \
         allowed: 0 to 100000\n  \
         13. gate.rate_limit.protocols.\"/x/1.0.0\".burst: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 100000\n  \
         14. gate.rate_limit.protocols.\"identify\": \"identify\" is not the id of a protocol [file skep.toml]\n    \
         an id begins with a slash, such as \"/ipfs/id/1.0.0\"\n  \
         15. gate.rate_limit.hosts: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 1000000\n  \
         16. gate.rate_limit.peers: 1000001 is out of range [file skep.toml]\n    \
         allowed: 1 to 1000000\n  \
         17. gate.rate_limit.exempt[0]: \"10.1.2.3/8\" has address bits beyond its prefix length [file skep.toml]\n    \
         write \"10.0.0.0/8\" for the network or \"10.1.2.3\" for the address"
    );
}

#[test]
fn messages_of_rate_limit_about_types() {
    let table = r#"
        inbound_per_host = "5/s"
        dials = -1
        hosts = 1.5
        exempt = [10]
        protocols = { "/x/1.0.0" = { streams = 1 } }
    "#;
    assert_eq!(
        refusal::<rate_limit::Config>("gate.rate_limit", table),
        "5 problems in the configuration:\n  \
         1. gate.rate_limit.dials: invalid value: integer `-1`, expected u32 [file skep.toml]\n    \
         Addresses that this node may dial in a second, 0 (no limit) to 100000. Default 0; what is refused is not dialled later by itself.\n  \
         2. gate.rate_limit.exempt: invalid type: integer `10`, expected a string [file skep.toml]\n    \
         Networks that are not limited, such as `\"10.0.0.0/8\"`. Default `[\"127.0.0.0/8\", \"::1\"]`, this host itself; a list of one's own is in its place.\n  \
         3. gate.rate_limit.hosts: invalid type: floating point `1.5`, expected u32 [file skep.toml]\n    \
         Hosts whose rate is remembered, 1 to 1000000. Default 4096, 200 bytes each, and as many again for dials.\n  \
         4. gate.rate_limit.inbound_per_host: invalid type: string \"5/s\", expected u32 [file skep.toml]\n    \
         Inbound connections that one host, an address of IPv4 or a /56 of IPv6, may begin in a second, 0 (no limit) to 100000. Default 5; more behind one NAT have to wait.\n  \
         5. gate.rate_limit.protocols: missing field `burst` [file skep.toml]\n    \
         Protocols with a limit of their own, as `\"/ipfs/id/1.0.0\" = { streams = 1, burst = 4 }`; 0 streams are no limit. Default none; each remembers as many as `peers`."
    );
    let table = r#"protocols = { "/x/1.0.0" = 5 }"#;
    assert_eq!(
        refusal::<rate_limit::Config>("gate.rate_limit", table),
        "1 problem in the configuration:\n  \
         1. gate.rate_limit.protocols: invalid type: integer `5`, expected struct StreamRate [file skep.toml]\n    \
         Protocols with a limit of their own, as `\"/ipfs/id/1.0.0\" = { streams = 1, burst = 4 }`; 0 streams are no limit. Default none; each remembers as many as `peers`."
    );
    let table = r#"protocols = { "/x/1.0.0" = { streams = 1, bursts = 5 } }"#;
    assert_eq!(
        refusal::<rate_limit::Config>("gate.rate_limit", table),
        "1 problem in the configuration:\n  \
         1. gate.rate_limit.protocols: unknown field `bursts`, expected `streams` or `burst` [file skep.toml]\n    \
         Protocols with a limit of their own, as `\"/ipfs/id/1.0.0\" = { streams = 1, burst = 4 }`; 0 streams are no limit. Default none; each remembers as many as `peers`."
    );
}
