//! What to do, from the environment.

use crate::environment::{Environment, Name, Problems};
use skep_stacks::StackSpec;
use std::{net::IpAddr, time::Duration};

const IS_DIALER: Name = Name("IS_DIALER", Some("is_dialer"));
const TRANSPORT: Name = Name("TRANSPORT", Some("transport"));
const SECURE_CHANNEL: Name = Name("SECURE_CHANNEL", Some("security"));
const MUXER: Name = Name("MUXER", Some("muxer"));
const REDIS_ADDR: Name = Name("REDIS_ADDR", Some("redis_addr"));
const LISTENER_IP: Name = Name("LISTENER_IP", Some("ip"));
const TIMEOUT: Name = Name("TEST_TIMEOUT_SECS", Some("test_timeout_seconds"));
const TEST_KEY: Name = Name("TEST_KEY", None);
const DEBUG: Name = Name("DEBUG", None);
const DURATION: Name = Name("DURATION", None);

/// Which of the suites runs this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// Can the two talk, and how long does it take until they do?
    Transport,
    /// How fast is it?
    Perf,
}

/// All that a run needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) suite: Suite,
    pub(crate) role: Role,
    pub(crate) stack: StackSpec,
    /// `host:port` of the Redis server.
    pub(crate) redis: String,
    /// The key under which the listener publishes its address.
    pub(crate) key: String,
    /// How long the whole run may take.
    pub(crate) timeout: Duration,
    /// Whether to write the log.
    pub(crate) debug: bool,
    /// Whether the result is JSON, as test-plans has it.
    pub(crate) json: bool,
    /// Variables that are set and have no effect.
    pub(crate) unused: Vec<&'static str>,
}

/// Which side this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Listens on an address.
    Listener(IpAddr),
    /// Dials, with this work for the perf suite.
    Dialer(Load),
}

/// What a dialer of the perf suite does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) upload_bytes: u64,
    pub(crate) download_bytes: u64,
    pub(crate) upload_iterations: u32,
    pub(crate) download_iterations: u32,
    pub(crate) latency_iterations: u32,
}

impl Plan {
    /// Reads the variables.
    ///
    /// # Errors
    /// All that are missing or wrong.
    pub(crate) fn read(
        suite: Suite,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Problems> {
        let mut env = Environment::new(variables);
        // The suites that have older names for the variables have one key, and another form of the result.
        let older = env.text(Name(IS_DIALER.0, None)).is_none() && env.text(IS_DIALER).is_some();
        let dialer = env.required(IS_DIALER, "true or false").and_then(|_| env.flag(IS_DIALER));
        let stack = stack(&mut env);
        let key = if older {
            Some("listenerAddr".into())
        } else {
            env.required(TEST_KEY, "the text that both sides of a test get")
                .map(|key| format!("{key}_listener_multiaddr"))
        };
        let redis = if older && env.text(REDIS_ADDR).is_none() {
            Some("redis:6379".into())
        } else {
            env.required(REDIS_ADDR, "host:port").and_then(|_| redis(&mut env))
        };
        let role = match dialer {
            Some(true) => Role::Dialer(load(&mut env)),
            _ => Role::Listener(listener_ip(&mut env)),
        };
        let default = if suite == Suite::Perf { 3600 } else { 180 };
        let timeout = Duration::from_secs(env.number(TIMEOUT, 86_400, default));
        let debug = env.flag(DEBUG).unwrap_or(false);
        let unused = env.text(DURATION).map(|_| DURATION.0).into_iter().collect();
        let made = || {
            let (stack, redis, key) = (stack?, redis?, key?);
            let json = older && suite == Suite::Transport;
            dialer.map(|_| Self { suite, role, stack, redis, key, timeout, debug, json, unused })
        };
        env.done(made())
    }
}

fn stack(env: &mut Environment) -> Option<StackSpec> {
    let allowed = "tcp, ws or quic-v1";
    let transport = env.required(TRANSPORT, allowed)?;
    let (security, muxer) = (env.text(SECURE_CHANNEL), env.text(MUXER));
    let spec = StackSpec::new(&transport, security, muxer).ok().filter(StackSpec::joins_processes);
    let Some(spec) = spec else {
        env.problem(TRANSPORT, &format!("{transport:?} is not allowed"), allowed);
        return None;
    };
    if spec.is_raw() {
        env.required(SECURE_CHANNEL, "noise, tls or plaintext");
        env.required(MUXER, "yamux or mplex");
    }
    Some(spec)
}

fn redis(env: &mut Environment) -> Option<String> {
    env.parsed(REDIS_ADDR, "host:port, such as redis:6379", |text| {
        let (host, port) = text.rsplit_once(':')?;
        let good = !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok_and(|port| port > 0);
        good.then(|| text.to_owned())
    })
}

fn listener_ip(env: &mut Environment) -> IpAddr {
    let any = IpAddr::from([0, 0, 0, 0]);
    env.parsed(LISTENER_IP, "an IP address, or nothing for 0.0.0.0", |text| text.parse().ok()).unwrap_or(any)
}

fn load(env: &mut Environment) -> Load {
    let most = i64::MAX.unsigned_abs();
    let mut bytes = |name| env.number(Name(name, None), most, 1 << 30);
    let (upload_bytes, download_bytes) = (bytes("UPLOAD_BYTES"), bytes("DOWNLOAD_BYTES"));
    let mut iterations =
        |name, default| u32::try_from(env.number(Name(name, None), 1_000_000, default)).unwrap_or(1);
    Load {
        upload_bytes,
        download_bytes,
        upload_iterations: iterations("UPLOAD_ITERATIONS", 10),
        download_iterations: iterations("DOWNLOAD_ITERATIONS", 10),
        latency_iterations: iterations("LATENCY_ITERATIONS", 100),
    }
}

#[cfg(test)]
mod tests;
