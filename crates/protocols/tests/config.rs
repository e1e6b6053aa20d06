//! What each table takes and refuses, with every message pinned.

#![allow(clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

use serde_json::{Map, Value};
use skep_api::{
    ConfigSection, PluginConfig,
    config::{DurationText, NoConfig, ValueOrigin},
};
use skep_protocols::{identify, perf};
use std::collections::BTreeMap;

const VALID: &str = include_str!("../testdata/valid.toml");
const INVALID: &str = include_str!("../testdata/invalid.toml");

/// The table `protocol.<name>` of a file in testdata.
fn section(file: &str, name: &str) -> ConfigSection {
    let table: Map<String, Value> = toml::from_str(file).expect("testdata is TOML");
    let table = table.get("protocol").and_then(|l| l.get(name)).and_then(Value::as_object);
    let table = table.expect("the table is there").clone();
    let origin = ValueOrigin::File("skep.toml".into());
    ConfigSection::new(format!("protocol.{name}"), table, BTreeMap::new(), origin)
}

fn refusal<C: PluginConfig + std::fmt::Debug>(name: &str) -> String {
    section(INVALID, name).decode::<C>().expect_err("the table is invalid").to_string()
}

#[test]
fn valid_tables_are_read() {
    let config: identify::Config = section(VALID, "identify").decode().unwrap();
    let expected = identify::Config {
        agent_version: "my-node/1.0".into(),
        protocol_version: "my-net/1.0".into(),
        ask: false,
        timeout: DurationText::millis(500),
    };
    assert_eq!(config, expected);
    section(VALID, "ping").decode::<NoConfig>().unwrap();
    let config: perf::Config = section(VALID, "perf").decode().unwrap();
    let expected = perf::Config {
        max_bytes: 1_000_000,
        max_streams_per_peer: 1,
        max_streams: 8,
        stall_timeout: DurationText::secs(2),
    };
    assert_eq!(config, expected);
}

#[test]
fn an_empty_table_is_the_default() {
    let config: identify::Config = ConfigSection::empty("protocol.identify").decode().unwrap();
    assert_eq!(config, identify::Config::default());
    let config: perf::Config = ConfigSection::empty("protocol.perf").decode().unwrap();
    assert_eq!(config, perf::Config::default());
}

#[test]
fn a_table_is_read_by_the_file_of_its_name() {
    assert!(identify::PLUGIN.origin.config_file.ends_with("protocols/src/identify.rs"));
    assert!(perf::PLUGIN.origin.config_file.ends_with("protocols/src/perf.rs"));
}

#[test]
fn messages_of_identify() {
    assert_eq!(
        refusal::<identify::Config>("identify"),
        "5 problems in the configuration:\n  \
         1. protocol.identify.agent: unknown key [file skep.toml]\n    \
         did you mean `agent_version`? keys here: agent_version, ask, protocol_version, timeout\n  \
         2. protocol.identify.agent_version: invalid type: integer `1`, expected a string [file skep.toml]\n    \
         The program and version that peers are told, at most 128 bytes. Default `\"skep/<version>\"`.\n  \
         3. protocol.identify.ask: invalid type: string \"always\", expected a boolean [file skep.toml]\n    \
         Whether every new peer is asked who it is. Default true; costs one stream for each connection.\n  \
         4. protocol.identify.protocol_version: 130 bytes are too long [file skep.toml]\n    \
         allowed: up to 128 bytes\n  \
         5. protocol.identify.timeout: 0s is out of range [file skep.toml]\n    \
         allowed: 1ms to 5m"
    );
}

#[test]
fn messages_of_ping() {
    assert_eq!(
        refusal::<NoConfig>("ping"),
        "1 problem in the configuration:\n  \
         1. protocol.ping.interval: unknown key [file skep.toml]\n    \
         this plugin has no keys"
    );
}

#[test]
fn messages_of_perf() {
    assert_eq!(
        refusal::<perf::Config>("perf"),
        "4 problems in the configuration:\n  \
         1. protocol.perf.max_byte: unknown key [file skep.toml]\n    \
         did you mean `max_bytes`? keys here: max_bytes, max_streams, max_streams_per_peer, stall_timeout\n  \
         2. protocol.perf.max_bytes: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 9223372036854775807\n  \
         3. protocol.perf.max_streams: 4 is out of range [file skep.toml]\n    \
         allowed: 5 to 10000\n  \
         4. protocol.perf.stall_timeout: 2h is out of range [file skep.toml]\n    \
         allowed: 1s to 1h"
    );
}
