//! The dependency direction of the workspace: a crate depends on lower levels only, plugins never name each
//! other, and a foreign library of one layer is named by one crate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{collections::BTreeMap, fs, path::PathBuf};

fn crates_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Folder name → the names under `[dependencies]`, those of the workspace without their `skep-`.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(crates_folder()).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else { continue };
        let manifest: toml::Table = manifest.parse().unwrap();
        let names = manifest["dependencies"].as_table().unwrap().keys().cloned().collect();
        all.insert(folder.file_name().unwrap().to_string_lossy().into_owned(), names);
    }
    all
}

fn level(folder: &str) -> u8 {
    match folder {
        "api" => 0,
        // Libraries that several plugins share.
        "ip-endpoint" | "tls" => 1,
        "tcp-port" => 2,
        "swarm" => 4,
        "node" => 5,
        "stacks" | "sim" => 6,
        "interop" | "bench" | "transport-test" => 7,
        _ => 3,
    }
}

/// What breaks the direction, one line each.
fn violations(all: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for (folder, names) in all {
        for name in names {
            let target = if name == "skep" { "node" } else { name.strip_prefix("skep-").unwrap_or_default() };
            if all.contains_key(target) && level(target) >= level(folder) {
                found.push(format!(
                    "{folder} (level {}) depends on {target} (level {})",
                    level(folder),
                    level(target)
                ));
            }
        }
    }
    // The library of a layer belongs to the crate of that layer.
    for (library, owner) in [
        ("snow", "security-noise"),
        ("yamux", "muxer-yamux"),
        ("hickory-resolver", "policies"),
        ("quinn", "transport-quic"),
        ("rustls", "tls"),
        ("rcgen", "tls"),
        ("x509-parser", "tls"),
        ("tungstenite", "transport-websocket"),
        ("salsa20", "protector-psk"),
        ("libp2p-mplex", "muxer-mplex"),
        ("redis", "transport-test"),
        ("figment", "swarm"),
        ("multistream-select", "swarm"),
        ("prometheus-client", "metrics-prometheus"),
        ("hyper", "metrics-prometheus"),
        ("hyper-util", "metrics-prometheus"),
    ] {
        for (folder, names) in all {
            if folder != owner && names.iter().any(|name| name == library) {
                found.push(format!("{folder} names {library}, which only {owner} may"));
            }
        }
    }
    found
}

#[test]
fn every_crate_depends_on_lower_levels_only() {
    let all = dependencies();
    assert!(all.len() >= 25, "only {} crates were found", all.len());
    assert_eq!(violations(&all), Vec::<String>::new());
}

#[test]
fn the_check_fails_when_the_direction_is_broken() {
    let mut all = dependencies();
    all.get_mut("api").unwrap().push("skep-swarm".into());
    all.get_mut("transport-tcp").unwrap().push("skep-security-noise".into());
    all.get_mut("swarm").unwrap().push("snow".into());
    assert_eq!(
        violations(&all),
        [
            "api (level 0) depends on swarm (level 4)",
            "transport-tcp (level 3) depends on security-noise (level 3)",
            "swarm names snow, which only security-noise may",
        ]
    );
}
