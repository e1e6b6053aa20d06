//! The table `[transport.quic]`: what is taken, and what is said of the rest.
#![allow(clippy::expect_used, reason = "helpers of tests")]

use skep_api::{ConfigSection, PluginConfig, config::DurationText};
use skep_transport_quic::{Config, Congestion, QuicTransportConfig};

fn section(toml: &str) -> ConfigSection {
    ConfigSection::from_table("transport.quic", toml::from_str(toml).expect("TOML"))
}

#[test]
fn keys_are_read() {
    let config: Config = section(include_str!("../testdata/valid.toml")).decode().unwrap();
    let expected = QuicTransportConfig {
        handshake_timeout: DurationText::secs(10),
        idle_timeout: DurationText::secs(60),
        keep_alive: DurationText::secs(20),
        max_concurrent_streams: 512,
        stream_window: 4 << 20,
        connection_window: 16 << 20,
        send_window: 8 << 20,
        congestion: Congestion::Newreno,
        gso: false,
        mtu_discovery: false,
        initial_mtu: 1_280,
        min_mtu: 1_250,
        max_mtu: 1_400,
        retry_threshold: 0,
        max_pending_incoming: 64,
        receive_buffer: 1 << 20,
        send_buffer: 2 << 20,
        migration: false,
        port_reuse: false,
    };
    assert_eq!(config, expected);
}

#[test]
fn every_mistake_is_told() {
    let errors = section(include_str!("../testdata/invalid.toml")).decode::<Config>().unwrap_err();
    assert_eq!(errors.to_string(), include_str!("../testdata/invalid.txt").trim_end());
}

#[test]
fn sizes_that_contradict_each_other_are_told() {
    let table = "stream_window = 100000\nconnection_window = 70000\nmin_mtu = 1300\nmax_mtu = 1250";
    let errors = section(table).decode::<Config>().unwrap_err();
    let keys: Vec<_> = errors.iter().map(|e| e.key.as_str()).collect();
    assert_eq!(
        keys,
        ["transport.quic.stream_window", "transport.quic.initial_mtu", "transport.quic.max_mtu"]
    );
}

#[test]
fn the_file_of_the_table_is_named() {
    assert!(Config::FILE.ends_with("config.rs"));
    assert_eq!(skep_transport_quic::PLUGIN.origin.config_file, Config::FILE);
}

#[test]
fn the_readme_has_every_key() {
    let readme = include_str!("../README.md");
    let schema = (skep_transport_quic::PLUGIN.schema)();
    for key in schema.get("properties").unwrap().as_object().unwrap().keys() {
        assert!(readme.contains(&format!("| `{key}` |")), "no row for {key}");
    }
}
