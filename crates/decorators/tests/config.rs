//! What each table takes and refuses, with every message pinned.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use serde_json::{Map, Value};
use skep_api::{
    ConfigSection, Layer, PluginConfig,
    config::{DurationText, NoConfig, ValueOrigin},
    plugin::layer,
};
use skep_decorators::{Bytes, Rate, capture, chaos, metrics, throttle};
use std::collections::BTreeMap;

const VALID: &str = include_str!("../testdata/valid.toml");
const INVALID: &str = include_str!("../testdata/invalid.toml");

/// The table of a decorator in a file of testdata.
fn section(file: &str, name: &str) -> ConfigSection {
    let table: Map<String, Value> = toml::from_str(file).expect("testdata is TOML");
    let table = table.get(name).and_then(Value::as_object).expect("the table is there");
    let origin = ValueOrigin::File("skep.toml".into());
    ConfigSection::new(format!("{}.{name}", layer::Decorator::NAME), table.clone(), BTreeMap::new(), origin)
}

fn refusal<C: PluginConfig + std::fmt::Debug>(name: &str) -> String {
    section(INVALID, name).decode::<C>().expect_err("the table is invalid").to_string()
}

#[test]
fn valid_tables_are_read() {
    section(VALID, "metrics").decode::<NoConfig>().unwrap();
    let expected = throttle::Config {
        upload: Rate(Some(10 << 20)),
        download: Rate(Some(1_000_000)),
        connection_upload: Rate(Some(512 << 10)),
        connection_download: Rate(None),
        burst: DurationText::secs(1),
    };
    assert_eq!(section(VALID, "throttle").decode::<throttle::Config>().unwrap(), expected);
    let expected = chaos::Config {
        seed: Some(42),
        fail_dials: vec![1, 3],
        fail_dial_percent: 10.0,
        fail_listen_percent: 1.0,
        fail_accept_percent: 2.0,
        fail_secure_percent: 3.0,
        fail_open_percent: 4.0,
        fail_resolve_percent: 5.0,
        delay_percent: 20.5,
        delay: DurationText::secs(1),
        byte_delay_percent: 6.0,
        byte_delay: DurationText::millis(20),
        reset_percent: 100.0,
        drop_percent: 0.5,
        corrupt_percent: 0.0,
        within: Bytes(1 << 20),
    };
    assert_eq!(section(VALID, "chaos").decode::<chaos::Config>().unwrap(), expected);
    let expected = capture::Config {
        file: "node.capture".into(),
        existing: capture::Existing::Append,
        max_size: Bytes(1 << 30),
        bytes_per_event: Bytes(64),
    };
    assert_eq!(section(VALID, "capture").decode::<capture::Config>().unwrap(), expected);
}

#[test]
fn an_empty_table_is_the_default() {
    let empty = ConfigSection::empty("decorator.any");
    assert_eq!(empty.decode::<throttle::Config>().unwrap(), throttle::Config::default());
    assert_eq!(empty.decode::<chaos::Config>().unwrap(), chaos::Config::default());
}

#[test]
fn a_transcript_needs_a_file() {
    let errors = ConfigSection::empty("decorator.capture").decode::<capture::Config>().unwrap_err();
    assert_eq!(
        errors.to_string(),
        "1 problem in the configuration:\n  \
         1. decorator.capture.file: there is no file [default]\n    \
         the path of a file, such as \"skep.capture\""
    );
}

#[test]
fn a_table_is_read_by_the_file_of_its_name() {
    for (plugin, file) in [
        (throttle::PLUGIN, "decorators/src/throttle.rs"),
        (chaos::PLUGIN, "decorators/src/chaos.rs"),
        (capture::PLUGIN, "decorators/src/capture.rs"),
    ] {
        assert!(plugin.origin.config_file.ends_with(file), "{}", plugin.origin.config_file);
    }
    assert!(metrics::PLUGIN.origin.file.ends_with("decorators/src/metrics.rs"));
}

#[test]
fn messages_of_metrics() {
    assert_eq!(
        refusal::<NoConfig>("metrics"),
        "1 problem in the configuration:\n  \
         1. decorator.metrics.plugin: unknown key [file skep.toml]\n    \
         this plugin has no keys"
    );
}

#[test]
fn messages_of_throttle() {
    assert_eq!(
        refusal::<throttle::Config>("throttle"),
        "6 problems in the configuration:\n  \
         1. decorator.throttle.connection_upload: invalid value: integer `-1`, expected bytes per second, such as \"10MiB\", or \"unlimited\" [file skep.toml]\n    \
         Bytes per second that are sent on each connection, as `upload`. Default `\"unlimited\"`.\n  \
         2. decorator.throttle.download: invalid value: string \"10 MB\", expected bytes per second, such as \"10MiB\", or \"unlimited\" [file skep.toml]\n    \
         Bytes per second that are received on all connections together, as `upload`. Default `\"unlimited\"`.\n  \
         3. decorator.throttle.uplod: unknown key [file skep.toml]\n    \
         did you mean `upload`? keys here: burst, connection_download, connection_upload, download, upload\n  \
         4. decorator.throttle.upload: 0B is out of range [file skep.toml]\n    \
         allowed: \"1B\" to \"1TiB\" per second, or \"unlimited\"\n  \
         5. decorator.throttle.connection_download: 2TiB is out of range [file skep.toml]\n    \
         allowed: \"1B\" to \"1TiB\" per second, or \"unlimited\"\n  \
         6. decorator.throttle.burst: 5ms is out of range [file skep.toml]\n    \
         allowed: 20ms to 60s"
    );
}

