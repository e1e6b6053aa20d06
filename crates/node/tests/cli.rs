//! The binary as people and scripts meet it: what it prints where, and its exit status.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

#[path = "support/process.rs"]
mod process;

use process::{Node, folder, json, output, skep, status, text};
use serde_json::Value;
use std::{fs, io::Read};

#[test]
fn exit_status_is_0_for_success_1_for_failure_and_2_for_wrong_usage() {
    for args in [&["--help"][..], &["--version"], &["check"], &["plugins"], &["explain"], &["config", "show"]]
    {
        assert_eq!(status(args), Some(0), "{args:?}");
    }
    for args in [
        &["check", "--profile", "prdo"][..],
        &["check", "--set", "nonsense"],
        &["check", "--config", "no such file"],
        &["key", "show"],
        &["dial", "/ip4/127.0.0.1/tcp/1"],
        &["run", "--set", "listen=[\"/ip4/192.0.2.1/tcp/0\"]"],
    ] {
        let output = output(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(text(&output.stderr).starts_with("error: "), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?} prints its mistakes to standard error only");
    }
    for args in [
        &[][..],
        &["frob"],
        &["ping"],
        &["dial", "localhost:4001"],
        &["ping", "/ip4/127.0.0.1/tcp/1", "--count", "0"],
        &["ping", "/ip4/127.0.0.1/tcp/1", "--timeout", "0s"],
        &["run", "--shutdown-timeout", "5"],
        &["check", "--log", "a=b=c"],
    ] {
        assert_eq!(status(args), Some(2), "{args:?}");
    }
}

#[test]
fn run_prints_the_layers_with_their_crates_and_what_to_dial() {
    let node = Node::start(&["run"]);
    let lines = node.until("Ctrl-C stops the node");
    let peer = lines[2].strip_prefix("peer id   ").unwrap().to_string();
    assert!(peer.starts_with("12D3KooW"), "{peer}");
    let layers = [
        "  transport  quic         skep-transport-quic",
        "  transport  tcp          skep-transport-tcp",
        "  transport  websocket    skep-transport-websocket",
        "  security   tls          skep-security-tls",
        "  security   noise        skep-security-noise",
        "  muxer      yamux        skep-muxer-yamux",
        "  gate       ip_filter    skep-policies",
        "  pruner     watermark    skep-policies",
        "  resolver   dns          skep-policies",
        "  ranker     smart        skep-policies",
        "  peerstore  memory       skep-policies",
        "  selector   best         skep-policies",
        "  resources  scoped       skep-policies",
        "  protocol   ping         skep-protocols",
        "  protocol   identify     skep-protocols",
        "  service    reconnect    skep-policies",
        "  service    health       skep-policies",
    ];
    assert_eq!(lines[4], "layers");
    // Which of the two comes first is the processor's business.
    let mut shown = lines[5..22].to_vec();
    shown[3..5].sort_by_key(|line| line.contains("noise"));
    assert_eq!(shown, layers);
    assert_eq!(lines[23], "listening on");
    assert!(lines[24].starts_with("  /ip4/127.0.0.1/tcp/") && lines[24].ends_with(&format!("/p2p/{peer}")));
    assert!(lines[25].starts_with("  /ip4/127.0.0.1/udp/"), "{}", lines[25]);
    assert!(lines[25].ends_with(&format!("/quic-v1/p2p/{peer}")), "{}", lines[25]);
    assert!(!lines.iter().any(|line| line.contains('\u{1b}')), "colours are for terminals");
}

#[test]
fn run_ends_with_status_0_on_either_signal() {
    for (signal, word) in [("INT", "Ctrl-C"), ("TERM", "SIGTERM")] {
        let node = Node::start(&["run"]);
        node.address();
        node.signal(signal);
        let line = node.line();
        assert!(
            line.starts_with(&format!("stopped by {word} in ")) && line.ends_with("0 connections closed"),
            "{line}"
        );
        assert_eq!(node.end(), (Some(0), String::new()));
    }
}

#[test]
fn run_as_json_prints_one_object_a_line() {
    let node = Node::start(&["run", "--json"]);
    let running: Value = serde_json::from_str(&node.line()).unwrap();
    assert_eq!(running["event"], "running");
    assert_eq!(running["layers"].as_array().unwrap().len(), 17);
    let address = running["addresses"][0].as_str().unwrap();
    assert!(address.ends_with(running["peer_id"].as_str().unwrap()));
    node.signal("TERM");
    let stopping: Value = serde_json::from_str(&node.line()).unwrap();
    assert_eq!((&stopping["event"], &stopping["connections"]), (&"stopping".into(), &0.into()));
    let drained: Value = serde_json::from_str(&node.line()).unwrap();
    assert_eq!((&drained["event"], &drained["connections_busy"]), (&"drained".into(), &0.into()));
    let stopped: Value = serde_json::from_str(&node.line()).unwrap();
    assert_eq!((&stopped["event"], &stopped["signal"]), (&"stopped".into(), &"SIGTERM".into()));
    assert_eq!(node.end().0, Some(0));
}

#[test]
fn two_processes_ping_and_dial() {
    let node = Node::start(&["run"]);
    let address = node.address();
    let (transport, peer) = address.split_once("/p2p/").unwrap();

    let ping = output(&["ping", &address, "--count", "3", "--interval", "0s"]);
    assert_eq!(ping.status.code(), Some(0), "{}", text(&ping.stderr));
    let lines: Vec<_> = text(&ping.stdout).lines().collect();
    assert_eq!(lines[0], format!("ping {peer} at {transport}"));
    assert_eq!(lines.len(), 5);
    assert!(lines[4].starts_with("3 answers: min "), "{}", lines[4]);

    let dial = output(&["dial", &address]);
    assert_eq!(dial.status.code(), Some(0), "{}", text(&dial.stderr));
    let lines: Vec<_> = text(&dial.stdout).lines().collect();
    assert!(lines[0].starts_with(&format!("connected to {peer} in ")));
    assert_eq!(lines[1], format!("  remote    {transport}"));
    assert!(["  security  tls", "  security  noise"].contains(&lines[3]), "{}", lines[3]);
    assert_eq!(lines[4], "  muxer     yamux (agreed within the handshake)");
    assert_eq!(lines[5], concat!("  agent     skep/", env!("CARGO_PKG_VERSION")));

    // An address without a peer id takes whoever answers.
    assert_eq!(json(&["dial", transport, "--json"])["peer_id"], peer);
    let ping = json(&["ping", transport, "--json", "--count", "2", "--interval", "0s"]);
    assert_eq!((&ping["ok"], ping["rtt_ms"].as_array().unwrap().len()), (&true.into(), 2));
}

#[test]
fn a_failed_dial_says_where_why_and_what_to_do() {
    let node = Node::start(&["run"]);
    let address = node.address();
    let (transport, peer) = address.split_once("/p2p/").unwrap();
    let other = "12D3KooWKrPdsxeu99y6GBr13Xz3EC7hrg62RN2FAgRQdRHcPiVV";

    let wrong = output(&["dial", &format!("{transport}/p2p/{other}")]);
    assert_eq!((wrong.status.code(), text(&wrong.stdout)), (Some(1), ""));
    let lines: Vec<_> = text(&wrong.stderr).lines().collect();
    assert!(lines[0].starts_with(&format!("error: no connection to {other} after ")));
    assert_eq!(lines[1], format!("  └─ {transport}"));
    assert!(
        lines[2].contains('█') && lines[2].contains("  at ") && lines[2].contains(" for "),
        "{}",
        lines[2]
    );
    let step = lines[3].replace("tls", "noise");
    assert_eq!(step, "     security · noise · wrong_peer");
    assert_eq!(lines[4], format!("     another peer answered: expected {other}, found {peer}"));
    assert!(lines[5].starts_with("     → the address is stale"));

    let refused = json(&["ping", "/ip4/127.0.0.1/tcp/1", "--json"]);
    let attempt = &refused["report"]["addresses"][0];
    assert_eq!((&refused["ok"], &attempt["stage"]), (&false.into(), &"connect".into()));
    assert_eq!((&attempt["plugin"], &attempt["code"]), (&"tcp".into(), &"refused".into()));
    let error = attempt["error"].as_str().unwrap();
    assert!(error.starts_with("the address refused the connection: Connection refused"), "{error}");
}

#[test]
fn ten_mistakes_are_ten_errors() {
    let file = folder("ten_mistakes").join("bad.toml");
    fs::write(&file, include_str!("testdata/ten_mistakes.toml")).unwrap();
    let file = file.to_str().unwrap();
    let (run, check) = (output(&["run", "--config", file]), output(&["check", "--config", file]));
    assert_eq!((run.status.code(), text(&run.stdout)), (Some(1), ""));
    assert_eq!(text(&run.stderr), text(&check.stderr));
    let shown = text(&run.stderr).replace(file, "bad.toml");
    assert_eq!(shown, include_str!("testdata/ten_mistakes.txt"));
    let report = json(&["check", "--json", "--config", file]);
    assert_eq!((&report["ok"], report["problems"].as_array().unwrap().len()), (&false.into(), 10));
}

#[test]
fn a_key_file_is_private_and_never_overwritten() {
    let file = folder("key").join("node.key");
    let path = file.to_str().unwrap();
    let made = json(&["key", "generate", path, "--json"]);
    let bytes = fs::read(&file).unwrap();
    let again = output(&["key", "generate", path]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).starts_with(&format!("error: {path} exists already and is left as it is\n")));
    assert_eq!(fs::read(&file).unwrap(), bytes);
    assert_eq!(json(&["key", "show", path, "--json"])["peer_id"], made["peer_id"]);
    let configured = format!("identity.key_file={path:?}");
    assert_eq!(json(&["key", "show", "--json", "--set", &configured])["peer_id"], made["peer_id"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        let exposed = output(&["run", "--set", &configured]);
        let expected = format!(
            "error: the key file {path} can be read by others (mode 640)\n  → run `chmod 600 {path}`\n"
        );
        assert_eq!((exposed.status.code(), text(&exposed.stderr)), (Some(1), &*expected));
    }
}

#[test]
fn a_key_is_made_on_the_first_run_where_the_profile_says_so() {
    let file = folder("first_run").join("state/node.key");
    let configured = format!("identity.key_file={:?}", file.to_str().unwrap());
    let never = output(&["run", "--set", &configured, "--set", "identity.generate=false"]);
    assert_eq!(never.status.code(), Some(1));
    assert!(text(&never.stderr).contains("does not exist") && !file.exists());
    let first = Node::start(&["run", "--set", &configured]).address();
    let second = Node::start(&["run", "--set", &configured]).address();
    let peer = |address: &str| address.split_once("/p2p/").unwrap().1.to_string();
    assert_eq!(peer(&first), peer(&second));
}

#[test]
fn json_output_parses() {
    let plugins = json(&["plugins", "--json"]);
    let first = &plugins[0];
    assert_eq!((&first["layer"], &first["crate"]), (&"transport".into(), &"skep-transport-memory".into()));
    assert_eq!(json(&["check", "--json"])["ok"], true);
    let keys = json(&["explain", "--json", "--set", "transport.tcp.nodelay=false"]);
    let key = keys.as_array().unwrap().iter().find(|key| key["key"] == "transport.tcp.nodelay").unwrap();
    assert_eq!((&key["value"], &key["origin"]), (&false.into(), &"--set transport.tcp.nodelay=false".into()));
    assert_eq!(key["read_by"], "crates/transport-tcp/src/config.rs");
    assert_eq!(json(&["config", "show", "--json"])["transport"]["tcp"]["nodelay"], true);
    assert_eq!(json(&["config", "schema"])["title"], "skep profile");
    assert_eq!(json(&["key", "show", "--json"])["ok"], false);
}

#[test]
fn a_configuration_that_is_shown_loads_back_to_the_same() {
    let file = folder("show").join("shown.toml");
    let shown = output(&["config", "show", "--profile", "public", "--set", "identity.key_file=\"k\""]).stdout;
    fs::write(&file, &shown).unwrap();
    let again = output(&["config", "show", "--config", file.to_str().unwrap()]);
    assert_eq!(text(&again.stdout), text(&shown), "{}", text(&again.stderr));
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    for args in [&["config", "schema"][..], &["explain"], &["run"], &["plugins", "--json"]] {
        let mut child = skep(args).stdout(closed_pipe()).spawn().unwrap();
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!((child.wait().unwrap().code(), &*errors), (Some(0), ""), "{args:?}");
    }
}

/// The writing end of a pipe that nobody reads any more.
fn closed_pipe() -> std::io::PipeWriter {
    std::io::pipe().unwrap().1
}

#[test]
#[cfg(unix)]
fn variables_that_are_not_utf_8_are_no_reason_to_panic() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let foreign = skep(&["check"]).env("OTHER", OsStr::from_bytes(b"\xff")).output().unwrap();
    assert_eq!(foreign.status.code(), Some(0), "{}", text(&foreign.stderr));
    let ours = skep(&["check"]).env("SKEP_DIAL__TIMEOUT", OsStr::from_bytes(b"\xff")).output().unwrap();
    assert_eq!(ours.status.code(), Some(1));
    assert!(text(&ours.stderr).contains("[environment variable SKEP_DIAL__TIMEOUT]"));
}

#[test]
fn limits_are_shown_with_their_keys_and_can_be_overridden() {
    let shown = output(&["limits", "--set", "resources.scoped.limits.peer.connections=7"]);
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    let row = |scope: &str, resource: &str| {
        let mut lines = text(&shown.stdout).lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines
            .find(|cells| cells.starts_with(&[scope, resource]))
            .unwrap_or_else(|| panic!("no {scope} {resource}"))
    };
    assert_eq!(
        row("peer", "connections")[2..],
        ["7", "resources.scoped.limits.peer.connections", "configured"]
    );
    assert_eq!(row("system", "descriptors")[2..4], ["192", "resources.scoped.max_descriptors"]);
    let none = output(&["limits", "--set", "stack.resources=none"]);
    assert_eq!(text(&none.stdout).trim(), "no limits but those of `[swarm]`: see `skep explain`");
}
