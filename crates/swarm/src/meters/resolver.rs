//! Lookups of names: a decorator around the resolver.

use super::{CANCELLED, names, timed::Unfinished};
use crate::stack::{Named, Stack};
use async_trait::async_trait;
use skep_api::{
    Multiaddr, address,
    error::Kind,
    metrics::{Counters, Histograms, Instrument, Sink, Unit, Values},
    resolver::{ResolveError, ResolveErrorKind, Resolver},
};
use std::{fmt, sync::Arc};
use tokio::time::Instant;

pub(super) fn instruments(sink: &Sink, stack: &Stack, bounds: &[f64]) -> (Counters, Histograms) {
    let resolvers = names(stack.resolver.as_slice());
    let codes = ResolveErrorKind::ALL.iter().map(|kind| kind.code());
    let outcome = Values::of(codes.chain(["ok", CANCELLED]));
    let new = |name, help| Instrument::new(name, help).label("resolver", &resolvers);
    let lookups = new("skep_resolutions", "Addresses whose names were looked up.").label("outcome", &outcome);
    let time = new("skep_resolution_duration", "How long lookups took that succeeded.").unit(Unit::Seconds);
    (sink.counters(lookups), sink.histograms(time, bounds))
}

/// Counts lookups from now on. The resolver of a node without metrics stays as it is.
pub(super) fn count((lookups, time): &(Counters, Histograms), resolver: Option<&mut Named<dyn Resolver>>) {
    if let Some(named) = resolver.filter(|_| lookups.is_attached()) {
        let (resolver, name) = (Arc::clone(&named.object), named.name.clone());
        named.object = Arc::new(Counted { resolver, name, lookups: lookups.clone(), time: time.clone() });
    }
}

struct Counted {
    resolver: Arc<dyn Resolver>,
    name: String,
    lookups: Counters,
    time: Histograms,
}

#[async_trait]
impl Resolver for Counted {
    async fn resolve(&self, addr: &Multiaddr) -> Result<Vec<Multiaddr>, ResolveError> {
        if !address::has_name(addr) {
            return self.resolver.resolve(addr).await;
        }
        let begun = Instant::now();
        let unfinished = Unfinished::new(|| self.lookups.with(&[&self.name, CANCELLED]).inc());
        let result = self.resolver.resolve(addr).await;
        unfinished.finish();
        match &result {
            Ok(_) => {
                self.lookups.with(&[&self.name, "ok"]).inc();
                self.time.with(&[&self.name]).observe_duration(begun.elapsed());
            }
            Err(error) => self.lookups.with(&[&self.name, error.kind().code()]).inc(),
        }
        result
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.resolver.fmt(f)
    }
}
