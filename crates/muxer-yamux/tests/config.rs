//! What the table takes, and what it says of mistakes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use skep_api::{ConfigErrors, ConfigSection};
use skep_muxer_yamux::{Config, PLUGIN};

fn section(toml: &str) -> ConfigSection {
    let table: serde_json::Map<String, serde_json::Value> = toml::from_str(toml).unwrap();
    ConfigSection::from_table("muxer.yamux", table)
}

fn lines(errors: ConfigErrors) -> Vec<String> {
    errors.into_vec().iter().map(|e| format!("{}: {} ({})", e.key, e.problem, e.help)).collect()
}

#[test]
fn the_defaults_are_valid() {
    let config: Config = ConfigSection::empty("muxer.yamux").decode().unwrap();
    assert_eq!(config.max_streams, 512);
    assert_eq!(config.max_receive_window, 150_994_944);
    assert_eq!(config.frame_size, 65_507);
    assert_eq!(config.write_timeout.to_string(), "30s");
    assert_eq!(config.accept_backlog, 256);
}

#[tokio::test]
async fn a_valid_table_builds() {
    let section = section(include_str!("../testdata/valid.toml"));
    let config: Config = section.decode().unwrap();
    assert_eq!(config.max_streams, 1024);
    let muxer = (PLUGIN.build)(&section, &skep_testkit::build_cx()).unwrap();
    assert_eq!(muxer.protocol(), "/yamux/1.0.0");
}

#[tokio::test]
async fn the_largest_and_smallest_values_build() {
    for table in [
        "max_streams = 1\nmax_receive_window = 262144\nframe_size = 1024\naccept_backlog = 1",
        "max_streams = 16384\nmax_receive_window = 4294967296\nframe_size = 1048576\naccept_backlog = 4096",
    ] {
        assert!((PLUGIN.build)(&section(table), &skep_testkit::build_cx()).is_ok(), "{table}");
    }
}

#[test]
fn every_mistake_is_named() {
    let errors = section(include_str!("../testdata/invalid.toml")).decode::<Config>().unwrap_err();
    assert_eq!(
        lines(errors),
        [
            "muxer.yamux.max_recieve_window: unknown key (did you mean `max_receive_window`? keys here: \
             accept_backlog, frame_size, max_receive_window, max_streams, write_timeout)",
            "muxer.yamux.frame_size: 100 is out of range (allowed: 1024 to 1048576)",
            "muxer.yamux.accept_backlog: 0 is out of range (allowed: 1 to 4096)",
            "muxer.yamux.write_timeout: 10ms is out of range (allowed: 1s to 1h)",
            "muxer.yamux.max_receive_window: 150994944 is too little for 2048 streams: 2048 × 262144 bytes = \
             536870912 (set at least 536870912, or lower `max_streams`)",
        ]
    );
}
