//! The table `[transport.memory]`: what is taken, and what is said of the rest.
#![allow(clippy::expect_used, reason = "helpers of tests")]

use skep_api::{ConfigSection, PluginConfig, config::DurationText};
use skep_transport_memory::Config;

fn section(toml: &str) -> ConfigSection {
    ConfigSection::from_table("transport.memory", toml::from_str(toml).expect("TOML"))
}

#[test]
fn keys_are_read() {
    let config: Config = section(include_str!("../testdata/valid.toml")).decode().unwrap();
    let expected = Config {
        hub: "simulation".into(),
        name: "client".into(),
        latency: DurationText::millis(25),
        jitter: DurationText::millis(2),
        bandwidth: 1_000_000,
        loss_percent: 0.5,
        retransmit: DurationText::millis(100),
        seed: 7,
        capacity: 65_536,
        backlog: 16,
    };
    assert_eq!(config, expected);
}

#[test]
fn every_mistake_is_told() {
    let errors = section(include_str!("../testdata/invalid.toml")).decode::<Config>().unwrap_err();
    assert_eq!(
        errors.to_string(),
        "11 problems in the configuration:\n  \
         1. transport.memory.backlog: invalid value: integer `70000`, expected u16 [set in code]\n    \
         Connections that wait to be accepted: 1 to 65535, default 128.\n  \
         2. transport.memory.latensy: unknown key [set in code]\n    \
         did you mean `latency`? keys here: backlog, bandwidth, capacity, hub, jitter, latency, loss_percent, name, \
         retransmit, seed\n  \
         3. transport.memory.name: invalid type: integer `7`, expected a string [set in code]\n    \
         The name of this node on its hub: default \"\", for none.\n  \
         4. transport.memory.retransmit: invalid type: integer `5`, expected a duration with a unit, \
         such as \"250ms\", \"5s\", \"2m\" or \"1h\" [set in code]\n    \
         Extra delay of a lost segment: \"0s\" to \"1h\", default \"200ms\".\n  \
         5. transport.memory.seed: invalid value: integer `-1`, expected u64 [set in code]\n    \
         Seed of the choice of lost segments: 0 to 9223372036854775807, default 0.\n  \
         6. transport.memory.hub: the name is empty [set in code]\n    \
         allowed: any name; nodes that share it can meet\n  \
         7. transport.memory.latency: 2h is out of range [set in code]\n    \
         allowed: \"0s\" to \"1h\"\n  \
         8. transport.memory.jitter: 61m is out of range [set in code]\n    \
         allowed: \"0s\" to \"1h\"\n  \
         9. transport.memory.loss_percent: 101 is out of range [set in code]\n    \
         allowed: 0 to 100\n  \
         10. transport.memory.bandwidth: 2000000000000 is out of range [set in code]\n    \
         allowed: 0 to 1099511627776\n  \
         11. transport.memory.capacity: 0 is out of range [set in code]\n    \
         allowed: 1 to 1073741824"
    );
}

#[test]
fn the_readme_has_every_key() {
    let readme = include_str!("../README.md");
    let schema = (skep_transport_memory::PLUGIN.schema)();
    for key in schema.get("properties").unwrap().as_object().unwrap().keys() {
        assert!(readme.contains(&format!("| `{key}` |")), "no row for {key}");
    }
    assert_eq!(skep_transport_memory::PLUGIN.origin.config_file, Config::FILE);
}
