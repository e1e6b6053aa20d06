//! The command line that all interop peers share.

use skep_stacks::StackSpec;
use std::{collections::HashMap, path::PathBuf, time::Duration};

/// What is printed with a usage error.
pub(crate) const USAGE: &str = "usage:
  skep-peer listen [--transport tcp|quic|ws] [--security noise|tls|plaintext] [--muxer yamux|mplex] [--psk-file F]
                   [--listen MULTIADDR]
  skep-peer dial MULTIADDR [--transport …] [--security …] [--muxer …] [--psk-file F]
                   [--do ping|identify|echo|sink|source|reset] [--bytes N] [--count N] [--timeout SECONDS]";

/// The operations of a dial.
const OPS: [&str; 6] = ["ping", "identify", "echo", "sink", "source", "reset"];

/// What to do, as the flags say.
#[derive(Debug)]
pub(crate) struct Args {
    /// The address to dial; `None` to listen.
    pub target: Option<String>,
    /// Transport, security and muxer, and the private network's key file.
    pub stack: StackSpec,
    /// Where to listen.
    pub listen: Option<String>,
    /// The operation of a dial.
    pub op: String,
    /// For each stream.
    pub bytes: u64,
    /// Pings or streams.
    pub count: u64,
    /// Of the whole dial.
    pub timeout: Duration,
}

impl Args {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// A line for standard error; the exit status is 2 then.
    pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = args;
        let mode = args.next().ok_or(USAGE)?;
        let (mut rest, mut flags) = (Vec::new(), HashMap::new());
        while let Some(arg) = args.next() {
            match arg.strip_prefix("--") {
                Some(name) => {
                    let value = args.next().ok_or_else(|| format!("--{name} needs a value"))?;
                    flags.insert(name.to_string(), value);
                }
                None => rest.push(arg),
            }
        }
        let target = match (mode.as_str(), rest.len()) {
            ("listen", 0) => None,
            ("dial", 1) => rest.pop(),
            _ => return Err(USAGE.into()),
        };
        let mut take = |name: &str| flags.remove(name);
        let parsed = Self {
            target,
            stack: stack(&mut take)?,
            op: operation(take("do"))?,
            bytes: number("bytes", take("bytes"), 1 << 20)?,
            count: number("count", take("count"), 1)?,
            timeout: seconds(take("timeout"))?,
            listen: take("listen"),
        };
        match flags.keys().next() {
            Some(unknown) => Err(format!("unknown flag --{unknown}\n{USAGE}")),
            None => Ok(parsed),
        }
    }
}

/// Defaults are those of a node; whether the plugins are linked is seen later.
fn stack(take: &mut impl FnMut(&str) -> Option<String>) -> Result<StackSpec, String> {
    let (transport, security, muxer) = (take("transport"), take("security"), take("muxer"));
    let transport = transport.as_deref().unwrap_or("tcp");
    let spec = StackSpec::new(transport, security.as_deref(), muxer.as_deref()).map_err(|e| e.to_string())?;
    if !spec.joins_processes() {
        return Err(format!(
            "--transport {transport}: peers are processes, and this joins nodes of one only"
        ));
    }
    match take("psk-file") {
        Some(file) => spec.private(PathBuf::from(file)).map_err(|e| e.to_string()),
        None => Ok(spec),
    }
}

fn operation(word: Option<String>) -> Result<String, String> {
    let word = word.unwrap_or_else(|| "ping".into());
    if OPS.contains(&word.as_str()) {
        return Ok(word);
    }
    Err(format!("--do {word}: no such operation; allowed: {}", OPS.join(", ")))
}

fn number(flag: &str, value: Option<String>, default: u64) -> Result<u64, String> {
    let Some(value) = value else { return Ok(default) };
    value.parse().map_err(|e| format!("--{flag} {value}: {e}; allowed: 0 to {}", u64::MAX))
}

fn seconds(value: Option<String>) -> Result<Duration, String> {
    let Some(value) = value else { return Ok(Duration::from_secs(60)) };
    let seconds: f64 = value.parse().map_err(|e| format!("--timeout {value}: {e}; give seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|e| format!("--timeout {value}: {e}; give seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn flags_are_read() {
        let args =
            parse("listen --transport ws --security tls --muxer mplex --listen /ip4/127.0.0.1/tcp/1/ws")
                .unwrap();
        assert_eq!(args.stack.to_string(), "ws-tls-mplex");
        assert!(args.target.is_none());
        assert_eq!(args.listen.as_deref(), Some("/ip4/127.0.0.1/tcp/1/ws"));
        let args = parse("dial /x --do sink --bytes 5 --count 2 --timeout 0.5").unwrap();
        assert_eq!((args.target.as_deref(), args.op.as_str()), (Some("/x"), "sink"));
        assert_eq!((args.bytes, args.count, args.timeout), (5, 2, Duration::from_millis(500)));
        assert_eq!(args.stack.to_string(), "tcp-noise-yamux");
    }

    #[test]
    fn quic_takes_no_notice_of_security_and_muxer() {
        for line in ["listen --transport quic", "listen --transport quic --security noise --muxer mplex"] {
            assert_eq!(parse(line).unwrap().stack.to_string(), "quic");
        }
    }

    #[test]
    fn what_is_not_taken() {
        for (line, why) in [
            ("", "usage"),
            ("serve", "usage"),
            ("dial", "usage"),
            ("listen /x", "usage"),
            ("listen --transport udp", "allowed: tcp, quic, ws"),
            ("listen --transport memory", "nodes of one only"),
            ("listen --transport quic --psk-file f", "private network"),
            ("listen --colour red", "unknown flag --colour"),
            ("listen --muxer", "needs a value"),
            ("dial /x --do fly", "allowed: ping, identify, echo, sink, source, reset"),
            ("dial /x --count -1", "--count -1"),
            ("dial /x --timeout never", "give seconds"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}
