//! What the documents say of the tree is true.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{fs, path::PathBuf};

const DOCUMENTS: [&str; 8] = [
    "ARCHITECTURE.md",
    "README.md",
    "CONTRIBUTING.md",
    "docs/configuration.md",
    "docs/metrics.md",
    "docs/plugins.md",
    "docs/policies.md",
    "docs/simulation.md",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Paths in back quotes or in the drawings that look like files or folders of the workspace.
fn paths(text: &str) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || "`(),;|".contains(c));
    let paths =
        words.filter(|w| w.starts_with("crates/") || w.starts_with("docs/") || w.starts_with("profiles/"));
    paths
        .map(|w| w.trim_end_matches(['.', ':']))
        .filter(|w| !w.contains(['<', '*', '{']))
        .map(String::from)
        .collect()
}

#[test]
fn paths_named_in_the_documents_exist() {
    for document in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for path in paths(&text) {
            assert!(root().join(&path).exists(), "{document} names {path}, which does not exist");
        }
    }
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(paths(&text).len() > 20, "the check finds too few paths to be worth something");
    assert!(text.lines().count() <= 200, "ARCHITECTURE.md has more than 200 lines");
}

fn manifest(folder: PathBuf) -> toml::Table {
    fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap()
}

/// The crates of the workspace that depend on a crate, not counting their tests.
fn users(of: &str) -> Vec<String> {
    let folders = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path());
    let users = folders.filter(|folder| {
        manifest(folder.clone())["dependencies"].as_table().unwrap().keys().any(|name| name == of)
    });
    users.map(|folder| folder.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn every_dependency_has_its_reason_and_its_users() {
    let manifest = manifest(root());
    let reasons = fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let words = |cell: Option<&str>| -> Vec<String> {
        cell.unwrap_or_default().split(',').map(|word| word.trim().to_owned()).collect()
    };
    for name in manifest["workspace"]["dependencies"].as_table().unwrap().keys() {
        if name == "skep" || name.starts_with("skep-") {
            continue;
        }
        let row = reasons.lines().find(|line| words(line.split('|').nth(1)).contains(name));
        let row = row.unwrap_or_else(|| panic!("docs/dependencies.md does not say why {name} is there"));
        let named = words(row.split('|').nth(2));
        for user in users(name) {
            let known = named.contains(&user) || ["all", "most"].contains(&named[0].as_str());
            assert!(known, "docs/dependencies.md does not say that {user} uses {name}");
        }
    }
}

#[test]
fn the_readme_begins_with_the_two_commands() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let commands: Vec<_> = readme.lines().filter(|line| line.starts_with("cargo ")).take(2).collect();
    assert_eq!(commands, ["cargo run --release -- run", "cargo test --workspace"]);
}

#[test]
fn the_readme_is_short_and_shows_the_example_that_is_compiled() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 200, "README.md has more than 200 lines");
    let example = include_str!("../examples/compose.rs");
    let (_, code) = example.split_once("\n\n").unwrap();
    assert!(readme.contains(&format!("```rust\n{code}```")), "README.md does not show examples/compose.rs");
}

#[test]
fn links_between_documents_lead_somewhere() {
    for document in DOCUMENTS {
        let path = root().join(document);
        let text = fs::read_to_string(&path).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for target in targets.filter(|target| !target.is_empty() && !target.contains("://")) {
            assert!(path.parent().unwrap().join(target).exists(), "{document} links to {target}");
        }
    }
}

#[test]
fn the_configuration_guide_has_every_key_of_the_node() {
    let guide = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let registry = skep::swarm::registry::Registry::from_inventory(&skep::plugins::expected()).unwrap();
    let schema = skep::swarm::assemble::schema(&registry);
    for table in ["identity", "stack", "swarm", "dial", "retry"] {
        for key in schema["properties"][table]["properties"].as_object().unwrap().keys() {
            assert!(guide.contains(&format!("| `{key}` |")), "docs/configuration.md lacks {table}.{key}");
        }
    }
    for plugin in registry.plugins() {
        assert!(guide.contains(&format!("`{}`", plugin.name)), "docs/configuration.md lacks {}", plugin.name);
    }
}
