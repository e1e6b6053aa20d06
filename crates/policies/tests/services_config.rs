//! What the tables of services take and refuse, with every message pinned.

#![allow(clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

use skep_api::{
    ConfigSection, PluginConfig,
    config::{DurationText, ValueOrigin},
};
use skep_policies::service::{auto_connect, reconnect};
use std::collections::BTreeMap;

const PEER: &str = "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X";

fn section(name: &str, table: &str) -> ConfigSection {
    let table = toml::from_str(table).expect("the table is TOML");
    let origin = ValueOrigin::File("skep.toml".into());
    ConfigSection::new(format!("service.{name}"), table, BTreeMap::new(), origin)
}

fn refusal<C: PluginConfig + std::fmt::Debug>(name: &str, table: &str) -> String {
    section(name, table).decode::<C>().expect_err("the table is invalid").to_string()
}

#[test]
fn valid_tables_are_read() {
    let table = format!(
        "target = 100000\ninterval = \"1s\"\nparallel = 256\nbootstrap = [\"/dnsaddr/a.test/p2p/{PEER}\"]\n\
         bootstrap_until = 0\ncooldown = \"1h\"\nmax_cooldown = \"1h\"\njitter = 1\ncooldown_entries = 1\n\
         start_within = \"1h\""
    );
    let expected = auto_connect::Config {
        target: 100_000,
        interval: DurationText::secs(1),
        parallel: 256,
        bootstrap: vec![format!("/dnsaddr/a.test/p2p/{PEER}")],
        bootstrap_until: 0,
        cooldown: DurationText::secs(3_600),
        max_cooldown: DurationText::secs(3_600),
        jitter: 1.0,
        cooldown_entries: 1,
        start_within: DurationText::secs(3_600),
    };
    assert_eq!(section("auto_connect", &table).decode::<auto_connect::Config>().unwrap(), expected);
    let table = format!(
        "peers = [\"/ip4/192.0.2.1/tcp/1/p2p/{PEER}\", \"/ip6/2001:db8::1/udp/1/quic-v1/p2p/{PEER}\"]\n\
         initial_delay = \"100ms\"\nfactor = 1\nmax_delay = \"24h\"\njitter = 0\nparallel = 1\ninterval = \"1h\""
    );
    let read: reconnect::Config = section("reconnect", &table).decode().unwrap();
    assert_eq!((read.peers.len(), read.initial_delay, read.factor), (2, DurationText::millis(100), 1.0));
    assert_eq!((read.max_delay, read.jitter, read.parallel), (DurationText::secs(86_400), 0.0, 1));
    assert_eq!(read.interval, DurationText::secs(3_600));
}

#[test]
fn an_empty_table_is_the_default() {
    let auto: auto_connect::Config = ConfigSection::empty("service.auto_connect").decode().unwrap();
    assert_eq!((auto.clone(), auto.target), (auto_connect::Config::default(), 32));
    let reconnect: reconnect::Config = ConfigSection::empty("service.reconnect").decode().unwrap();
    assert_eq!(reconnect, reconnect::Config::default());
}

#[test]
fn a_table_is_read_by_the_file_of_its_name() {
    assert!(auto_connect::PLUGIN.origin.config_file.ends_with("policies/src/service/auto_connect.rs"));
    assert!(reconnect::PLUGIN.origin.config_file.ends_with("policies/src/service/reconnect.rs"));
}

#[test]
fn messages_of_auto_connect() {
    let table = format!(
        "targets = 5\ntarget = 0\ninterval = \"500ms\"\nparallel = 257\n\
         bootstrap = [\"example.com\", \"/ip4/192.0.2.1/tcp/1\", \"/p2p/{PEER}\"]\nbootstrap_until = 100001\n\
         cooldown = \"2h\"\nmax_cooldown = \"1h\"\njitter = 1.5\ncooldown_entries = 0\nstart_within = \"2h\""
    );
    assert_eq!(
        refusal::<auto_connect::Config>("auto_connect", &table),
        "12 problems in the configuration:\n  \
         1. service.auto_connect.targets: unknown key [file skep.toml]\n    \
         did you mean `target`? keys here: bootstrap, bootstrap_until, cooldown, cooldown_entries, interval, jitter, max_cooldown, parallel, start_within, target\n  \
         2. service.auto_connect.target: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 100000\n  \
         3. service.auto_connect.interval: 500ms is out of range [file skep.toml]\n    \
         allowed: 1s to 1h\n  \
         4. service.auto_connect.parallel: 257 is out of range [file skep.toml]\n    \
         allowed: 1 to 256\n  \
         5. service.auto_connect.bootstrap[0]: \"example.com\" is no multiaddr [file skep.toml]\n    \
         an address with its peer, such as \"/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…\"\n  \
         6. service.auto_connect.bootstrap[1]: \"/ip4/192.0.2.1/tcp/1\" does not end with a peer [file skep.toml]\n    \
         an address with its peer, such as \"/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…\"\n  \
         7. service.auto_connect.bootstrap[2]: \"/p2p/12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X\" has a peer and no address [file skep.toml]\n    \
         an address with its peer, such as \"/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…\"\n  \
         8. service.auto_connect.bootstrap_until: 100001 is out of range [file skep.toml]\n    \
         allowed: 0 to 100000\n  \
         9. service.auto_connect.max_cooldown: 1h is below `cooldown`, which is 2h [file skep.toml]\n    \
         allowed: 2h or more, or lower `cooldown`\n  \
         10. service.auto_connect.jitter: 1.5 is out of range [file skep.toml]\n    \
         allowed: 0 to 1\n  \
         11. service.auto_connect.cooldown_entries: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 1000000\n  \
         12. service.auto_connect.start_within: 2h is out of range [file skep.toml]\n    \
         allowed: 0s to 1h"
    );
}

