//! The keys of the table, and what is said about a wrong one.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

use serde_json::{Map, Value};
use skep_api::ConfigSection;
use skep_security_tls::{Config, KeyExchange, PLUGIN};

fn section(text: &str) -> ConfigSection {
    let table: Map<String, Value> = toml::from_str(text).unwrap();
    ConfigSection::from_table("security.tls", table)
}

#[tokio::test]
async fn every_key_is_read() {
    let section = section(include_str!("testdata/valid.toml"));
    let config: Config = section.decode().unwrap();
    let key_exchange = KeyExchange::PostQuantum;
    assert_eq!(config, Config { early_muxer: false, key_exchange, max_idle_buffers: 0 });
    let plugin = (PLUGIN.build)(&section, &skep_testkit::build_cx()).unwrap();
    assert_eq!(plugin.protocol(), "/tls/1.0.0");
    assert_eq!(plugin.at_full_speed(), skep_tls::has_fast_aes());
    assert!(!plugin.insecure());
}

#[tokio::test]
async fn every_mistake_is_named() {
    let wrong = (PLUGIN.build)(&section(include_str!("testdata/invalid.toml")), &skep_testkit::build_cx());
    assert_eq!(
        wrong.unwrap_err().to_string(),
        "4 problems in the configuration:\n  \
         1. security.tls.early_muxer: invalid type: string \"yes\", expected a boolean [set in code]\n    \
         Offers the muxers within the handshake, `true` or `false`.\n  \
         2. security.tls.key_exchange: unknown variant `quantum`, expected `classical` or `post_quantum` \
         [set in code]\n    \
         How two ends find their common secret, `\"classical\"` or `\"post_quantum\"`.\n  \
         3. security.tls.max_idle_buffer: unknown key [set in code]\n    \
         did you mean `max_idle_buffers`? keys here: early_muxer, key_exchange, max_idle_buffers\n  \
         4. security.tls.max_idle_buffers: 65537 is out of range [set in code]\n    \
         allowed: 0 to 65536"
    );
}

#[test]
fn the_readme_names_the_keys_with_their_defaults() {
    let readme = include_str!("../README.md");
    let defaults = Config::default();
    assert!(readme.contains(&format!("| `early_muxer` | bool | `{}` |", defaults.early_muxer)));
    assert!(readme.contains("| `key_exchange` | `\"classical\"` or `\"post_quantum\"` | `\"classical\"` |"));
    assert_eq!(defaults.key_exchange, KeyExchange::Classical);
    assert!(readme.contains(&format!("0 to 65536 | `{}` |", defaults.max_idle_buffers)));
}
