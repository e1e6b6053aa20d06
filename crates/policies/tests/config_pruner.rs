//! What the tables of pruners take and refuse, with every message pinned.

#![allow(clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

use serde_json::{Map, Value, json};
use skep_api::{ConfigSection, PluginConfig, config::DurationText};
use skep_policies::pruner::{outbound_floor, watermark};

fn section(path: &str, table: Value) -> ConfigSection {
    let table: Map<String, Value> = table.as_object().expect("a table").clone();
    ConfigSection::from_table(path, table)
}

fn refusal<C: PluginConfig + std::fmt::Debug>(path: &str, table: Value) -> String {
    section(path, table).decode::<C>().expect_err("the table is invalid").to_string()
}

#[test]
fn a_table_of_outbound_floor_is_read_by_its_file() {
    assert!(outbound_floor::PLUGIN.origin.config_file.ends_with("policies/src/pruner/outbound_floor.rs"));
    let empty: outbound_floor::Config = section("pruner.outbound_floor", json!({})).decode().unwrap();
    assert_eq!(empty, outbound_floor::Config::default());
    let table = json!({
        "low": 10, "high": 20, "grace": "0s", "silence": "1m", "outbound_share": 1, "prefixes": 10,
    });
    let read: outbound_floor::Config = section("pruner.outbound_floor", table).decode().unwrap();
    assert_eq!(
        read,
        outbound_floor::Config {
            low: 10,
            high: 20,
            grace: DurationText::secs(0),
            silence: DurationText::secs(60),
            outbound_share: 1.0,
            prefixes: Some(10),
        }
    );
}

#[test]
fn messages_of_watermark() {
    let table = json!({ "lo": 3, "high": "many", "grace": 60, "silence": "10", "low": 0 });
    assert_eq!(
        refusal::<watermark::Config>("pruner.watermark", table),
        "5 problems in the configuration:\n  \
         1. pruner.watermark.lo: unknown key [set in code]\n    \
         did you mean `low`? keys here: grace, high, low, silence\n  \
         2. pruner.watermark.high: invalid type: string \"many\", expected u32 [set in code]\n    \
         Connections above which pruning starts, at least `low`. Default 256; each costs memory and a socket.\n  \
         3. pruner.watermark.grace: invalid type: integer `60`, expected a duration with a unit, such as \"250ms\", \"5s\", \"2m\" or \"1h\" [set in code]\n    \
         How long a new connection is spared. Default `\"60s\"`; a longer time leaves a flood standing.\n  \
         4. pruner.watermark.silence: invalid value: string \"10\", expected a duration with a unit, such as \"250ms\", \"5s\", \"2m\" or \"1h\" [set in code]\n    \
         How long there is no other round after one. Default `\"10s\"`.\n  \
         5. pruner.watermark.low: 0 would close every connection [set in code]\n    \
         allowed: 1 or more"
    );
    let table = json!({ "low": 20, "high": 10 });
    assert_eq!(
        refusal::<watermark::Config>("pruner.watermark", table),
        "1 problem in the configuration:\n  \
         1. pruner.watermark.high: 10 is below `low`, which is 20 [set in code]\n    \
         allowed: 20 or more, or lower `low`"
    );
}

#[test]
fn messages_of_outbound_floor() {
    let path = "pruner.outbound_floor";
    let table = json!({
        "shares": 1, "low": 0, "high": -1, "grace": "soon", "silence": 3, "outbound_share": "half", "prefixes": -4,
    });
    assert_eq!(
        refusal::<outbound_floor::Config>(path, table),
        "7 problems in the configuration:\n  \
         1. pruner.outbound_floor.shares: unknown key [set in code]\n    \
         keys here: grace, high, low, outbound_share, prefixes, silence\n  \
         2. pruner.outbound_floor.high: invalid value: integer `-1`, expected u32 [set in code]\n    \
         Connections above which pruning starts, at least `low`. Default 256; each costs memory and a socket.\n  \
         3. pruner.outbound_floor.grace: invalid value: string \"soon\", expected a duration with a unit, such as \"250ms\", \"5s\", \"2m\" or \"1h\" [set in code]\n    \
         How long a new connection is spared. Default `\"60s\"`; a longer time leaves a flood standing.\n  \
         4. pruner.outbound_floor.silence: invalid type: integer `3`, expected a duration with a unit, such as \"250ms\", \"5s\", \"2m\" or \"1h\" [set in code]\n    \
         How long there is no other round after one. Default `\"10s\"`.\n  \
         5. pruner.outbound_floor.outbound_share: invalid type: string \"half\", expected f64 [set in code]\n    \
         Of what is left, the share that is for the longest-lived outbound connections, from 0 to 1; where there are fewer, others have the room. Default 0.5; a larger share leaves less for peers that connect by themselves.\n  \
         6. pruner.outbound_floor.prefixes: invalid value: integer `-4`, expected u32 [set in code]\n    \
         Networks (/24 of IPv4, /48 of IPv6) that are left, as far as there are so many, up to `low`. Default 32, or `low` if that is less; each can keep a connection that is worth less than another.\n  \
         7. pruner.outbound_floor.low: 0 would close every connection [set in code]\n    \
         allowed: 1 or more"
    );
    let table = json!({ "low": 20, "high": 10, "outbound_share": 1.5, "prefixes": 21 });
    assert_eq!(
        refusal::<outbound_floor::Config>(path, table),
        "3 problems in the configuration:\n  \
         1. pruner.outbound_floor.high: 10 is below `low`, which is 20 [set in code]\n    \
         allowed: 20 or more, or lower `low`\n  \
         2. pruner.outbound_floor.outbound_share: 1.5 is no share [set in code]\n    \
         allowed: 0 to 1\n  \
         3. pruner.outbound_floor.prefixes: 21 networks do not fit in `low`, which is 20 [set in code]\n    \
         allowed: 0 to 20, or raise `low`"
    );
    let table = json!({ "outbound_share": -0.1 });
    assert_eq!(
        refusal::<outbound_floor::Config>(path, table),
        "1 problem in the configuration:\n  \
         1. pruner.outbound_floor.outbound_share: -0.1 is no share [set in code]\n    \
         allowed: 0 to 1"
    );
}
