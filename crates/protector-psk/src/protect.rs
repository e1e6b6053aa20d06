//! The plugin: an instance, and what it makes of a link.

use crate::{
    Config,
    cipher::{Keystream, NONCE_LEN, Nonce},
    file,
    incoming::Incoming,
    key::Key,
    opening::Opening,
    outgoing::Outgoing,
    stream::PskStream,
};
use async_trait::async_trait;
use aws_lc_rs::rand;
use skep_api::{
    BoxIo, BuildCx, Problems,
    protector::{Protector, ProtectorError, ProtectorErrorKind},
    security::Role,
};
use std::{fmt, future::poll_fn, io, path::Path, sync::Arc};
use tokio::io::AsyncWriteExt;

/// One instance of the plugin.
struct Psk {
    /// What is dialled with, and accepted.
    key: Arc<Key>,
    /// What is accepted, `key` first, none twice.
    accepted: Vec<Arc<Key>>,
}

/// Reads the key files. All that cannot be used are told at once.
pub(crate) fn build(config: Config, _cx: &BuildCx) -> Result<Arc<dyn Protector>, Problems> {
    let mut problems = Problems::default();
    let mut read = |at: &str, path: &Path| match file::read(path) {
        Ok(key) => Some(Arc::new(key)),
        Err(error) => {
            problems.add(at, error.problem(path), error.help());
            None
        }
    };
    let key = read("key_file", &config.key_file);
    let mut accepted: Vec<Arc<Key>> = key.iter().cloned().collect();
    for (i, path) in config.accept.iter().enumerate() {
        if let Some(key) = read(&format!("accept[{i}]"), path)
            && !accepted.contains(&key)
        {
            accepted.push(key);
        }
    }
    match key {
        Some(key) if problems.is_empty() => Ok(Arc::new(Psk { key, accepted })),
        _ => Err(problems),
    }
}

#[async_trait]
impl Protector for Psk {
    fn fingerprints(&self) -> Vec<String> {
        self.accepted.iter().map(|key| key.fingerprint()).collect()
    }

    async fn protect(&self, io: BoxIo, role: Role) -> Result<BoxIo, ProtectorError> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce)
            .map_err(|_| broken("no random numbers for a nonce", io::Error::other("the system has none")))?;
        match role {
            Role::Dialer => Ok(Box::new(self.dialed(io, nonce))),
            Role::Listener => Ok(Box::new(self.accept(io, nonce).await?)),
        }
    }
}

impl Psk {
    /// A link that says nothing by itself: the nonce goes out with the first data, and the peer is known at the
    /// first read.
    fn dialed(&self, io: BoxIo, nonce: Nonce) -> PskStream {
        let outgoing = Outgoing::with_nonce(Keystream::new(&self.key, &nonce), nonce);
        let incoming = Incoming::Opening(Box::new(Opening::new(nonce)), Arc::clone(&self.key));
        PskStream::dialer(io, incoming, outgoing)
    }

    /// The nonce goes out at once, since other implementations wait for it before they send more than their own.
    /// The answers are encrypted with the key that the dialler has.
    async fn accept(&self, mut io: BoxIo, nonce: Nonce) -> Result<PskStream, ProtectorError> {
        let sent = match io.write_all(&nonce).await {
            Ok(()) => io.flush().await,
            failed => failed,
        };
        sent.map_err(|error| broken("this node's nonce could not be sent", error))?;
        let mut opening = Opening::new(nonce);
        let member = poll_fn(|cx| opening.poll_member(&mut io, cx, &self.accepted)).await?;
        let key = self.accepted.get(member.key).unwrap_or(&self.key);
        let outgoing = Outgoing::new(Keystream::new(key, &nonce));
        Ok(PskStream::listener(io, Incoming::open(member.keystream), outgoing))
    }
}

fn broken(detail: &str, error: io::Error) -> ProtectorError {
    ProtectorError::new(ProtectorErrorKind::Io, detail).with_source(error)
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Psk").field("fingerprints", &self.fingerprints()).finish()
    }
}
