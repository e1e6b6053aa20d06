//! The table `[transport.websocket]`: what is taken, and what is said of the rest.
#![allow(clippy::expect_used, reason = "helpers of tests")]

use skep_api::{ConfigErrors, ConfigSection, PluginConfig, config::DurationText};
use skep_transport_websocket::{Certificate, Config, PLUGIN, Trust};

fn section(toml: &str) -> ConfigSection {
    ConfigSection::from_table("transport.websocket", toml::from_str(toml).expect("TOML"))
}

/// What building from a table that should not build says.
fn refused(toml: &str) -> ConfigErrors {
    (PLUGIN.build)(&section(toml), &skep_testkit::build_cx()).expect_err("it builds")
}

#[test]
fn keys_are_read() {
    let config: Config = section(include_str!("../testdata/valid.toml")).decode().unwrap();
    let expected = Config {
        handshake_timeout: DurationText::secs(5),
        max_header_bytes: 4096,
        certificate: Certificate::SelfSigned,
        certificate_file: None,
        key_file: None,
        roots: Trust::None,
        root_files: Vec::new(),
        nodelay: true,
        backlog: 512,
        keepalive: DurationText::secs(60),
        connect_timeout: DurationText::secs(5),
        port_reuse: true,
        ttl: Some(64),
    };
    assert_eq!(config, expected);
}

#[test]
fn every_mistake_is_told() {
    let errors = section(include_str!("../testdata/invalid.toml")).decode::<Config>().unwrap_err();
    assert_eq!(errors.to_string(), "");
}

#[test]
fn files_are_asked_for_where_they_are_read() {
    for (table, expected) in [
        (
            "certificate = \"files\"",
            "2 problems in the configuration:\n  \
             1. transport.websocket.certificate_file: not set, and `certificate` is \"files\" [set in code]\n    \
             give a path to a file in PEM\n  \
             2. transport.websocket.key_file: not set, and `certificate` is \"files\" [set in code]\n    \
             give a path to a file in PEM",
        ),
        (
            "root_files = [\"/ca.pem\"]",
            "1 problem in the configuration:\n  \
             1. transport.websocket.root_files: is not read while `roots` is not \"files\" [set in code]\n    \
             set roots = \"files\", or leave this out",
        ),
    ] {
        assert_eq!(refused(table).to_string(), expected);
    }
}

#[test]
fn files_that_cannot_be_used_are_named_when_the_table_is_built() {
    let errors = refused(
        "certificate = \"files\"\ncertificate_file = \"/nowhere/chain.pem\"\nkey_file = \"/nowhere/key.pem\"\n\
         roots = \"files\"\nroot_files = [\"/nowhere/ca.pem\"]",
    );
    assert_eq!(errors.to_string(), "");
}

#[test]
fn the_file_of_the_table_is_named() {
    assert!(Config::FILE.ends_with("config.rs"));
    assert_eq!(PLUGIN.origin.config_file, Config::FILE);
}

#[test]
fn the_readme_has_every_key() {
    let readme = include_str!("../README.md");
    let schema = (PLUGIN.schema)();
    for key in schema.get("properties").unwrap().as_object().unwrap().keys() {
        assert!(readme.contains(&format!("| `{key}` |")), "no row for {key}");
    }
}
