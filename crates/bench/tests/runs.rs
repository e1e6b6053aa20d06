//! Server and client as the benchmark's runner starts them, with little to do, over every stack that is linked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use serde_json::Value;
use skep_stacks::{StackSpec, linked, registry};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
};

fn bench(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep-bench"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server, which ends when its input does.
struct Server {
    child: Child,
    addr: String,
    pid: String,
}

impl Server {
    fn start(stack: &str) -> Self {
        let mut child = bench(&["server", "--stack", stack]).stdin(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let words: Vec<_> = line.split_whitespace().map(String::from).collect();
        assert_eq!((words.len(), words[0].as_str()), (3, "READY"), "{line:?}");
        Self { child, addr: words[1].clone(), pid: words[2].clone() }
    }

    fn measure(&self, stack: &str, op: &[&str]) -> Value {
        let common = ["client", "--stack", stack, "--addr", &self.addr, "--server-pid", &self.pid, "--op"];
        let output = bench(&[&common[..], op].concat()).output().unwrap();
        assert!(output.status.success(), "{stack} {op:?}: {}", text(&output.stderr));
        let line: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&line["impl"], &line["stack"], &line["op"]),
            (&"skep".into(), &stack.into(), &op[0].into())
        );
        line
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn refused(output: &Output, status: i32, why: &str) {
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(status), ""));
    assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
}

#[test]
fn every_operation_over_every_linked_stack() {
    let stacks = linked(&registry().unwrap()).unwrap();
    let stacks: Vec<_> =
        stacks.iter().filter(|spec| spec.joins_processes()).map(StackSpec::to_string).collect();
    assert!(stacks.contains(&"tcp-noise-yamux".to_string()), "{stacks:?}");
    for stack in &stacks {
        let server = Server::start(stack);
        for op in ["upload", "download"] {
            let line = server.measure(stack, &[op, "--bytes", "1MiB", "--streams", "2"]);
            assert!(line["bytes"] == 1_048_576.0 && line["bytes_per_sec"].as_f64().unwrap() > 0.0, "{line}");
        }
        for op in ["connect", "streams"] {
            let line = server.measure(stack, &[op, "--count", "4", "--parallel", "2"]);
            assert!(line["count"] == 4.0 && line["p50_us"].as_f64().unwrap() > 0.0, "{line}");
        }
        let line = server.measure(stack, &["pingpong", "--count", "20"]);
        assert!(line["count"] == 20.0 && line["size"] == 64, "{line}");
        let line = server.measure(stack, &["idle", "--conns", "3", "--hold-ms", "1", "--touch", "64KiB"]);
        assert_eq!(line["alive"], 3.0, "{line}");
        let line = server.measure(stack, &["rtt", "--rtt-ms", "1"]);
        assert!(line["first_echo_rtts"].as_f64().unwrap() > 0.0, "{line}");
    }
}

#[test]
fn within_one_process_every_linked_stack_can_be_measured() {
    for spec in linked(&registry().unwrap()).unwrap() {
        let spec = spec.to_string();
        let output = bench(&["blocking", "--stack", &spec, "--secs", "0", "--json"]).output().unwrap();
        assert!(output.status.success(), "{spec}: {}", text(&output.stderr));
        let line: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(line["stack"], spec, "{line}");
    }
}

#[test]
fn stacks_that_cannot_be_had_are_refused() {
    let output = bench(&["server", "--stack", "tcp-noise-rot13"]).output().unwrap();
    refused(&output, 2, "muxer `rot13` is not linked here; linked: ");
    let output = bench(&["server", "--stack", "memory-noise-yamux"]).output().unwrap();
    refused(&output, 1, "skep-bench blocking");
}
