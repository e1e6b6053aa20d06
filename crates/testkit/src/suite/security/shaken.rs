//! Two nodes that shake hands over a wire.

use super::Fixture;
use crate::{
    duplex::{DuplexConfig, Wire, wiretap},
    harness::{Broken, During},
};
use futures::future::join;
use skep_api::{
    BoxIo, Keypair, PeerId,
    security::{Role, SecureCx, Secured, SecurityError, Upgrader, Verifier},
};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A node with its upgrade.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: PeerId,
    pub(super) upgrader: Arc<dyn Upgrader>,
    pub(super) expects: Option<PeerId>,
    pub(super) muxers: Vec<String>,
}

impl Node {
    pub(super) fn new(fixture: &Fixture) -> Self {
        let key = Keypair::generate_ed25519();
        let id = key.public().to_peer_id();
        Self { id, upgrader: (fixture.build)(key), expects: None, muxers: Vec::new() }
    }

    pub(super) fn cx(&self, role: Role) -> SecureCx {
        let verifier = Verifier::new(self.expects);
        // Whoever tests an upgrade that proves nothing has agreed to it.
        let verifier = if self.upgrader.insecure() { verifier.allowing_insecure() } else { verifier };
        SecureCx::new(role, verifier, self.muxers.clone())
    }

    /// Secures a stream and flushes it, since the last handshake bytes may wait for a flush.
    pub(super) async fn secure(&self, io: BoxIo, role: Role) -> Result<Secured<BoxIo>, SecurityError> {
        let (mut io, verified, muxer) = self.upgrader.secure(io, self.cx(role)).await?.into_parts();
        // A failure shows at the first read as well.
        drop(io.flush().await);
        Ok(Secured::new(verified, io).with_early_muxer(muxer))
    }
}

/// What each end says of one handshake.
pub(super) struct Shaken {
    pub(super) dialer: Result<Secured<BoxIo>, SecurityError>,
    pub(super) listener: Result<Secured<BoxIo>, SecurityError>,
}

/// Lets two nodes shake hands. An end that waits for ever holds up the result.
pub(super) async fn shake(dialer: &Node, listener: &Node, (a, b): (BoxIo, BoxIo)) -> Shaken {
    let (dialer, listener) = join(dialer.secure(a, Role::Dialer), listener.secure(b, Role::Listener)).await;
    Shaken { dialer, listener }
}

/// A secured channel and the wire below it.
pub(super) struct Channel {
    pub(super) dialer: BoxIo,
    pub(super) listener: BoxIo,
    pub(super) wire: Wire,
}

impl Channel {
    pub(super) async fn new(fixture: &Fixture, config: DuplexConfig) -> Result<Self, Broken> {
        let (a, b, wire) = wiretap(config);
        let shaken = shake(&Node::new(fixture), &Node::new(fixture), (a, b)).await;
        let (dialer, ..) = shaken.dialer.during("the dialler's handshake")?.into_parts();
        let (listener, ..) = shaken.listener.during("the listener's handshake")?.into_parts();
        Ok(Self { dialer, listener, wire })
    }
}

pub(super) async fn say(io: &mut BoxIo, text: &[u8]) -> Result<(), Broken> {
    io.write_all(text).await.during("write")?;
    io.flush().await.during("flush")
}

/// What can be read until the end of file or an error, and which of the two it was.
pub(super) async fn drain(io: &mut BoxIo) -> (Vec<u8>, std::io::Result<()>) {
    let mut heard = Vec::new();
    let end = io.read_to_end(&mut heard).await.map(drop);
    (heard, end)
}
