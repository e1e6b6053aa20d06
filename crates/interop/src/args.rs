//! The command line that all interop peers share.

use std::{collections::HashMap, path::PathBuf, time::Duration};

/// What is printed with a usage error.
pub(crate) const USAGE: &str = "usage: skep-peer listen|dial MULTIADDR --transport tcp --security noise --muxer yamux \
[--listen MULTIADDR] [--do ping|identify|echo|sink|source|reset] [--bytes N] [--count N] [--timeout S]";

/// What to do, as the flags say.
#[derive(Debug)]
pub(crate) struct Args {
    /// The address to dial; `None` to listen.
    pub target: Option<String>,
    /// The transport's word.
    pub transport: String,
    /// The security's word.
    pub security: String,
    /// The muxer's word.
    pub muxer: String,
    /// A private network's key file.
    pub psk_file: Option<PathBuf>,
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
        let mut take = |name: &str, default: &str| flags.remove(name).unwrap_or_else(|| default.into());
        let parsed = Self {
            target,
            transport: take("transport", "tcp"),
            security: take("security", "noise"),
            muxer: take("muxer", "yamux"),
            op: take("do", "ping"),
            bytes: number("bytes", &take("bytes", "1048576"))?,
            count: number("count", &take("count", "1"))?,
            timeout: seconds(&take("timeout", "60"))?,
            psk_file: flags.remove("psk-file").map(PathBuf::from),
            listen: flags.remove("listen"),
        };
        match flags.keys().next() {
            Some(unknown) => Err(format!("unknown flag --{unknown}; {USAGE}")),
            None => Ok(parsed),
        }
    }
}

fn number(flag: &str, value: &str) -> Result<u64, String> {
    value.parse().map_err(|e| format!("--{flag} {value}: {e}"))
}

fn seconds(value: &str) -> Result<Duration, String> {
    let seconds: f64 = value.parse().map_err(|e| format!("--timeout {value}: {e}"))?;
    Duration::try_from_secs_f64(seconds).map_err(|e| format!("--timeout {value}: {e}"))
}
