//! Around resolvers: lookups.

use super::{Around, Hooks, Operation, operation::run};
use async_trait::async_trait;
use skep_api::{
    Multiaddr, address,
    resolver::{ResolveError, Resolver},
};

#[async_trait]
impl<H: Hooks> Resolver for Around<H, dyn Resolver> {
    async fn resolve(&self, addr: &Multiaddr) -> Result<Vec<Multiaddr>, ResolveError> {
        // Without a name there is nothing to look up, and nothing to count or to fail.
        if !address::has_name(addr) {
            return self.inner.resolve(addr).await;
        }
        run(&*self.hooks, Operation::Resolve, addr, self.inner.resolve(addr)).await
    }
}
