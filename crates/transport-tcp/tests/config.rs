//! The table `[transport.tcp]`: what is taken, and what is said of the rest.
#![allow(clippy::expect_used, reason = "helpers of tests")]

use skep_api::{ConfigSection, PluginConfig, config::DurationText};
use skep_transport_tcp::Config;

fn section(toml: &str) -> ConfigSection {
    ConfigSection::from_table("transport.tcp", toml::from_str(toml).expect("TOML"))
}

#[test]
fn keys_are_read() {
    let config: Config = section(include_str!("../testdata/valid.toml")).decode().unwrap();
    let expected = Config {
        nodelay: true,
        backlog: 512,
        keepalive: DurationText::secs(60),
        connect_timeout: DurationText::secs(10),
        port_reuse: true,
        ttl: Some(64),
    };
    assert_eq!(config, expected);
}

#[test]
fn every_mistake_is_told() {
    let errors = section(include_str!("../testdata/invalid.toml")).decode::<Config>().unwrap_err();
    assert_eq!(
        errors.to_string(),
        "7 problems in the configuration:\n  \
         1. transport.tcp.nodelay: invalid type: string \"yes\", expected a boolean [set in code]\n    \
         Send small writes at once (`TCP_NODELAY`): true or false, default true.\n  \
         2. transport.tcp.nodelya: unknown key [set in code]\n    \
         did you mean `nodelay`? keys here: backlog, connect_timeout, keepalive, nodelay, port_reuse, ttl\n  \
         3. transport.tcp.port_reuse: invalid type: integer `1`, expected a boolean [set in code]\n    \
         Dial from the port of a listener of the same address family: true or false, default false. Unix only.\n  \
         4. transport.tcp.backlog: 0 is out of range [set in code]\n    \
         allowed: 1 to 65535\n  \
         5. transport.tcp.ttl: 256 is out of range [set in code]\n    \
         allowed: 1 to 255\n  \
         6. transport.tcp.keepalive: 500ms is out of range [set in code]\n    \
         allowed: \"0s\" (never), or \"1s\" to \"32767s\"\n  \
         7. transport.tcp.connect_timeout: 0s is out of range [set in code]\n    \
         allowed: \"1ms\" to \"10m\""
    );
}

#[test]
fn the_file_of_the_table_is_named() {
    assert!(Config::FILE.ends_with("config.rs"));
    assert_eq!(skep_transport_tcp::PLUGIN.origin.config_file, Config::FILE);
}

#[test]
fn the_readme_has_every_key() {
    let readme = include_str!("../README.md");
    let schema = (skep_transport_tcp::PLUGIN.schema)();
    for key in schema.get("properties").unwrap().as_object().unwrap().keys() {
        assert!(readme.contains(&format!("| `{key}` |")), "no row for {key}");
    }
}
