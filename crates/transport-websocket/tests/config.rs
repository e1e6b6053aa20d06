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
    assert_eq!(
        errors.to_string(),
        "11 problems in the configuration:\n  \
         1. transport.websocket.certificate: unknown variant `file`, expected one of `none`, `files`, `self_signed` \
         [set in code]\n    \
         What a listener with TLS presents: \"none\" (it does not listen), \"files\" or \"self_signed\", default \"none\".\n  \
         2. transport.websocket.max_header_byte: unknown key [set in code]\n    \
         did you mean `max_header_bytes`? keys here: backlog, certificate, certificate_file, connect_timeout, \
         handshake_timeout, keepalive, key_file, max_header_bytes, nodelay, port_reuse, root_files, roots, ttl\n  \
         3. transport.websocket.nodelay: invalid type: string \"yes\", expected a boolean [set in code]\n    \
         Send small writes at once (`TCP_NODELAY`): true or false, default true.\n  \
         4. transport.websocket.port_reuse: invalid type: integer `1`, expected a boolean [set in code]\n    \
         Dial from the port of a listener of the same kind and address family: true or false, default false. Unix \
         only.\n  \
         5. transport.websocket.handshake_timeout: 0s is out of range [set in code]\n    \
         allowed: \"1ms\" to \"10m\"\n  \
         6. transport.websocket.max_header_bytes: 100 is out of range [set in code]\n    \
         allowed: 1024 to 65536\n  \
         7. transport.websocket.root_files: not set, and `roots` is \"files\" [default]\n    \
         give a path to a file in PEM\n  \
         8. transport.websocket.backlog: 0 is out of range [set in code]\n    \
         allowed: 1 to 65535\n  \
         9. transport.websocket.ttl: 256 is out of range [set in code]\n    \
         allowed: 1 to 255\n  \
         10. transport.websocket.keepalive: 500ms is out of range [set in code]\n    \
         allowed: \"0s\" (never), or \"1s\" to \"32767s\"\n  \
         11. transport.websocket.connect_timeout: 11m is out of range [set in code]\n    \
         allowed: \"1ms\" to \"10m\""
    );
}

#[test]
fn files_are_asked_for_where_they_are_read() {
    for (table, expected) in [
        (
            "certificate = \"files\"",
            "2 problems in the configuration:\n  \
             1. transport.websocket.certificate_file: not set, and `certificate` is \"files\" [default]\n    \
             give a path to a file in PEM\n  \
             2. transport.websocket.key_file: not set, and `certificate` is \"files\" [default]\n    \
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
    let mistake = |table: &str, expected: &str| {
        let errors = refused(table);
        let told: Vec<_> = errors.iter().map(|e| format!("{}: {}", e.key, e.problem)).collect();
        assert_eq!(told.join("\n"), expected);
    };
    mistake(
        "certificate = \"files\"\ncertificate_file = \"/nowhere/chain.pem\"\nkey_file = \"/nowhere/key.pem\"\n\
         roots = \"files\"\nroot_files = [\"/nowhere/ca.pem\"]",
        "transport.websocket.certificate_file: no certificates can be read from /nowhere/chain.pem: it has to be a file in \
         PEM: I/O error: No such file or directory (os error 2)\n\
         transport.websocket.root_files: no certificates can be read from /nowhere/ca.pem: it has to be a file in PEM: I/O \
         error: No such file or directory (os error 2)",
    );
    mistake(
        "certificate = \"files\"\ncertificate_file = \"testdata/tls/ca.pem\"\nkey_file = \"testdata/tls/key.pem\"",
        "transport.websocket.key_file: the certificate in testdata/tls/ca.pem and the key in testdata/tls/key.pem cannot be \
         used: the first certificate has to be that of the key: keys may not be consistent: KeyMismatch",
    );
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
