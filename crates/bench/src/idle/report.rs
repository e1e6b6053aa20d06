//! What the run says: on the way to people who watch, and at the end.

use super::Reading;
use serde_json::json;
use std::io::{IsTerminal, Write};

/// One line on a terminal that is written anew; nothing where standard error is no terminal.
pub(super) struct Progress {
    what: &'static str,
    done: u64,
    of: u64,
    shown: bool,
}

impl Progress {
    pub(super) fn new(what: &'static str, of: u64) -> Self {
        Self { what, done: 0, of, shown: std::io::stderr().is_terminal() }
    }

    pub(super) fn step(&mut self) {
        self.at(self.done.saturating_add(1));
    }

    pub(super) fn at(&mut self, done: u64) {
        self.done = done;
        if self.shown {
            let mut stderr = std::io::stderr();
            // Nobody misses it where it cannot be written.
            let _ = write!(stderr, "\r{done} of {} {} ", self.of, self.what);
            let _ = stderr.flush();
        }
    }

    /// Leaves the line empty for what comes next.
    pub(super) fn end(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// The result.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) connections: u64,
    /// Those that are still open at the end.
    pub(super) alive: u64,
    /// Bytes that each has moved each way.
    pub(super) touch: u64,
    pub(super) before: Reading,
    pub(super) after: Reading,
}

impl Report {
    pub(super) fn print(&self, json: bool) {
        if json {
            println!("{}", self.json());
        } else {
            print!("{}", self.text());
        }
    }

    fn each(&self, before: u64, after: u64) -> f64 {
        (after as f64 - before as f64) / (self.connections as f64).max(1.0)
    }

    /// The bytes of a connection, of the accepting process's own memory.
    pub(super) fn anonymous(&self) -> f64 {
        self.each(self.before.acceptor.anonymous, self.after.acceptor.anonymous)
    }

    fn resident(&self) -> f64 {
        self.each(self.before.acceptor.resident, self.after.acceptor.resident)
    }

    fn dialler(&self) -> f64 {
        self.each(self.before.dialler.anonymous, self.after.dialler.anonymous)
    }

    fn json(&self) -> serde_json::Value {
        let (before, after) = (self.before.acceptor, self.after.acceptor);
        json!({
            "connections": self.connections, "alive": self.alive, "touch": self.touch,
            "bytes_per_connection": self.anonymous(), "resident_bytes_per_connection": self.resident(),
            "dialler_bytes_per_node": self.dialler(),
            "before": { "anonymous": before.anonymous, "resident": before.resident },
            "after": { "anonymous": after.anonymous, "resident": after.resident },
        })
    }

    fn text(&self) -> String {
        let (kib, mib) = (|bytes: f64| bytes / 1024.0, |bytes: u64| bytes as f64 / 1_048_576.0);
        let (before, after) = (self.before.acceptor, self.after.acceptor);
        format!(
            "{alive} of {all} connections idle\n\
             accepting process  {:>8.1} KiB for each connection, of its own memory ({:.1} → {:.1} MiB)\n\
             {:>27.1} KiB for each connection, resident ({:.1} → {:.1} MiB)\n\
             dialling process   {:>8.1} KiB for each node with its connection\n",
            kib(self.anonymous()),
            mib(before.anonymous),
            mib(after.anonymous),
            kib(self.resident()),
            mib(before.resident),
            mib(after.resident),
            kib(self.dialler()),
            alive = self.alive,
            all = self.connections,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Memory;

    #[test]
    fn the_difference_is_shared_among_the_connections() {
        let memory = |kib: u64| Memory { resident: kib * 2048, anonymous: kib * 1024 };
        let report = Report {
            connections: 10,
            alive: 10,
            touch: 0,
            before: Reading { acceptor: memory(100), dialler: memory(0) },
            after: Reading { acceptor: memory(220), dialler: memory(10) },
        };
        assert_eq!(report.json()["bytes_per_connection"], 12.0 * 1024.0);
        assert_eq!(report.json()["resident_bytes_per_connection"], 24.0 * 1024.0);
        let text = report.text();
        assert!(
            text.contains("12.0 KiB for each connection") && text.contains("1.0 KiB for each node"),
            "{text}"
        );
    }
}
