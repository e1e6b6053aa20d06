//! The plugin: an instance, and what one upgrade does.
//!
//! ```text
//! dialler                              listener
//!             ←  its id and key
//!  its id and key  →
//! ```
//!
//! The specification has both ends send at once. The dialler sends when it has seen who answers: another peer than the one
//! that it expected does not learn who it is, and the stream is handed on no later for it.

use crate::{Config, exchange::Exchange, messages};
use async_trait::async_trait;
use prost::Message;
use skep_api::{
    BoxIo, BuildCx, Problems,
    security::{Role, SecureCx, Secured, SecurityError, SecurityErrorKind, Upgrader, Verified, Verifier},
};
use std::sync::Arc;

/// The multistream-select id.
pub const PROTOCOL: &str = "/plaintext/2.0.0";

/// One instance of the plugin.
#[derive(Debug)]
struct Plaintext {
    /// The encoded exchange of this node.
    exchange: Vec<u8>,
}

/// Makes an instance.
pub(crate) fn build(_: Config, cx: &BuildCx) -> Result<Arc<dyn Upgrader>, Problems> {
    let exchange = Exchange::of(&cx.identity.keypair().public()).encode_to_vec();
    Ok(Arc::new(Plaintext { exchange }))
}

#[async_trait]
impl Upgrader for Plaintext {
    fn protocol(&self) -> &str {
        PROTOCOL
    }

    fn insecure(&self) -> bool {
        true
    }

    async fn secure(&self, mut io: BoxIo, cx: SecureCx) -> Result<Secured<BoxIo>, SecurityError> {
        if cx.role == Role::Listener {
            messages::send(&mut io, &self.exchange).await?;
        }
        // What the layer below holds of the negotiation goes first, for the peer waits for it.
        messages::flush(&mut io).await?;
        let theirs = Exchange::read(&messages::receive(&mut io).await?)?;
        let verified = judge(cx.verifier, &theirs)?;
        if cx.role == Role::Dialer {
            // Flushed with the first data.
            messages::send(&mut io, &self.exchange).await?;
        }
        Ok(Secured::new(verified, io))
    }
}

/// Takes the peer's word, if its id is that of its key.
fn judge(verifier: Verifier, theirs: &Exchange) -> Result<Verified, SecurityError> {
    let (key, id) = theirs.claim()?;
    let verified = verifier.take_word(key)?;
    if verified.peer() != id {
        let detail = format!("it says it is {id}, and its key is that of {}", verified.peer());
        return Err(SecurityError::new(SecurityErrorKind::BadIdentity, detail));
    }
    Ok(verified)
}
