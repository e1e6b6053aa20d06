//! A security upgrade that takes the peer at its word: each end sends its key, the dialler when it has seen the other's.

use async_trait::async_trait;
use skep_api::{
    BoxIo, Keypair,
    security::{Role, SecureCx, Secured, SecurityError, SecurityErrorKind, Upgrader, Verified, Verifier},
};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    ConsentIsNotAskedFor,
    ExpectationIsDropped,
}

/// Longest key that is looked at.
const MAX_KEY: u16 = 1024;

#[derive(Clone, Debug)]
pub(crate) struct Plain {
    pub(crate) fault: Fault,
    pub(crate) key: Keypair,
}

#[async_trait]
impl Upgrader for Plain {
    fn protocol(&self) -> &str {
        "/plain/1"
    }

    fn insecure(&self) -> bool {
        true
    }

    async fn secure(&self, mut io: BoxIo, cx: SecureCx) -> Result<Secured<BoxIo>, SecurityError> {
        if cx.role == Role::Listener {
            self.say(&mut io).await.map_err(broke)?;
        }
        let key = hear(&mut io).await?;
        let verified = self.judge(cx.verifier, &key)?;
        if cx.role == Role::Dialer {
            self.say(&mut io).await.map_err(broke)?;
        }
        Ok(Secured::new(verified, io))
    }
}

impl Plain {
    /// The key twice, so that a changed one shows.
    async fn say(&self, io: &mut BoxIo) -> io::Result<()> {
        let key = self.key.public().encode_protobuf();
        io.write_u16(key.len() as u16).await?;
        io.write_all(&key).await?;
        io.write_all(&key).await?;
        io.flush().await
    }

    fn judge(&self, verifier: Verifier, key: &[u8]) -> Result<Verified, SecurityError> {
        match self.fault {
            Fault::Nothing => verifier.take_word(key),
            Fault::ConsentIsNotAskedFor => verifier.allowing_insecure().take_word(key),
            Fault::ExpectationIsDropped => match verifier.take_word(key) {
                Err(e) if e.kind() == SecurityErrorKind::WrongPeer => {
                    Verifier::new(None).allowing_insecure().take_word(key)
                }
                judged => judged,
            },
        }
    }
}

async fn hear(io: &mut BoxIo) -> Result<Vec<u8>, SecurityError> {
    let len = io.read_u16().await.map_err(broke)?;
    if len == 0 || len > MAX_KEY {
        return Err(SecurityError::new(SecurityErrorKind::Malformed, "length of a key"));
    }
    let mut keys = vec![0; 2 * usize::from(len)];
    io.read_exact(&mut keys).await.map_err(broke)?;
    let (key, again) = keys.split_at(usize::from(len));
    match key == again {
        true => Ok(key.to_vec()),
        false => Err(SecurityError::new(SecurityErrorKind::Malformed, "two keys")),
    }
}

fn broke(error: io::Error) -> SecurityError {
    SecurityError::new(SecurityErrorKind::Io, "").with_source(error)
}
