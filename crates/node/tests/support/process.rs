//! The binary `skep` as a child process.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

/// Longer than anything takes on the slowest machine: a hang fails, and its child is killed.
pub(crate) const HANG: Duration = Duration::from_secs(60);

pub(crate) fn skep(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
    command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn output(args: &[&str]) -> Output {
    skep(args).output().unwrap()
}

pub(crate) fn status(args: &[&str]) -> Option<i32> {
    output(args).status.code()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

pub(crate) fn json(args: &[&str]) -> Value {
    serde_json::from_slice(&output(args).stdout).unwrap_or_else(|e| panic!("{args:?}: {e}"))
}

/// A `skep run` in the background.
pub(crate) struct Node {
    child: Child,
    lines: Receiver<String>,
}

impl Node {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::spawn(&mut skep(args))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).all(|line| send.send(line).is_ok()));
        Self { child, lines }
    }

    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(HANG).expect("the node prints another line")
    }

    /// Lines up to the first that contains `what`.
    pub(crate) fn until(&self, what: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            lines.push(self.line());
            if lines.last().unwrap().contains(what) {
                return lines;
            }
        }
    }

    /// The address to dial, once the node has said all that it says at its start.
    pub(crate) fn address(&self) -> String {
        let lines = self.until("Ctrl-C stops the node");
        lines.iter().find(|line| line.contains("/p2p/")).unwrap().trim().to_string()
    }

    /// Sends a signal as a shell does.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for its end: exit status and standard error.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        // The channel closes with standard output, when the process ends.
        while self.lines.recv_timeout(HANG).is_ok() {}
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (self.child.wait().unwrap().code(), errors)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder of one test, empty.
pub(crate) fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cli").join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}
