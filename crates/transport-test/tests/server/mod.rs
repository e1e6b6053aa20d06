//! A Redis server on a free port of the loopback interface, without a file.

use std::{
    io::{ErrorKind, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The server, which ends with this value.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

/// How often a port is tried that another process may have taken meanwhile.
const TRIES: usize = 5;
/// How often, and how far apart, it is looked whether the server answers.
const LOOKS: usize = 3_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

impl Server {
    /// Starts a server; `None`, and a word about it, where there is none to start.
    pub(crate) fn start() -> Option<Self> {
        for _ in 0..TRIES {
            let port = free_port();
            let child = Command::new("redis-server")
                .args([
                    "--port",
                    &port.to_string(),
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                ])
                .args(["--dir", std::env::temp_dir().to_str().unwrap()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            let child = match child {
                Ok(child) => child,
                Err(e) if e.kind() == ErrorKind::NotFound => {
                    skipped();
                    return None;
                }
                Err(e) => panic!("redis-server is there and cannot be started: {e}"),
            };
            let mut server = Self { child, port };
            if server.answers() {
                return Some(server);
            }
        }
        panic!("redis-server has ended {TRIES} times");
    }

    pub(crate) fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Runs one command; the answer as text.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let client = redis::Client::open(format!("redis://{}", self.addr())).unwrap();
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        let answer: redis::Value = command.query(&mut client.get_connection().unwrap()).unwrap();
        redis::from_redis_value(answer).unwrap_or_default()
    }

    /// Waits until it takes connections; `false` if it has ended instead.
    fn answers(&mut self) -> bool {
        for _ in 0..LOOKS {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        panic!("redis-server runs and does not answer");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Not with `eprintln!`, which a test that passes keeps to itself.
fn skipped() {
    let test = std::thread::current().name().unwrap_or_default().to_string();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: there is no redis-server");
}
