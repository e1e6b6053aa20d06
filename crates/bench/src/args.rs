//! The command line that the benchmark's runner uses for every implementation.

use crate::stack::{Stack, names};
use clap::{Args, Parser, Subcommand, ValueEnum};
use skep_stacks::StackError;
use std::time::Duration;

/// Measures a skep node against another process that runs the same program.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub mode: Mode,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Listen, print `READY ADDRESS PID`, serve until standard input ends.
    Server(Common),
    /// Run one operation against a server and print one line of JSON.
    Client(Box<Client>),
    /// Start an accepting node in another process, dial it many times and print the memory of an idle connection.
    Idle(Idle),
    /// The other process of `idle`.
    #[command(hide = true)]
    Acceptor(Acceptor),
    /// Measure what a handler that blocks its thread does to the pings of other peers, in this process.
    Blocking(Blocking),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Blocking {
    #[arg(long, default_value = "tcp-noise-yamux", value_parser = stack, help = stacks())]
    pub stack: Stack,
    /// How long each of the cases is measured, in seconds.
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub secs: Duration,
    /// Streams whose handlers block at the same time, each for a second at a time.
    #[arg(long, default_value_t = 1)]
    pub blockers: usize,
    /// Print one line of JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    #[arg(long, default_value = "tcp-noise-yamux", value_parser = stack, help = stacks())]
    pub stack: Stack,
    /// Threads of the runtime; 0 is the calling thread alone.
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
    /// Give up after so many seconds.
    #[arg(long, default_value = "300", value_parser = seconds)]
    pub max_secs: Duration,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Client {
    #[command(flatten)]
    pub common: Common,
    /// The server's address, or that of a proxy before it.
    #[arg(long)]
    pub addr: String,
    /// The server's process, whose time and memory are counted too.
    #[arg(long, default_value_t = 0)]
    pub server_pid: u32,
    /// What to measure.
    #[arg(long, value_enum, default_value_t = Op::Upload)]
    pub op: Op,
    /// Bytes in all, for upload and download.
    #[arg(long, default_value = "1GiB", value_parser = size)]
    pub bytes: u64,
    /// Streams that share the bytes.
    #[arg(long, default_value_t = 1)]
    pub streams: u64,
    /// Bytes of one read or write.
    #[arg(long, default_value = "64KiB", value_parser = size)]
    pub block: u64,
    /// How many connects, streams or round trips; by default 200, 10,000 and 20,000.
    #[arg(long)]
    pub count: Option<u64>,
    /// How many at once.
    #[arg(long, default_value_t = 1)]
    pub parallel: u64,
    /// Bytes of one ping-pong.
    #[arg(long, default_value = "64", value_parser = size)]
    pub size: u64,
    /// Idle connections.
    #[arg(long, default_value_t = 1000)]
    pub conns: u64,
    /// How long connections rest before they are measured, in milliseconds.
    #[arg(long, default_value_t = 2000)]
    pub hold_ms: u64,
    /// Bytes that each connection moves both ways before it rests.
    #[arg(long, default_value = "0", value_parser = size)]
    pub touch: u64,
    /// What the proxy adds there and back, in milliseconds.
    #[arg(long, default_value_t = 100)]
    pub rtt_ms: u64,
    /// Text to print with the result.
    #[arg(long)]
    pub label: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Idle {
    #[command(flatten)]
    pub common: Common,
    /// Connections that are measured.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub connections: u64,
    /// Connections that are made at the same time.
    #[arg(long, default_value_t = 1)]
    pub parallel: u64,
    /// Bytes that each connection moves both ways before it rests.
    #[arg(long, default_value = "0", value_parser = size)]
    pub touch: u64,
    /// How long connections rest before they are measured, in milliseconds.
    #[arg(long, default_value_t = 2000)]
    pub rest_ms: u64,
    /// Give the accepting node a peer store in memory, which keeps what peers say of themselves.
    #[arg(long)]
    pub peerstore: bool,
    /// Fail if a connection takes more than this of the accepting process's own memory.
    #[arg(long, value_parser = size)]
    pub at_most: Option<u64>,
    /// Print one line of JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Acceptor {
    #[command(flatten)]
    pub common: Common,
    #[arg(long)]
    pub peerstore: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Op {
    Upload,
    Download,
    Connect,
    Streams,
    Pingpong,
    Idle,
    Rtt,
}

/// Not clap's list of possible values, which would have to be known before the program runs.
fn stack(name: &str) -> Result<Stack, String> {
    name.parse().map_err(|e: StackError| format!("{e}; stacks here: {}", names().join(", ")))
}

fn stacks() -> String {
    let names = names().join(", ");
    format!("The stack to measure: {names}; with -metrics after it, it counts for a sink of metrics")
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}

/// `1234`, `64KiB`, `16MiB`, `1GiB`.
fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let found = units.iter().find_map(|(unit, shift)| text.strip_suffix(unit).map(|number| (number, *shift)));
    let (number, shift) = found.unwrap_or((text, 0));
    let value: u64 =
        number.trim().parse().map_err(|e| format!("{e}; write it as 1234, 64KiB, 16MiB or 1GiB"))?;
    value.checked_mul(1 << shift).ok_or_else(|| "too large".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn stacks_that_are_not_linked_are_refused_with_those_that_are() {
        let cli =
            Cli::try_parse_from(["skep-bench", "server", "--stack", "tcp-noise-yamux-metrics"]).unwrap();
        let Mode::Server(common) = cli.mode else { panic!("{cli:?}") };
        assert_eq!(common.stack.to_string(), "tcp-noise-yamux-metrics");
        let error = Cli::try_parse_from(["skep-bench", "server", "--stack", "tcp-rot13-yamux"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains("`rot13` is not linked"), "{text}");
        assert!(names().iter().all(|name| text.contains(name)), "{text}");
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("7"), Ok(7));
        assert!(size("1GB").is_err());
        assert!(size("99999999999999GiB").is_err());
    }
}