#[test]
fn messages_of_chaos() {
    assert_eq!(
        refusal::<chaos::Config>("chaos"),
        "10 problems in the configuration:\n  \
         1. decorator.chaos.fail_secure_percent: invalid type: string \"10%\", expected f64 [file skep.toml]\n    \
         How many of a hundred security handshakes fail before their first byte, 0 to 100. Default 0.\n  \
         2. decorator.chaos.reset_percnt: unknown key [file skep.toml]\n    \
         did you mean `reset_percent`? keys here: byte_delay, byte_delay_percent, corrupt_percent, delay, delay_percent, drop_percent, fail_accept_percent, fail_dial_percent, fail_dials, fail_listen_percent, fail_open_percent, fail_resolve_percent, fail_secure_percent, reset_percent, seed, within\n  \
         3. decorator.chaos.seed: invalid value: integer `-1`, expected u64 [file skep.toml]\n    \
         What the faults follow from, a number from 0. Default: another one at each start, which the node prints.\n  \
         4. decorator.chaos.fail_dial_percent: 101 is out of range [file skep.toml]\n    \
         allowed: 0 to 100\n  \
         5. decorator.chaos.fail_listen_percent: -0.5 is out of range [file skep.toml]\n    \
         allowed: 0 to 100\n  \
         6. decorator.chaos.delay: 11m is out of range [file skep.toml]\n    \
         allowed: 0s to 10m\n  \
         7. decorator.chaos.byte_delay: 1h is out of range [file skep.toml]\n    \
         allowed: 0s to 10m\n  \
         8. decorator.chaos.fail_dials[0]: there is no dial 0 [file skep.toml]\n    \
         dials are counted from 1\n  \
         9. decorator.chaos.fail_dials[2]: there is no dial 0 [file skep.toml]\n    \
         dials are counted from 1\n  \
         10. decorator.chaos.within: 0B is out of range [file skep.toml]\n    \
         allowed: 1B to 1TiB"
    );
}

#[test]
fn messages_of_capture() {
    assert_eq!(
        refusal::<capture::Config>("capture"),
        "5 problems in the configuration:\n  \
         1. decorator.capture.existing: unknown variant `replace`, expected one of `refuse`, `append`, `overwrite` [file skep.toml]\n    \
         What to do about a file that is there: `\"refuse\"`, `\"append\"`, or `\"overwrite\"`. Default `\"refuse\"`; a symbolic link is never followed.\n  \
         2. decorator.capture.path: unknown key [file skep.toml]\n    \
         keys here: bytes_per_event, existing, file, max_size\n  \
         3. decorator.capture.file: there is no file [default]\n    \
         the path of a file, such as \"skep.capture\"\n  \
         4. decorator.capture.max_size: 1KiB is out of range [file skep.toml]\n    \
         allowed: 4KiB to 1TiB\n  \
         5. decorator.capture.bytes_per_event: 1MiB is out of range [file skep.toml]\n    \
         allowed: 0B to 16KiB"
    );
}

#[test]
fn too_many_dials_in_the_list_are_refused() {
    let config = chaos::Config { fail_dials: (1..=1_001).collect(), ..chaos::Config::default() };
    let Value::Object(table) = serde_json::to_value(&config).unwrap() else { panic!("a table") };
    let table = table.into_iter().filter(|(key, _)| key == "fail_dials").collect();
    let errors = ConfigSection::from_table("decorator.chaos", table).decode::<chaos::Config>().unwrap_err();
    assert_eq!(
        errors.to_string(),
        "1 problem in the configuration:\n  \
         1. decorator.chaos.fail_dials: 1001 dials are listed [set in code]\n    \
         allowed: up to 1000"
    );
}

#[test]
fn the_readme_has_every_key() {
    let readme = include_str!("../README.md");
    for plugin in [metrics::PLUGIN, throttle::PLUGIN, chaos::PLUGIN, capture::PLUGIN] {
        let (_, part) = readme.split_once(&format!("## `[decorator.{}]`", plugin.name)).expect("a section");
        let part = part.split("\n## ").next().unwrap();
        let schema = (plugin.schema)();
        let keys = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        for key in keys.keys() {
            assert!(part.contains(&format!("| `{key}` |")), "no row for {key} of {}", plugin.name);
        }
    }
}
