//! The accepting node in a process of its own, which says how far it is for each line that it reads.

use crate::{
    Failure,
    args::{self, Idle},
    node,
};
use skep::Swarm;
use std::{
    fmt,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};
use tokio::io::AsyncBufReadExt;

/// What the acceptor counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub(crate) connections: u64,
    /// Those whose peer has said who it is.
    pub(crate) identified: u64,
    /// Open streams of all connections.
    pub(crate) streams: u64,
}

/// The accepting process. Ends with this value.
#[derive(Debug)]
pub(super) struct Acceptor {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    addr: String,
}

impl Acceptor {
    /// Starts this program again, as the acceptor.
    pub(super) fn start(args: &Idle) -> Result<Self, Failure> {
        let common = &args.common;
        let mut command = Command::new(std::env::current_exe()?);
        command.args([
            "acceptor",
            "--stack",
            &common.stack.to_string(),
            "--workers",
            &common.workers.to_string(),
        ]);
        if args.peerstore {
            command.arg("--peerstore");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::Acceptor(String::new()));
        };
        let mut this = Self { child, stdin, stdout: BufReader::new(stdout), addr: String::new() };
        this.addr = this.line()?;
        Ok(this)
    }

    pub(super) fn addr(&self) -> &str {
        &self.addr
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks how far it is. The answer takes no longer than counting, so it is waited for on the spot.
    pub(super) fn state(&mut self) -> Result<State, Failure> {
        self.stdin.write_all(b"\n")?;
        let line = self.line()?;
        let mut numbers = line.split(' ').map(str::parse);
        let (Some(Ok(connections)), Some(Ok(identified)), Some(Ok(streams))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return Err(Failure::Acceptor(line));
        };
        Ok(State { connections, identified, streams })
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        if line.is_empty() { Err(Failure::Acceptor(line)) } else { Ok(line.trim().into()) }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.connections, self.identified, self.streams)
    }
}

/// The other end of [`Acceptor`]: prints its address, then a [`State`] for each line, until standard input ends.
pub(crate) async fn serve(args: &args::Acceptor) -> Result<(), Failure> {
    let swarm = node::social(&args.common.stack, args.peerstore)?;
    println!("{}", node::listen(&swarm, &args.common.stack).await?);
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    while lines.next_line().await?.is_some() {
        println!("{}", count(&swarm));
    }
    Ok(())
}

fn count(swarm: &Swarm) -> State {
    let connections = swarm.connections();
    State {
        connections: connections.len() as u64,
        identified: connections.iter().filter(|conn| conn.peer_info().is_some()).count() as u64,
        streams: connections.iter().map(|conn| conn.num_streams() as u64).sum(),
    }
}
