//! The table, which has no keys.

use serde_json::{Map, Value};
use skep_api::ConfigSection;
use skep_security_plaintext::{Config, PLUGIN};

#[tokio::test]
async fn an_empty_table_builds() {
    let section = ConfigSection::empty("security.plaintext");
    assert_eq!(section.decode::<Config>().unwrap(), Config {});
    let plugin = (PLUGIN.build)(&section, &skep_testkit::build_cx()).unwrap();
    assert_eq!(plugin.protocol(), "/plaintext/2.0.0");
    assert!(plugin.insecure());
}

#[tokio::test]
async fn any_key_is_a_mistake() {
    let table: Map<String, Value> = toml::from_str(include_str!("../testdata/invalid.toml")).unwrap();
    let section = ConfigSection::from_table("security.plaintext", table);
    let errors = (PLUGIN.build)(&section, &skep_testkit::build_cx()).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "1 problem in the configuration:\n  1. security.plaintext.early_muxer: unknown key [set in code]\n    \
         this plugin has no keys"
    );
}
