//! The plugin: an instance, and what one upgrade does.

use crate::{Config, buffer::Pool, handshake, identity::Identity, stream::NoiseStream};
use async_trait::async_trait;
use skep_api::{
    BoxIo, BuildCx, Problems,
    error::chain,
    security::{SecureCx, Secured, SecurityError, Upgrader},
};
use std::sync::Arc;

/// The multistream-select id of Noise.
pub const PROTOCOL: &str = "/noise";

/// One instance of the plugin.
#[derive(Debug)]
struct Noise {
    identity: Identity,
    pool: Arc<Pool>,
    early_muxer: bool,
}

/// Makes an instance. Its static key lives as long as it does.
pub(crate) fn build(config: Config, cx: &BuildCx) -> Result<Arc<dyn Upgrader>, Problems> {
    let identity = Identity::new(cx.identity.keypair()).map_err(|error| {
        let problem = format!("the node's identity cannot sign a noise key: {}", chain(error.as_ref()));
        Problems::one("", problem, "use another identity key")
    })?;
    let max_idle = usize::try_from(config.max_idle_buffers).unwrap_or(usize::MAX);
    Ok(Arc::new(Noise { identity, pool: Pool::new(max_idle), early_muxer: config.early_muxer }))
}

#[async_trait]
impl Upgrader for Noise {
    fn protocol(&self) -> &str {
        PROTOCOL
    }

    async fn secure(&self, io: BoxIo, mut cx: SecureCx) -> Result<Secured<BoxIo>, SecurityError> {
        if !self.early_muxer {
            cx.muxers.clear();
        }
        let done = handshake::run(&self.identity, io, cx).await?;
        let stream = NoiseStream::new(done.io, done.keys, &self.pool, &done.unsent, &done.surplus);
        let stream: BoxIo = Box::new(stream);
        let secured = Secured::new(done.verified, stream).with_early_muxer(done.early_muxer);
        Ok(secured.with_peer_muxers(done.peer_muxers))
    }
}
