//! Listener and dialer as a suite starts them, with a Redis server between them.
//!
//! The server is Debian's `redis-server`, or whatever is called so. Where there is none, these tests say so and pass;
//! `cargo test -p skep-transport-test -- --include-ignored` fails then.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

mod server;

use server::Server;
use skep_stacks::{StackSpec, linked, registry};
use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Output, Stdio},
};

#[test]
#[ignore = "wants a redis-server"]
fn a_redis_server_is_here() {
    assert!(
        Server::start().is_some(),
        "no redis-server can be started; on Debian: apt-get install redis-server"
    );
}

fn program(args: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep-transport-test"));
    command.args(args).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A listener that has published its address.
struct Listener {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Listener {
    fn start(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = program(args, variables).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("published as ") {
            let read = stderr.read_line(&mut said).unwrap();
            assert!(read > 0, "the listener has ended: {said}");
        }
        Self { child, stderr }
    }

    /// Ends it as a container is ended.
    fn end(mut self) -> (Option<i32>, String) {
        let kill = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The variables of a stack, by the names of unified-testing.
fn stack(spec: &StackSpec) -> Vec<(String, String)> {
    let spec = spec.to_string();
    let words: Vec<_> = spec.split('-').collect();
    let transport = if words[0] == "quic" { "quic-v1" } else { words[0] };
    let mut variables = vec![("TRANSPORT".into(), transport.into())];
    if let [_, security, muxer] = words.as_slice() {
        variables.push(("SECURE_CHANNEL".into(), (*security).into()));
        variables.push(("MUXER".into(), (*muxer).into()));
    }
    variables
}

fn stacks() -> Vec<StackSpec> {
    let stacks = linked(&registry().unwrap()).unwrap();
    let stacks: Vec<_> = stacks.into_iter().filter(StackSpec::joins_processes).collect();
    assert!(!stacks.is_empty());
    stacks
}

/// Both sides of one test; what the dialer printed and how it ended.
fn both(server: &Server, args: &[&str], spec: &StackSpec, load: &[(&str, &str)]) -> Output {
    let (addr, stack) = (server.addr(), stack(spec));
    let key = format!("{spec}-{args:?}");
    let mut common = vec![("REDIS_ADDR", addr.as_str()), ("TEST_KEY", &key), ("LISTENER_IP", "127.0.0.1")];
    common.extend(stack.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let listener = Listener::start(args, &[&common[..], &[("IS_DIALER", "false")]].concat());
    let dialer = program(args, &[&common[..], &[("IS_DIALER", "true")], load].concat()).output().unwrap();
    let (code, rest) = listener.end();
    assert_eq!(code, Some(0), "{spec}: {rest}");
    assert_eq!(dialer.status.code(), Some(0), "{spec}: {}", text(&dialer.stderr));
    dialer
}

/// The value of a line `  key: value` as a number.
fn number(lines: &[&str], key: &str) -> f64 {
    let prefix = format!("  {key}: ");
    let value = lines.iter().find_map(|line| line.strip_prefix(&prefix));
    value.unwrap_or_else(|| panic!("no {key} in {lines:?}")).parse().unwrap()
}

#[test]
fn the_transport_suite_over_every_linked_stack() {
    let Some(server) = Server::start() else { return };
    for spec in stacks() {
        let dialer = both(&server, &[], &spec, &[]);
        let lines: Vec<_> = text(&dialer.stdout).lines().collect();
        assert_eq!((lines[1], lines[4], lines.len()), ("latency:", "  unit: ms", 5), "{lines:?}");
        let (handshake, ping) = (number(&lines, "handshake_plus_one_rtt"), number(&lines, "ping_rtt"));
        assert!(handshake > ping && ping > 0.0, "{lines:?}");
    }
}

#[test]
fn the_perf_suite_over_every_linked_stack() {
    let Some(server) = Server::start() else { return };
    let load = [
        ("UPLOAD_BYTES", "300000"),
        ("DOWNLOAD_BYTES", "200000"),
        ("UPLOAD_ITERATIONS", "2"),
        ("DOWNLOAD_ITERATIONS", "3"),
        ("LATENCY_ITERATIONS", "5"),
        ("DURATION", "20"),
    ];
    for spec in stacks() {
        let dialer = both(&server, &["perf"], &spec, &load);
        assert!(text(&dialer.stderr).contains("DURATION is not used"), "{spec}");
        let parts: Vec<_> = text(&dialer.stdout).split("\n\n").collect();
        assert_eq!(parts.len(), 3, "{parts:?}");
        for (part, (name, iterations, unit)) in
            parts.iter().zip([("upload", 2, "Gbps"), ("download", 3, "Gbps"), ("latency", 5, "ms")])
        {
            let lines: Vec<_> = part.lines().collect();
            assert_eq!(lines[0], format!("{name}:"));
            assert_eq!(lines[9], format!("  unit: {unit}"));
            assert_eq!(number(&lines, "iterations"), f64::from(iterations));
            let marks = ["min", "q1", "median", "q3", "max"].map(|key| number(&lines, key));
            assert!(marks[1] <= marks[2] && marks[2] <= marks[3] && marks[0] <= marks[4], "{part}");
            let samples = lines.iter().find_map(|line| line.strip_prefix("  samples: [")).unwrap();
            let samples = samples.trim_end_matches(']').split(", ").filter(|s| s.parse::<f64>().is_ok());
            assert_eq!(samples.count(), usize::try_from(iterations).unwrap(), "{part}");
        }
    }
}

#[test]
fn the_older_names_have_a_list_under_their_own_key_and_a_result_in_json() {
    let Some(server) = Server::start() else { return };
    let addr = server.addr();
    let common = [
        ("redis_addr", addr.as_str()),
        ("transport", "tcp"),
        ("security", "noise"),
        ("muxer", "yamux"),
        ("ip", "127.0.0.1"),
    ];
    let listener = Listener::start(&[], &[&common[..], &[("is_dialer", "false")]].concat());
    assert_eq!(server.ask(&["LLEN", "listenerAddr"]), "1");
    let dialer = program(&[], &[&common[..], &[("is_dialer", "true")]].concat()).output().unwrap();
    assert_eq!(dialer.status.code(), Some(0), "{}", text(&dialer.stderr));
    let line: serde_json::Value = serde_json::from_slice(&dialer.stdout).unwrap();
    let (handshake, ping) = (&line["handshakePlusOneRTTMillis"], &line["pingRTTMilllis"]);
    assert!(handshake.as_f64().unwrap() > ping.as_f64().unwrap() && ping.as_f64().unwrap() > 0.0, "{line}");
    assert_eq!(listener.end().0, Some(0));
}

#[test]
fn a_listener_replaces_what_is_left_of_an_earlier_run_and_a_dialer_takes_either_form() {
    let Some(server) = Server::start() else { return };
    let addr = server.addr();
    let common = [
        ("REDIS_ADDR", addr.as_str()),
        ("TEST_KEY", "k"),
        ("TRANSPORT", "tcp"),
        ("SECURE_CHANNEL", "noise"),
        ("MUXER", "yamux"),
        ("LISTENER_IP", "127.0.0.1"),
    ];
    let key = "k_listener_multiaddr";
    server.ask(&["SET", key, "/ip4/127.0.0.1/tcp/1"]);
    let listener = Listener::start(&[], &[&common[..], &[("IS_DIALER", "false")]].concat());
    assert_eq!(server.ask(&["LLEN", key]), "1");
    let published = server.ask(&["LPOP", key]);
    assert!(published.starts_with("/ip4/127.0.0.1/tcp/") && published.contains("/p2p/"), "{published}");
    for form in ["SET", "RPUSH"] {
        server.ask(&["DEL", key]);
        server.ask(&[form, key, &published]);
        let dialer = program(&[], &[&common[..], &[("IS_DIALER", "true")]].concat()).output().unwrap();
        assert_eq!(dialer.status.code(), Some(0), "{form}: {}", text(&dialer.stderr));
    }
    drop(listener);
    // Nobody is there any more.
    server.ask(&["SET", key, &published]);
    let dialer = program(&[], &[&common[..], &[("IS_DIALER", "true")]].concat()).output().unwrap();
    assert_eq!(dialer.status.code(), Some(1));
    assert!(text(&dialer.stderr).contains("refused") && dialer.stdout.is_empty(), "{}", text(&dialer.stderr));
}

#[test]
fn a_dialer_that_nobody_answers_says_which_key_it_waited_for() {
    let Some(server) = Server::start() else { return };
    let addr = server.addr();
    let variables = [
        ("IS_DIALER", "true"),
        ("REDIS_ADDR", addr.as_str()),
        ("TEST_KEY", "nobody"),
        ("TRANSPORT", "tcp"),
        ("SECURE_CHANNEL", "noise"),
        ("MUXER", "yamux"),
        ("TEST_TIMEOUT_SECS", "1"),
    ];
    let dialer = program(&[], &variables).output().unwrap();
    assert_eq!((dialer.status.code(), text(&dialer.stdout)), (Some(1), ""));
    let said = text(&dialer.stderr);
    assert!(said.contains("as nobody_listener_multiaddr within 1s"), "{said}");
}

#[test]
fn variables_and_arguments_that_it_does_not_take_end_with_status_2() {
    let output = program(&[], &[]).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    let said = text(&output.stderr);
    for variable in ["IS_DIALER", "TRANSPORT", "TEST_KEY", "REDIS_ADDR"] {
        assert!(said.contains(&format!("{variable}: it is not set")), "{said}");
    }
    let output = program(&["relay"], &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("transport or perf"));
    let variables = [
        ("IS_DIALER", "true"),
        ("REDIS_ADDR", "127.0.0.1:1"),
        ("TEST_KEY", "k"),
        ("TRANSPORT", "tcp"),
        ("SECURE_CHANNEL", "rot13"),
        ("MUXER", "yamux"),
    ];
    let output = program(&[], &variables).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("security `rot13` is not linked here; linked: "), "{said}");
}
