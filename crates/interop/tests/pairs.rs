//! Two peers, as the runner of the interoperability matrix starts them, over every stack that is linked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use serde_json::Value;
use skep_stacks::{Recipe, StackSpec, linked, registry};
use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

/// How often, and how far apart, it is looked whether a peer has ended: longer in all than it takes on the slowest machine.
const LOOKS: usize = 12_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
const OTHER_ID: &str = "12D3KooWBg8VmGXYYWTs6DjFnQjNYuU45Cvg7iKtpvjTrn6gE7qs";

fn peer(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep-peer"));
    command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A listening peer; ended by closing its input.
struct Listener {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    addr: String,
}

impl Listener {
    fn start(flags: &[&str]) -> Self {
        let mut command = peer(&[&["listen"], flags].concat());
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let addr = line.trim().strip_prefix("LISTEN ").unwrap_or_else(|| panic!("{line:?}")).to_string();
        Self { child, stdout, addr }
    }

    /// What it printed after its first line, and its exit status.
    fn end(mut self) -> (String, Option<i32>) {
        drop(self.child.stdin.take());
        let ended = (0..LOOKS).any(|_| {
            std::thread::sleep(BETWEEN_LOOKS);
            self.child.try_wait().unwrap().is_some()
        });
        assert!(ended, "it still runs");
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (rest, self.child.wait().unwrap().code())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn dial(addr: &str, flags: &[&str], op: &[&str]) -> (Value, Output) {
    let output = peer(&[&["dial", addr], flags, &["--do"], op].concat()).output().unwrap();
    let line = serde_json::from_slice(&output.stdout);
    let line = line.unwrap_or_else(|e| panic!("{op:?} of {flags:?}: {e}: {output:?}"));
    (line, output)
}

fn succeeds(addr: &str, flags: &[&str], op: &[&str]) -> Value {
    let (line, output) = dial(addr, flags, op);
    assert_eq!((&line["ok"], output.status.code()), (&Value::Bool(true), Some(0)), "{flags:?}: {line}");
    assert_eq!(line["op"], op[0]);
    assert!(line["seconds"].as_f64().unwrap() >= 0.0);
    line
}

/// The stacks that are linked and join processes, as flags.
fn stacks() -> Vec<Vec<String>> {
    let flags = |spec: StackSpec| {
        let text = spec.to_string();
        let words: Vec<_> = text.split('-').collect();
        let names = ["--transport", "--security", "--muxer"];
        names.iter().zip(words).flat_map(|(name, word)| [(*name).to_string(), word.to_string()]).collect()
    };
    let all = linked(&registry().unwrap()).unwrap();
    let stacks: Vec<_> = all.into_iter().filter(StackSpec::joins_processes).map(flags).collect();
    assert!(!stacks.is_empty());
    stacks
}

#[test]
fn every_operation_over_every_linked_stack() {
    for flags in stacks() {
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        every_operation(&flags);
    }
}

fn every_operation(flags: &[&str]) {
    let listener = Listener::start(flags);
    let addr = listener.addr.as_str();
    let peer_id = addr.rsplit('/').next().unwrap();

    let line = succeeds(addr, flags, &["ping", "--count", "3"]);
    assert!(line["rtt_ms"].as_f64().unwrap() > 0.0 && line["count"] == 3, "{line}");

    let line = succeeds(addr, flags, &["identify"]);
    assert_eq!(line["peer_id"], peer_id);
    let protocols = line["protocols"].as_array().unwrap();
    for id in ["/ipfs/ping/1.0.0", "/ipfs/id/1.0.0", "/interop/reset/1.0.0"] {
        assert!(protocols.iter().any(|p| p == id), "{line}");
    }
    let without_id = addr.rsplit_once("/p2p/").unwrap().0;
    assert!(line["listen_addrs"].as_array().unwrap().iter().any(|a| a == without_id), "{line}");
    assert!(line["observed_addr"].as_str().unwrap().starts_with("/ip4/127.0.0.1/"), "{line}");

    for op in ["echo", "sink", "source"] {
        let line = succeeds(addr, flags, &[op, "--bytes", "300000", "--count", "2"]);
        assert!(line["bytes"] == 600_000 && line["count"] == 2, "{line}");
        succeeds(addr, flags, &[op, "--bytes", "0"]);
    }

    let line = succeeds(addr, flags, &["reset", "--count", "2"]);
    assert!(line["ended"] == "reset" && line["count"] == 2, "{line}");

    let elsewhere = format!("{without_id}/p2p/{OTHER_ID}");
    let (line, output) = dial(&elsewhere, flags, &["ping"]);
    assert_eq!((&line["ok"], output.status.code()), (&Value::Bool(false), Some(1)), "{line}");
    assert!(line["error"].as_str().unwrap().contains(peer_id), "{line}");

    assert_eq!(listener.end(), (String::new(), Some(0)), "{flags:?}");
}

/// A private network's key, in a folder of its own.
struct Key(PathBuf);

impl Key {
    fn new(name: &str, byte: u8) -> Self {
        let path = std::env::temp_dir().join(format!("skep-peer-{}-{name}.key", std::process::id()));
        let text = format!("/key/swarm/psk/1.0.0/\n/base16/\n{}\n", hex::encode([byte; 32]));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn private_networks_where_their_plugin_is_linked() {
    let private = "tcp-noise-yamux".parse::<StackSpec>().unwrap().private("swarm.key").unwrap();
    let (ours, theirs) = (Key::new("ours", 1), Key::new("theirs", 2));
    let with = |key: &Key| ["--psk-file".to_string(), key.0.to_str().unwrap().to_string()];
    let (ours, theirs) = (with(&ours), with(&theirs));
    let flags = |key: &[String; 2]| key.iter().map(String::from).collect::<Vec<_>>();
    if Recipe::new(private, "").is_err() {
        let output = peer(&["listen", &ours[0], &ours[1]]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("protector `psk` is not linked"), "{said}");
        return;
    }
    let (ours, theirs) = (flags(&ours), flags(&theirs));
    let (ours, theirs): (Vec<_>, Vec<_>) =
        (ours.iter().map(String::as_str).collect(), theirs.iter().map(String::as_str).collect());
    every_operation(&ours);
    let listener = Listener::start(&ours);
    for other in [&theirs[..], &[]] {
        let (line, output) = dial(&listener.addr, other, &["ping", "--timeout", "20"]);
        assert_eq!((&line["ok"], output.status.code()), (&Value::Bool(false), Some(1)), "{line}");
    }
    succeeds(&listener.addr, &ours, &["ping"]);
}

#[test]
fn what_it_does_not_take_ends_with_status_2() {
    for args in [
        &[][..],
        &["listen", "--transport", "udp"],
        &["listen", "--transport", "memory"],
        &["listen", "--security", "rot13"],
        &["listen", "--muxer", "none"],
        &["listen", "--transport", "quic", "--psk-file", "swarm.key"],
        &["listen", "--frob", "1"],
        &["dial", "/ip4/127.0.0.1/tcp/1", "--do", "fly"],
        &["dial", "/ip4/127.0.0.1/tcp/1", "--bytes", "many"],
    ] {
        let output = peer(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_dial_that_fails_says_why_in_its_line() {
    let (line, output) = dial("/ip4/127.0.0.1/tcp/1", &[], &["ping"]);
    assert_eq!((&line["ok"], &line["op"], output.status.code()), (&false.into(), &"ping".into(), Some(1)));
    assert!(line["error"].as_str().unwrap().contains("refused"), "{line}");
}
