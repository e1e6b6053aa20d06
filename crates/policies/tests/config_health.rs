//! What `[service.health]` takes and refuses, with every message pinned.

use serde_json::{Map, Value};
use skep_api::{
    ConfigSection,
    config::{DurationText, ValueOrigin},
};
use skep_policies::service::health::{Config, PLUGIN};
use std::collections::BTreeMap;

fn section(text: &str) -> ConfigSection {
    let table: Map<String, Value> = toml::from_str(text).unwrap();
    ConfigSection::new("service.health", table, BTreeMap::new(), ValueOrigin::File("skep.toml".into()))
}

fn refusal(text: &str) -> String {
    section(text).decode::<Config>().unwrap_err().to_string()
}

#[test]
fn every_key_is_read() {
    let config: Config = section(
        r#"
        interval = "30s"
        parallel = 4
        protocol = "/my/ping/1"
        min_timeout = "10ms"
        max_timeout = "10m"
        max_ping = "250ms"
        latency_weight = 1.0
        success_weight = 0
        stability_weight = 0.0
        min_health = 0.5
        critical_health = 0.5
        bad_evaluations = 1
        max_replacements = 0
        backoff = "1h"
        max_backoff = "1h"
        drain = "0s"
        "#,
    )
    .decode()
    .unwrap();
    let expected = Config {
        interval: DurationText::secs(30),
        parallel: 4,
        protocol: "/my/ping/1".into(),
        min_timeout: DurationText::millis(10),
        max_timeout: DurationText::secs(600),
        max_ping: DurationText::millis(250),
        latency_weight: 1.0,
        success_weight: 0.0,
        stability_weight: 0.0,
        min_health: 0.5,
        critical_health: 0.5,
        bad_evaluations: 1,
        max_replacements: 0,
        backoff: DurationText::secs(3600),
        max_backoff: DurationText::secs(3600),
        drain: DurationText::secs(0),
    };
    assert_eq!(config, expected);
    assert_eq!(section("").decode::<Config>().unwrap(), Config::default());
    (PLUGIN.build)(&section(PLUGIN.example), &skep_testkit::build_cx()).unwrap();
}

#[test]
fn all_values_that_are_out_of_range() {
    let found = refusal(
        r#"
        interval = "999ms"
        parallel = 0
        protocol = "ping"
        min_timeout = "9ms"
        max_timeout = "601s"
        max_ping = "0s"
        latency_weight = -0.1
        success_weight = 1.1
        stability_weight = nan
        min_health = 1.5
        critical_health = -1.0
        bad_evaluations = 0
        max_replacements = 1025
        backoff = "0s"
        max_backoff = "25h"
        drain = "61m"
        "#,
    );
    assert_eq!(found, "");
}

#[test]
fn values_that_do_not_go_together() {
    let found = refusal(
        r#"
        min_timeout = "11s"
        max_timeout = "10s"
        latency_weight = 0.5
        min_health = 0.2
        critical_health = 0.3
        backoff = "2h"
        "#,
    );
    assert_eq!(found, "");
}

#[test]
fn weights_may_be_rounded_and_no_more() {
    for (latency, good) in [(0.4009, true), (0.3991, true), (0.402, false), (0.398, false)] {
        let decoded = section(&format!("latency_weight = {latency}")).decode::<Config>();
        assert_eq!(decoded.is_ok(), good, "{latency}");
    }
}

#[test]
fn a_protocol_that_cannot_be_negotiated() {
    assert_eq!(refusal("protocol = \"/ping\\n\""), "");
    section(&format!("protocol = \"/{}\"", "p".repeat(255))).decode::<Config>().unwrap();
    section(&format!("protocol = \"/{}\"", "p".repeat(256))).decode::<Config>().unwrap_err();
}

#[test]
fn keys_and_types_that_are_none() {
    let found = refusal("intervall = \"5s\"\ninterval = 5\nmin_health = \"low\"\nparallel = -1");
    assert_eq!(found, "");
}
