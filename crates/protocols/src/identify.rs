//! `identify`: who the two ends are, what they serve, and where they see each other (libp2p specs,
//! identify/README.md).
//!
//! [`PROTOCOL`] answers with what this node is; [`PUSH_PROTOCOL`] takes what a peer says unasked. Every new
//! connection is asked at once unless `ask` is off, and the answer goes to
//! [`Session::set_peer_info`]. A push replaces what was known;
//! the specification's partial pushes are not joined with it.

mod exchange;
mod frame;
mod message;

use async_trait::async_trait;
use message::Identify as Message;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    Multiaddr, PluginConfig, Problems,
    config::DurationText,
    context::NodeIdentity,
    error::chain,
    protocol::{InboundStream, PeerInfo, ProtocolError, ProtocolErrorKind, ProtocolHandler, Session},
    record::{SignedRecord, next_seq},
    register_protocol,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};

register_protocol! {
    name: "identify",
    summary: "tells peers what this node is and serves, and learns the same of them",
    example: "agent_version = \"my-node/1.0\"\nask = true\ntimeout = \"10s\"",
    config: Config,
    build: |config, cx| Ok(Arc::new(Identify::new(config, cx.identity.clone()))),
}

/// The protocol id that is answered.
pub const PROTOCOL: &str = "/ipfs/id/1.0.0";
/// The protocol id on which a peer says unasked what changed.
pub const PUSH_PROTOCOL: &str = "/ipfs/id/push/1.0.0";

/// How long [`ask`] waits for the whole exchange.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// Most listen addresses that are told; a reader of 4 KiB must be able to take the message.
const MAX_TOLD_ADDRS: usize = 50;

/// The keys of `[protocol.identify]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The program and version that peers are told, at most 128 bytes. Default `"skep/<version>"`.
    pub agent_version: String,
    /// The protocol family that peers are told, at most 128 bytes. Default `"ipfs/0.1.0"`.
    pub protocol_version: String,
    /// Whether every new peer is asked who it is. Default true; costs one stream for each connection.
    pub ask: bool,
    /// How long one exchange may take, at most `"5m"`. Default `"10s"`.
    pub timeout: DurationText,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            agent_version: concat!("skep/", env!("CARGO_PKG_VERSION")).into(),
            protocol_version: "ipfs/0.1.0".into(),
            ask: true,
            timeout: DurationText(ASK_TIMEOUT),
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        for (key, text) in
            [("agent_version", &self.agent_version), ("protocol_version", &self.protocol_version)]
        {
            if text.len() > 128 {
                problems.add(key, format!("{} bytes are too long", text.len()), "allowed: up to 128 bytes");
            }
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(300)).contains(&self.timeout.0) {
            problems.add("timeout", format!("{} is out of range", self.timeout), "allowed: 1ms to 5m");
        }
    }
}

/// The handler of both protocols.
#[derive(Debug)]
pub struct Identify {
    config: Config,
    identity: NodeIdentity,
    record: Mutex<OwnRecord>,
}

/// The last peer record, kept because a signature is dear and the addresses rarely change.
#[derive(Debug, Default)]
struct OwnRecord {
    addrs: Vec<Multiaddr>,
    seq: u64,
    bytes: Option<Vec<u8>>,
}

impl Identify {
    /// A handler for the node with this identity.
    #[must_use]
    pub fn new(config: Config, identity: NodeIdentity) -> Self {
        Self { config, identity, record: Mutex::default() }
    }

    /// Tells a peer unasked what this node is now.
    ///
    /// # Errors
    /// [`ProtocolError`] if the peer does not take pushes, or the stream broke.
    pub async fn push(&self, session: &dyn Session) -> Result<(), ProtocolError> {
        let push = async {
            let mut stream = session.open(&[PUSH_PROTOCOL.into()]).await?;
            exchange::send(&mut *stream, self.about_us(session)).await
        };
        within(self.config.timeout.0, push).await
    }

    fn about_us(&self, session: &dyn Session) -> Message {
        let node = session.node();
        let mut addrs = node.listen_addrs();
        addrs.truncate(MAX_TOLD_ADDRS);
        let (_, _, observed) = session.ends();
        Message {
            public_key: Some(node.public_key().encode_protobuf()),
            signed_peer_record: self.record_of(&addrs),
            listen_addrs: addrs.iter().map(Multiaddr::to_vec).collect(),
            protocols: node.protocols(),
            observed_addr: Some(observed.to_vec()),
            protocol_version: Some(self.config.protocol_version.clone()),
            agent_version: Some(self.config.agent_version.clone()),
        }
    }

    /// The signed record of these addresses, made anew when they changed.
    fn record_of(&self, addrs: &[Multiaddr]) -> Option<Vec<u8>> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        if record.bytes.is_none() || record.addrs != addrs {
            let seq = next_seq(record.seq);
            let signed = SignedRecord::sign(self.identity.keypair(), seq, addrs);
            let bytes = signed.map(|record| record.envelope().to_vec());
            *record = OwnRecord { addrs: addrs.to_vec(), seq, bytes };
        }
        record.bytes.clone()
    }
}

#[async_trait]
impl ProtocolHandler for Identify {
    fn protocols(&self) -> Vec<String> {
        vec![PROTOCOL.into(), PUSH_PROTOCOL.into()]
    }

    fn keeps_alive(&self) -> bool {
        false
    }

    async fn serve(&self, inbound: InboundStream) -> Result<(), ProtocolError> {
        let InboundStream { mut stream, protocol, session, .. } = inbound;
        let limit = self.config.timeout.0;
        if protocol == PUSH_PROTOCOL {
            let info = exchange::receive(&mut *stream, &*session, limit).await?;
            session.set_peer_info(info);
            return within(limit, async { Ok(stream.shutdown().await?) }).await;
        }
        within(limit, exchange::send(&mut *stream, self.about_us(&*session))).await?;
        exchange::linger(&mut *stream).await;
        Ok(())
    }

    async fn connected(&self, session: Arc<dyn Session>) {
        if !self.config.ask {
            return;
        }
        match ask_within(&*session, self.config.timeout.0).await {
            Ok(info) => session.set_peer_info(info),
            Err(error) => {
                tracing::debug!(peer = %session.peer(), error = chain(&error), "identify got no answer");
            }
        }
    }
}

/// Asks a peer what it is, for at most [`ASK_TIMEOUT`].
///
/// # Errors
/// [`ProtocolError`] if the peer does not serve [`PROTOCOL`], answers with what is no identify message or
/// with the key of another peer, or does not answer in time.
pub async fn ask(session: &dyn Session) -> Result<PeerInfo, ProtocolError> {
    ask_within(session, ASK_TIMEOUT).await
}

async fn ask_within(session: &dyn Session, limit: Duration) -> Result<PeerInfo, ProtocolError> {
    let start = Instant::now();
    let left = || limit.saturating_sub(start.elapsed());
    let mut stream = within(limit, session.open(&[PROTOCOL.into()])).await?;
    let info = exchange::receive(&mut *stream, session, left()).await?;
    // The answer is here, so a peer that never takes the end of the stream changes nothing.
    let _ = timeout(left(), stream.shutdown()).await;
    Ok(info)
}

/// Bounds one step in time.
async fn within<T>(
    limit: Duration,
    step: impl Future<Output = Result<T, ProtocolError>>,
) -> Result<T, ProtocolError> {
    let late =
        || ProtocolError::new(ProtocolErrorKind::TimedOut, format!("identify took more than {limit:?}"));
    timeout(limit, step).await.unwrap_or_else(|_| Err(late()))
}

#[cfg(test)]
mod tests;
