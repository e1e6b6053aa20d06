//! Profiles that name plugins which do not go together, or lack what they need: `check` and `run` refuse them before
//! anything listens, with the texts that are here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "support/process.rs"]
mod process;

use process::{folder, skep, text};
use std::{fs, os::unix::fs::PermissionsExt};

/// Of a private network.
const KEY: &str =
    "/key/swarm/psk/1.0.0/\n/base16/\n0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20\n";

/// The profile of the case is refused with the text of the case.
fn refused(case: &str, profile: &str, expected: &str) {
    let folder = folder(&format!("refused_{case}"));
    fs::write(folder.join("node.toml"), profile).unwrap();
    let key = folder.join("swarm.key");
    fs::write(&key, KEY).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let [check, run] = ["check", "run"]
        .map(|command| skep(&[command, "--config", "node.toml"]).current_dir(&folder).output().unwrap());
    assert_eq!((check.status.code(), text(&check.stdout)), (Some(1), ""));
    assert_eq!(text(&check.stderr), expected);
    assert_eq!((run.status.code(), text(&run.stdout)), (Some(1), ""));
    assert_eq!(text(&run.stderr), expected);
}

macro_rules! cases {
    ($($case:ident)+) => { $(
        #[test]
        fn $case() {
            let case = stringify!($case);
            let profile = include_str!(concat!("testdata/refused/", stringify!($case), ".toml"));
            refused(case, profile, include_str!(concat!("testdata/refused/", stringify!($case), ".txt")));
        }
    )+ };
}

cases! {
    no_security
    no_muxer
    wss_without_certificate
    psk_with_quic
    psk_without_key
    nobody_serves
    plaintext
}

/// The example of the README, whose long lists end in "…".
#[test]
fn the_mistakes_that_the_readme_shows_are_told_as_it_shows_them() {
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme.split_once("skep check --config node.toml\n").unwrap();
    let (shown, _) = rest.split_once("```").unwrap();
    let folder = folder("refused_readme");
    let profile = "\n\n[stack]\ngates = [\"ip_fliter\"]\n[transport.tcp]\n\nconnect_timeout = \"2 seconds\"";
    fs::write(folder.join("node.toml"), profile).unwrap();
    let mut check = skep(&["check", "--config", "node.toml"]);
    let check = check.current_dir(&folder).env("SKEP_SWARM__MAX_CONNECTION", "100").output().unwrap();
    let told: Vec<_> = text(&check.stderr).lines().collect();
    assert_eq!(told.len(), shown.lines().count());
    for (told, shown) in told.iter().zip(shown.lines()) {
        match shown.strip_suffix('…') {
            Some(start) => assert!(told.starts_with(start), "{told:?} is not {shown:?}"),
            None => assert_eq!(*told, shown),
        }
    }
}

#[test]
fn what_is_for_old_peers_tests_and_debugging_is_in_no_built_in_profile() {
    for profile in ["default", "public", "private_cluster", "embedded_device"] {
        let shown = skep(&["config", "show", "--profile", profile]).output().unwrap();
        let shown = text(&shown.stdout);
        let stack: Vec<_> =
            shown.lines().skip_while(|line| *line != "[stack]").take_while(|line| !line.is_empty()).collect();
        let stack = stack.join("\n");
        assert!(stack.contains("\"noise\""), "{profile}: {stack}");
        for plugin in ["mplex", "plaintext", "perf", "chaos", "capture"] {
            assert!(!stack.contains(&format!("\"{plugin}\"")), "{profile} has {plugin}: {stack}");
        }
    }
}
