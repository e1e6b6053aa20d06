//! `skep reload` and SIGHUP, as an operator uses them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![cfg(unix)]

#[path = "support/process.rs"]
mod process;

use process::{Node, folder, output, text};
use serde_json::Value;
use std::fs;

const BASE: &str = "[pruner.watermark]\nlow = 20\nhigh = 40\n";

#[test]
fn a_node_reads_its_file_again() {
    let folder = folder("reload");
    let (file, socket) = (folder.join("node.toml"), folder.join("s"));
    let (file, socket) = (file.to_str().unwrap(), socket.to_str().unwrap());
    fs::write(file, BASE).unwrap();
    let node = Node::start(&["run", "--config", file, "--control", socket]);
    node.address();
    let reload = |more: &[&str]| output(&[&["reload", "--control", socket], more].concat());

    let nothing = reload(&[]);
    assert_eq!(text(&nothing.stdout), "nothing has changed\n");

    // Looked at first.
    fs::write(file, BASE.replace("40", "50")).unwrap();
    let dry = reload(&["--dry-run"]);
    let expected = format!(
        "would change\n  key                    before  after  effect   from\n  \
         pruner.watermark.high  40      50     at once  file {file}:3\n\n\
         1 key would change; the node runs as before\n"
    );
    assert_eq!(text(&dry.stdout), expected);

    // Mistakes change nothing, all of them are told, and the status is 1.
    fs::write(file, BASE.replace("high = 40", "hihg = 40\n[swarm]\nmax_connections = 0")).unwrap();
    let wrong = reload(&[]);
    let told = text(&wrong.stderr);
    assert_eq!((wrong.status.code(), text(&wrong.stdout)), (Some(1), ""));
    for what in [
        "error: the node refuses: the new configuration has mistakes\n",
        "  - pruner.watermark.hihg: unknown key [file ",
        "did you mean `high`?",
        "  - swarm.max_connections: 0 is out of range [file ",
        "  → the node runs as before\n",
    ] {
        assert!(told.contains(what), "{what}: {told}");
    }

    // What needs a restart is named.
    fs::write(file, format!("{BASE}[swarm]\nmax_connections = 191\n")).unwrap();
    let restart = reload(&[]);
    assert_eq!(
        text(&restart.stderr),
        "error: the node refuses: keys have changed that need a restart\n  \
         - swarm.max_connections: 192 → 191 (restart)\n  \
         → restart the node, or leave these keys as they are; the node runs as before\n"
    );

    // And then it is done.
    fs::write(file, BASE.replace("40", "50")).unwrap();
    let done = output(&["reload", "--control", socket, "--json"]);
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&report["ok"], &report["changes"][0]["after"]), (&true.into(), &50.into()));
    let shown = output(&["status", "--control", socket, "--effective-config"]);
    assert!(text(&shown.stdout).contains("high = 50"), "{}", text(&shown.stdout));

    // By a signal, too; mistakes are told where the node prints.
    fs::write(file, BASE.replace("40", "60")).unwrap();
    node.signal("HUP");
    assert!(
        node.until("1 key changed").iter().any(|line| line.contains("pruner.watermark.high  50      60"))
    );
    fs::write(file, "[swarm]\nmax_connections = \"many\"\n").unwrap();
    node.signal("HUP");
    let lines = node.until("SIGHUP: the node runs as before");
    assert!(lines.last().unwrap().contains("problem in the configuration"), "{lines:?}");
    node.signal("TERM");
    assert_eq!(node.end().0, Some(0));
}

#[test]
fn whoever_is_not_there_is_told_apart() {
    let refused = output(&["reload", "--control", "/nowhere/s"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("no control socket is at /nowhere/s"));
    let both = output(&["reload", "--control", "/nowhere/s", "--dry-run", "--recheck"]);
    assert_eq!(both.status.code(), Some(2));
}
