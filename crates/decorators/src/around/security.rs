//! Around security upgrades: the handshake, and what passes in the clear above it.

use super::{Around, Conn, Ends, Hooks, Operation, operation::run, tapped::Tapped};
use async_trait::async_trait;
use skep_api::{
    BoxIo,
    security::{SecureCx, Secured, SecurityError, Upgrader},
};

#[async_trait]
impl<H: Hooks> Upgrader for Around<H, dyn Upgrader> {
    fn protocol(&self) -> &str {
        self.inner.protocol()
    }

    fn insecure(&self) -> bool {
        self.inner.insecure()
    }

    fn at_full_speed(&self) -> bool {
        self.inner.at_full_speed()
    }

    async fn secure(&self, io: BoxIo, cx: SecureCx) -> Result<Secured<BoxIo>, SecurityError> {
        let role = cx.role;
        let secured = run(&*self.hooks, Operation::Secure, &role, self.inner.secure(io, cx)).await?;
        let peer = Some(secured.verified().peer());
        let conn = self.hooks.connection(&Ends { role, addrs: None, peer });
        Ok(rewrapped(secured, |io| Box::new(Tapped::new(io, conn.tap(None)))))
    }
}

/// The same peer and agreement, over another channel.
pub(super) fn rewrapped<T>(secured: Secured<T>, wrap: impl FnOnce(T) -> T) -> Secured<T> {
    let theirs = secured.peer_muxers().to_vec();
    let (channel, verified, early_muxer) = secured.into_parts();
    Secured::new(verified, wrap(channel)).with_early_muxer(early_muxer).with_peer_muxers(theirs)
}
