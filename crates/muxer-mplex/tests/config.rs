//! What the table takes, and what it says of mistakes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use skep_api::{ConfigErrors, ConfigSection};
use skep_muxer_mplex::{Config, PLUGIN};

fn section(toml: &str) -> ConfigSection {
    let table: serde_json::Map<String, serde_json::Value> = toml::from_str(toml).unwrap();
    ConfigSection::from_table("muxer.mplex", table)
}

fn lines(errors: ConfigErrors) -> Vec<String> {
    errors.into_vec().iter().map(|e| format!("{}: {} ({})", e.key, e.problem, e.help)).collect()
}

#[test]
fn the_defaults_are_valid_and_in_the_readme() {
    let config: Config = ConfigSection::empty("muxer.mplex").decode().unwrap();
    let defaults = [
        ("max_streams", config.max_streams.to_string()),
        ("max_buffer", config.max_buffer.to_string()),
        ("slow_reader_timeout", format!("`\"{}\"`", config.slow_reader_timeout)),
        ("frame_size", config.frame_size.to_string()),
        ("write_timeout", format!("`\"{}\"`", config.write_timeout)),
        ("accept_backlog", config.accept_backlog.to_string()),
    ];
    let readme = include_str!("../README.md");
    for (key, default) in defaults {
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{key}` |"))).unwrap();
        assert!(row.contains(&format!("| {default}")), "{key}: {default} is not in {row}");
    }
    assert_eq!(
        u64::from(config.max_streams) * config.max_buffer,
        32 << 20,
        "the worst case that is promised"
    );
}

#[tokio::test]
async fn a_valid_table_builds() {
    let section = section(include_str!("../testdata/valid.toml"));
    let config: Config = section.decode().unwrap();
    assert_eq!(config.max_streams, 256);
    let muxer = (PLUGIN.build)(&section, &skep_testkit::build_cx()).unwrap();
    assert_eq!(muxer.protocol(), "/mplex/6.7.0");
}

#[tokio::test]
async fn the_largest_and_smallest_values_build() {
    for table in [
        "max_streams = 2\nmax_buffer = 65536\nslow_reader_timeout = \"1s\"\nframe_size = 1024\naccept_backlog = 1",
        "max_streams = 4096\nmax_buffer = 262144\nframe_size = 1048576\naccept_backlog = 4096",
        "max_streams = 16\nmax_buffer = 67108864\nslow_reader_timeout = \"1m\"\nwrite_timeout = \"1h\"",
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
            "muxer.mplex.max_bufer: unknown key (did you mean `max_buffer`? keys here: accept_backlog, frame_size, \
             max_buffer, max_streams, slow_reader_timeout, write_timeout)",
            "muxer.mplex.frame_size: 100 is out of range (allowed: 1024 to 1048576)",
            "muxer.mplex.accept_backlog: 0 is out of range (allowed: 1 to 4096)",
            "muxer.mplex.slow_reader_timeout: 10ms is out of range (allowed: 1s to 1m)",
            "muxer.mplex.write_timeout: 2h is out of range (allowed: 1s to 1h)",
            "muxer.mplex.max_buffer: 2048 streams × 1048576 bytes = 2147483648 bytes of unread data per connection \
             (at most 1073741824: lower it, or `max_streams`)",
        ]
    );
}
