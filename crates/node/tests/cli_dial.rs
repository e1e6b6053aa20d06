//! `skep dial` as a user types it: several addresses, a peer id, and a peer store that outlives the process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "support/process.rs"]
mod process;

use process::{Node, folder, json, output, text};
use std::fs;

#[test]
fn explain_draws_what_became_of_each_address() {
    let node = Node::start(&["run"]);
    let address = node.address();
    let (transport, peer) = address.split_once("/p2p/").unwrap();
    let dial = output(&[
        "dial",
        &address,
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/127.0.0.1/udp/1/webrtc-direct",
        "--explain",
    ]);
    assert_eq!(dial.status.code(), Some(0), "{}", text(&dial.stderr));
    let shown = text(&dial.stdout);
    let (_, tree) = shown.split_once("\naddresses\n").unwrap();
    assert!(tree.contains(&format!("─ {transport}\n")), "{tree}");
    for part in [
        "connected",
        "connect · tcp · refused",
        "not tried · filter · no_transport",
        "  at ",
        "█",
        "└─ ",
        "├─ ",
    ] {
        assert!(tree.contains(part), "{part}: {tree}");
    }
    let report = json(&["dial", &address, "/ip4/127.0.0.1/tcp/1", "--json"]);
    assert_eq!((&report["ok"], &report["peer_id"]), (&true.into(), &peer.into()));
    let addresses = report["report"]["addresses"].as_array().unwrap();
    let outcome = |code: &str| addresses.iter().find(|a| a["code"] == code).unwrap()["outcome"].clone();
    assert_eq!((outcome("refused"), outcome("connected")), ("failed".into(), "connected".into()));
}

#[test]
fn a_peer_is_dialled_by_its_id_when_its_addresses_are_stored() {
    let node = Node::start(&["run"]);
    let address = node.address();
    let (_, peer) = address.split_once("/p2p/").unwrap();
    let path = format!("peerstore.redb.path={}", folder("dial_by_id").join("peers.redb").display());
    let stored = ["--set", "stack.peerstore=redb", "--set", &path];
    let dial = |target: &str| output(&[&["dial", target][..], &stored].concat());
    let unknown = dial(peer);
    let expected = format!(
        "error: no connection to {peer} · no_addresses\n  no address of the peer is known\n  \
         → add an address to the peer store, or dial one\n"
    );
    assert_eq!((unknown.status.code(), text(&unknown.stderr)), (Some(1), expected.as_str()));
    assert_eq!(dial(&address).status.code(), Some(0));
    let known = dial(peer);
    assert_eq!(known.status.code(), Some(0), "{}", text(&known.stderr));
    assert!(text(&known.stdout).starts_with(&format!("connected to {peer} in ")));
}

#[test]
fn a_peer_store_that_cannot_be_used_is_told_and_left_as_it_is() {
    let file = folder("bad_store").join("peers.redb");
    fs::write(&file, "no peer store\n").unwrap();
    let path = format!("peerstore.redb.path={}", file.display());
    let peer = "12D3KooWKrPdsxeu99y6GBr13Xz3EC7hrg62RN2FAgRQdRHcPiVV";
    let args = ["dial", peer, "--set", "stack.peerstore=redb", "--set", &path];
    let damaged = output(&args);
    let shown = text(&damaged.stderr);
    assert!(shown.starts_with("error: peer store `redb`: the peer store's file is damaged: "), "{shown}");
    assert!(shown.ends_with(
        "  → restore the file, or set `on_corruption = \"start_afresh\"`, which moves it aside\n"
    ));
    assert_eq!(fs::read_to_string(&file).unwrap(), "no peer store\n");

    let afresh = ["--set", "peerstore.redb.on_corruption=start_afresh"];
    let begun = output(&[&args[..], &afresh].concat());
    assert!(text(&begun.stderr).contains("no_addresses"), "{}", text(&begun.stderr));
    let aside = file.with_extension("redb.damaged-1");
    assert_eq!(fs::read_to_string(aside).unwrap(), "no peer store\n");

    let node = Node::start(&["run", "--set", "stack.peerstore=redb", "--set", &path]);
    node.address();
    let in_use = output(&args);
    let shown = text(&in_use.stderr);
    assert!(
        shown.starts_with("error: peer store `redb`: another process uses the peer store's file: "),
        "{shown}"
    );
    assert!(shown.ends_with("  → give each node a file of its own\n"), "{shown}");
}

#[test]
fn the_addresses_of_one_dial_are_those_of_one_peer() {
    let one = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWKrPdsxeu99y6GBr13Xz3EC7hrg62RN2FAgRQdRHcPiVV";
    let other = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    let dial = output(&["dial", one, other]);
    assert_eq!(dial.status.code(), Some(1));
    let shown = text(&dial.stderr);
    assert!(shown.contains("the addresses are those of two peers") && shown.contains(other), "{shown}");
}
