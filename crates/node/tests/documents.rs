//! What the documents say of the tree is true.

use std::{fs, path::PathBuf};

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
    for document in ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for path in paths(&text) {
            assert!(root().join(&path).exists(), "{document} names {path}, which does not exist");
        }
    }
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    assert!(paths(&text).len() > 20, "the check finds too few paths to be worth something");
    assert!(text.lines().count() <= 200, "ARCHITECTURE.md has more than 200 lines");
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let reasons = fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    for name in manifest["workspace"]["dependencies"].as_table().unwrap().keys() {
        let own = name == "skep" || name.starts_with("skep-");
        let named = reasons.lines().any(|line| {
            line.split('|').nth(1).is_some_and(|cell| cell.split(',').any(|word| word.trim() == name))
        });
        assert!(own || named, "docs/dependencies.md does not say why {name} is there");
    }
}

#[test]
fn the_readme_begins_with_the_two_commands() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let commands: Vec<_> = readme.lines().filter(|line| line.starts_with("cargo ")).take(2).collect();
    assert_eq!(commands, ["cargo run --release -- run", "cargo test --workspace"]);
}