#[test]
fn messages_of_auto_connect_about_types_and_the_ends_of_ranges() {
    let many = vec![format!("\"/memory/1/p2p/{PEER}\""); 257].join(", ");
    let table = format!(
        "target = -1\ninterval = 30\njitter = \"a bit\"\nbootstrap = [{many}]\ncooldown = \"0s\"\n\
         max_cooldown = \"169h\""
    );
    assert_eq!(
        refusal::<auto_connect::Config>("auto_connect", &table),
        "6 problems in the configuration:\n  \
         1. service.auto_connect.interval: invalid type: integer `30`, expected a duration with a unit, such as \"250ms\", \"5s\", \"2m\" or \"1h\" [file skep.toml]\n    \
         How often it looks without a cause, `\"1s\"` to `\"1h\"`. Default `\"30s\"`; less reads the peer store more often.\n  \
         2. service.auto_connect.jitter: invalid type: string \"a bit\", expected f64 [file skep.toml]\n    \
         The share by which a cooldown is varied at random, 0 to 1. Default 0.1; 0 lets nodes dial at the same moment.\n  \
         3. service.auto_connect.target: invalid value: integer `-1`, expected u32 [file skep.toml]\n    \
         Peers to be connected to, either side's dials counted, 1 to 100000. Default 32; each costs a connection. Keep it below the pruner's low mark.\n  \
         4. service.auto_connect.bootstrap: 257 addresses are too many [file skep.toml]\n    \
         allowed: 256\n  \
         5. service.auto_connect.cooldown: 0s is out of range [file skep.toml]\n    \
         allowed: 1s to 24h\n  \
         6. service.auto_connect.max_cooldown: 169h is out of range [file skep.toml]\n    \
         allowed: 1s to 168h"
    );
}

#[test]
fn messages_of_reconnect() {
    let table = format!(
        "peer = []\npeers = [\"/ip4/192.0.2.1/tcp/1/p2p/nobody\", \"/memory/1\", \"/p2p/{PEER}\"]\n\
         initial_delay = \"50ms\"\nfactor = 0.5\nmax_delay = \"25h\"\njitter = -0.1\nparallel = 0\ninterval = \"2h\""
    );
    assert_eq!(
        refusal::<reconnect::Config>("reconnect", &table),
        "10 problems in the configuration:\n  \
         1. service.reconnect.peer: unknown key [file skep.toml]\n    \
         did you mean `peers`? keys here: factor, initial_delay, interval, jitter, max_delay, parallel, peers\n  \
         2. service.reconnect.peers[0]: \"/ip4/192.0.2.1/tcp/1/p2p/nobody\" is no multiaddr [file skep.toml]\n    \
         an address with its peer, such as \"/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…\"\n  \
         3. service.reconnect.peers[1]: \"/memory/1\" does not end with a peer [file skep.toml]\n    \
         an address with its peer, such as \"/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…\"\n  \
         4. service.reconnect.peers[2]: \"/p2p/12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X\" has a peer and no address [file skep.toml]\n    \
         an address with its peer, such as \"/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…\"\n  \
         5. service.reconnect.initial_delay: 50ms is out of range [file skep.toml]\n    \
         allowed: 100ms to 1h\n  \
         6. service.reconnect.factor: 0.5 is out of range [file skep.toml]\n    \
         allowed: 1 to 10\n  \
         7. service.reconnect.max_delay: 25h is out of range [file skep.toml]\n    \
         allowed: 100ms to 24h\n  \
         8. service.reconnect.jitter: -0.1 is out of range [file skep.toml]\n    \
         allowed: 0 to 1\n  \
         9. service.reconnect.parallel: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 256\n  \
         10. service.reconnect.interval: 2h is out of range [file skep.toml]\n    \
         allowed: 1s to 1h"
    );
}

#[test]
fn messages_of_reconnect_about_types_and_order() {
    let table = "peers = \"/memory/1\"\ninitial_delay = \"10s\"\nmax_delay = \"5s\"\nfactor = \"two\"";
    assert_eq!(
        refusal::<reconnect::Config>("reconnect", table),
        "3 problems in the configuration:\n  \
         1. service.reconnect.factor: invalid type: string \"two\", expected f64 [file skep.toml]\n    \
         From one wait to the next, 1 to 10. Default 2.\n  \
         2. service.reconnect.peers: invalid type: string \"/memory/1\", expected a sequence [file skep.toml]\n    \
         Addresses of peers to keep connected, each with `/p2p/…`, up to 256. Default none; kept for good and tagged `keep-alive` at start.\n  \
         3. service.reconnect.max_delay: 5s is below `initial_delay`, which is 10s [file skep.toml]\n    \
         allowed: 10s or more, or lower `initial_delay`"
    );
}
