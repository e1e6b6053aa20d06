//! The table `[transport.websocket]`.

use crate::tls::Tls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{PluginConfig, Problems, config::DurationText};
use skep_tcp_port::Options;
use std::{path::PathBuf, time::Duration};

const MAX_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(600);

/// Options of the WebSocket transport. Each key applies to dialled and to accepted connections unless it says
/// otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long TLS and the HTTP upgrade may take together, once the TCP connection is there: "1ms" to "10m", default
    /// "10s".
    ///
    /// A peer that sends its header byte by byte holds a file descriptor for as long.
    pub handshake_timeout: DurationText,
    /// Longest HTTP header of the peer, in bytes: 1024 to 65536, default 8192.
    ///
    /// Each connection that is being upgraded can take as much memory.
    pub max_header_bytes: u32,
    /// What a listener with TLS presents: "none" (it does not listen), "files" or "self_signed", default "none".
    ///
    /// "files" are `certificate_file` and `key_file`. A self-signed one is made at start, and accepted by those only who do
    /// not check it, such as nodes with `roots = "none"`. Dialling takes no certificate.
    pub certificate: Certificate,
    /// The certificate and those of its authorities, in PEM, the node's own first: a path, default none. Read at start.
    pub certificate_file: Option<PathBuf>,
    /// The private key of the certificate, in PEM: a path, default none. Read at start.
    pub key_file: Option<PathBuf>,
    /// Who has to have signed the certificates of servers that are dialled: "system" for the authorities that the system
    /// trusts, "files" for those in `root_files` and no others, or "none" for no check. Default "system".
    ///
    /// "none" lets whoever is on the way see that this is libp2p; it opens no more, since peers prove their identity
    /// within.
    pub roots: Trust,
    /// Authorities to trust, in PEM: paths, default none. Read at start.
    pub root_files: Vec<PathBuf>,
    /// Send small writes at once (`TCP_NODELAY`): true or false, default true.
    pub nodelay: bool,
    /// Connections that the system queues for a listener: 1 to 65535, default 1024. On a port that is shared the value
    /// of the first listener counts.
    pub backlog: u32,
    /// Idle time after which the system probes the peer, and the time between probes: "0s" for never, or "1s" to
    /// "32767s" in whole seconds, default "30s".
    pub keepalive: DurationText,
    /// How long the TCP connection of a dial may take: "1ms" to "10m", default "10s".
    pub connect_timeout: DurationText,
    /// Dial from the port of a listener of the same kind and address family: true or false, default false. Unix only.
    pub port_reuse: bool,
    /// Hops that packets may take (IP time to live): 1 to 255, default the system's.
    pub ttl: Option<u32>,
}

/// What a listener with TLS presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Certificate {
    /// Nothing: it does not listen.
    None,
    /// The certificate in `certificate_file`.
    Files,
    /// One made at start.
    SelfSigned,
}

/// Which servers' certificates are good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Those that the system's authorities signed.
    System,
    /// Those that the authorities in `root_files` signed.
    Files,
    /// All.
    None,
}

impl Default for Config {
    fn default() -> Self {
        let Options { nodelay, backlog, keepalive, connect_timeout, port_reuse, ttl } = Options::default();
        Self {
            handshake_timeout: DurationText::secs(10),
            max_header_bytes: 8192,
            certificate: Certificate::None,
            certificate_file: None,
            key_file: None,
            roots: Trust::System,
            root_files: Vec::new(),
            nodelay,
            backlog,
            keepalive,
            connect_timeout,
            port_reuse,
            ttl,
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        if self.handshake_timeout.0.is_zero() || self.handshake_timeout.0 > MAX_HANDSHAKE_TIMEOUT {
            let problem = format!("{} is out of range", self.handshake_timeout);
            problems.add("handshake_timeout", problem, "allowed: \"1ms\" to \"10m\"");
        }
        problems.range("max_header_bytes", self.max_header_bytes.into(), 1024..=65_536);
        self.validate_files(problems);
        self.tcp().validate(problems);
    }
}

impl Config {
    /// Files that are lacking, and files that nothing reads.
    fn validate_files(&self, problems: &mut Problems) {
        let of_certificate = self.certificate == Certificate::Files;
        let of_roots = self.roots == Trust::Files;
        for (key, is_set, is_read, reader) in [
            ("certificate_file", self.certificate_file.is_some(), of_certificate, "certificate"),
            ("key_file", self.key_file.is_some(), of_certificate, "certificate"),
            ("root_files", !self.root_files.is_empty(), of_roots, "roots"),
        ] {
            match (is_set, is_read) {
                (false, true) => {
                    problems.add(
                        key,
                        format!("not set, and `{reader}` is \"files\""),
                        "give a path to a file in PEM",
                    );
                }
                (true, false) => {
                    problems.add(
                        key,
                        format!("is not read while `{reader}` is not \"files\""),
                        format!("set {reader} = \"files\", or leave this out"),
                    );
                }
                _ => {}
            }
        }
    }

    /// The same for the sockets.
    fn tcp(&self) -> Options {
        let Self { nodelay, backlog, keepalive, connect_timeout, port_reuse, ttl, .. } = *self;
        Options { nodelay, backlog, keepalive, connect_timeout, port_reuse, ttl }
    }
}

/// What a table comes to.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) tcp: Options,
    pub(crate) handshake_timeout: DurationText,
    /// In bytes.
    pub(crate) max_header_bytes: usize,
    pub(crate) tls: Tls,
}

impl Settings {
    /// Reads the files that the table names.
    pub(crate) fn of(config: &Config) -> Result<Self, Problems> {
        Ok(Self {
            tcp: config.tcp(),
            handshake_timeout: config.handshake_timeout,
            max_header_bytes: usize::try_from(config.max_header_bytes).unwrap_or(usize::MAX),
            tls: Tls::of(config)?,
        })
    }
}
