//! What `[service.health]` takes and refuses, with every message pinned.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

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
    assert_eq!(
        found,
        "16 problems in the configuration:\n  \
         1. service.health.stability_weight: invalid type: null, expected f64 [file skep.toml]\n    \
         The weight of judgements without trouble, 0 to 1. Default 0.2.\n  \
         2. service.health.interval: \"999ms\" is out of range [file skep.toml]\n    \
         allowed: \"1s\" to \"24h\"\n  \
         3. service.health.parallel: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 1024\n  \
         4. service.health.protocol: \"ping\" is no protocol id [file skep.toml]\n    \
         begins with `/`, holds no line break and at most 256 bytes\n  \
         5. service.health.min_timeout: \"9ms\" is out of range [file skep.toml]\n    \
         allowed: \"10ms\" to \"10m\"\n  \
         6. service.health.max_timeout: \"601s\" is out of range [file skep.toml]\n    \
         allowed: \"10ms\" to \"10m\"\n  \
         7. service.health.max_ping: \"0s\" is out of range [file skep.toml]\n    \
         allowed: \"1ms\" to \"1m\"\n  \
         8. service.health.latency_weight: -0.1 is out of range [file skep.toml]\n    \
         allowed: 0 to 1\n  \
         9. service.health.success_weight: 1.1 is out of range [file skep.toml]\n    \
         allowed: 0 to 1\n  \
         10. service.health.min_health: 1.5 is out of range [file skep.toml]\n    \
         allowed: 0 to 1\n  \
         11. service.health.critical_health: -1 is out of range [file skep.toml]\n    \
         allowed: 0 to 1\n  \
         12. service.health.bad_evaluations: 0 is out of range [file skep.toml]\n    \
         allowed: 1 to 100\n  \
         13. service.health.max_replacements: 1025 is out of range [file skep.toml]\n    \
         allowed: 0 to 1024\n  \
         14. service.health.backoff: \"0s\" is out of range [file skep.toml]\n    \
         allowed: \"1s\" to \"24h\"\n  \
         15. service.health.max_backoff: \"25h\" is out of range [file skep.toml]\n    \
         allowed: \"1s\" to \"24h\"\n  \
         16. service.health.drain: \"61m\" is out of range [file skep.toml]\n    \
         allowed: \"0s\" to \"1h\""
    );
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
    assert_eq!(
        found,
        "4 problems in the configuration:\n  \
         1. service.health.min_timeout: \"11s\" is above `max_timeout`, which is \"10s\" [file skep.toml]\n    \
         allowed: \"10ms\" to \"10s\", or raise `max_timeout`\n  \
         2. service.health.latency_weight: the weights make 1.100 together [file skep.toml]\n    \
         `latency_weight`, `success_weight` and `stability_weight` have to make 1\n  \
         3. service.health.critical_health: 0.3 is above `min_health`, which is 0.2 [file skep.toml]\n    \
         allowed: 0 to 0.2, or raise `min_health`\n  \
         4. service.health.backoff: \"2h\" is above `max_backoff`, which is \"1h\" [file skep.toml]\n    \
         allowed: \"1s\" to \"1h\", or raise `max_backoff`"
    );
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
    assert_eq!(
        refusal("protocol = \"/ping\\n\""),
        "1 problem in the configuration:\n  \
         1. service.health.protocol: \"/ping\\n\" is no protocol id [file skep.toml]\n    \
         begins with `/`, holds no line break and at most 256 bytes"
    );
    section(&format!("protocol = \"/{}\"", "p".repeat(255))).decode::<Config>().unwrap();
    section(&format!("protocol = \"/{}\"", "p".repeat(256))).decode::<Config>().unwrap_err();
}

#[test]
fn keys_and_types_that_are_none() {
    let found = refusal("intervall = \"5s\"\ninterval = 5\nmin_health = \"low\"\nparallel = -1");
    assert_eq!(
        found,
        "4 problems in the configuration:\n  \
         1. service.health.interval: invalid type: integer `5`, expected a duration with a unit, such as \"250ms\", \"5s\", \"2m\" or \"1h\" [file skep.toml]\n    \
         How often each connection is pinged and judged, `\"1s\"` to `\"24h\"`. Default `\"60s\"`; costs a stream and 64 bytes for each connection.\n  \
         2. service.health.intervall: unknown key [file skep.toml]\n    \
         did you mean `interval`? keys here: backoff, bad_evaluations, critical_health, drain, interval, latency_weight, max_backoff, max_ping, max_replacements, max_timeout, min_health, min_timeout, parallel, protocol, stability_weight, success_weight\n  \
         3. service.health.min_health: invalid type: string \"low\", expected f64 [file skep.toml]\n    \
         The score below which a connection is unhealthy, 0 to 1. Default 0.3; more, and more connections are replaced.\n  \
         4. service.health.parallel: invalid value: integer `-1`, expected u32 [file skep.toml]\n    \
         Pings under way at once, 1 to 1024. Default 16; more wait for their turn."
    );
}
