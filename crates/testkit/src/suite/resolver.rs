//! Resolvers: the obligations `V1` to `V4` of [`skep_api::resolver`], as far as they can be seen without names
//! that exist.

use super::build;
use crate::{
    cx::build_cx,
    harness::{self, Clock, During, Outcome, ensure, suite},
};
use futures::future::join_all;
use skep_api::{
    Multiaddr, PeerId, Plugin,
    address::has_name,
    multiaddr::Protocol,
    plugin::layer,
    resolver::{MAX_OUTPUTS, Resolver},
};
use std::{fmt, sync::Arc, time::Duration};

suite! { $
    /// Tests of a resolver with a table in TOML, and with addresses that lead on and on under it, if there can be any:
    /// `resolver_suite!(my_resolver::PLUGIN, "", &["/dnsaddr/loop.test"]);`
    resolver_suite in resolver, fixture: Fixture;
    v1_an_address_without_a_name_comes_back_unchanged,
    v2_a_failure_is_an_error_and_never_an_empty_list,
    v3_results_are_few_and_without_names,
    v4_what_leads_on_and_on_is_given_up,
}

/// How long a lookup may take here: less than the limit of a property, as a host without a network has to wait
/// for its name server.
const PATIENCE: Duration = Duration::from_secs(15);

/// How to build the resolver under test.
#[derive(Clone)]
pub struct Fixture {
    build: Arc<dyn Fn() -> Arc<dyn Resolver> + Send + Sync>,
    endless: Vec<String>,
    clock: Clock,
}

impl Fixture {
    /// Tests this plugin with this table, in TOML. `endless` are addresses with names whose answers lead on and on:
    /// to themselves, or to more names each time.
    #[must_use]
    pub fn of(plugin: Plugin<layer::Resolver>, table: impl Into<String>, endless: &[&str]) -> Self {
        let table = table.into();
        let build = move || build(&plugin, &table, &build_cx());
        Self { build: Arc::new(build), endless: owned(endless), clock: Clock::Real }
    }

    /// Tests a resolver that uses no network.
    pub fn in_memory(resolver: Arc<dyn Resolver>, endless: &[&str]) -> Self {
        let build = move || Arc::clone(&resolver);
        Self { build: Arc::new(build), endless: owned(endless), clock: Clock::Paused }
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_string()).collect()
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl harness::Fixture for Fixture {
    fn clock(&self) -> Clock {
        self.clock
    }
}

/// V1. An address without a name comes back unchanged, as the only result.
pub async fn v1_an_address_without_a_name_comes_back_unchanged(fixture: Fixture) -> Outcome {
    let resolver = (fixture.build)();
    for text in ["/ip4/127.0.0.1/tcp/4001", "/ip6/::1/udp/4001/quic-v1", "/memory/7", "/ip4/8.8.8.8"] {
        let plain: Multiaddr = text.parse().during(text)?;
        for addr in [plain.clone(), plain.with(Protocol::P2p(PeerId::random()))] {
            let found = resolver.resolve(&addr).await.during(&format!("{addr} has no name"))?;
            ensure!(found == [addr.clone()], "{addr} became {found:?}");
        }
    }
    Ok(())
}

/// V2. A name that cannot exist (RFC 2606) gives an error and not an empty list.
///
/// A lookup that does not end within fifteen seconds passes: the name server may be the cause.
pub async fn v2_a_failure_is_an_error_and_never_an_empty_list(fixture: Fixture) -> Outcome {
    let resolver = (fixture.build)();
    let names = [
        "/dns/skep.invalid/tcp/1",
        "/dns4/skep.invalid/tcp/1",
        "/dns6/skep.invalid/tcp/1",
        "/dnsaddr/skep.invalid",
    ];
    for (addr, found) in lookups(&*resolver, &names).await? {
        ensure!(found != Some(Vec::new()), "{addr} gave an empty list and no error");
    }
    Ok(())
}

/// V3. At most [`MAX_OUTPUTS`] addresses come back, none of them with a name; failing is allowed here.
pub async fn v3_results_are_few_and_without_names(fixture: Fixture) -> Outcome {
    let resolver = (fixture.build)();
    let names = ["/dns/localhost/tcp/1", "/dns4/localhost/tcp/1", "/dns6/localhost/udp/1/quic-v1"];
    for (addr, found) in lookups(&*resolver, &names).await? {
        few_and_without_names(&addr, &found.unwrap_or_default())?;
    }
    Ok(())
}

/// V4. Names whose answers lead on and on end within fifteen seconds, in an error or in what V3 allows.
pub async fn v4_what_leads_on_and_on_is_given_up(fixture: Fixture) -> Outcome {
    let resolver = (fixture.build)();
    for text in &fixture.endless {
        let addr: Multiaddr = text.parse().during(text)?;
        let answer = tokio::time::timeout(PATIENCE, resolver.resolve(&addr)).await;
        let answer = answer.during(&format!("{addr} is still looked up after {PATIENCE:?}"))?;
        few_and_without_names(&addr, &answer.unwrap_or_default())?;
    }
    Ok(())
}

fn few_and_without_names(addr: &Multiaddr, found: &[Multiaddr]) -> Outcome {
    ensure!(found.len() <= MAX_OUTPUTS, "{addr} gave {} addresses", found.len());
    for result in found {
        ensure!(!has_name(result), "{addr} gave {result}, which still has a name");
    }
    Ok(())
}

/// What each of these addresses resolves to; `None` for an error and for an answer that does not come.
async fn lookups(
    resolver: &dyn Resolver,
    names: &[&str],
) -> Result<Vec<(Multiaddr, Option<Vec<Multiaddr>>)>, harness::Broken> {
    let addrs: Vec<Multiaddr> =
        names.iter().map(|name| name.parse()).collect::<Result<_, _>>().during("parse")?;
    Ok(join_all(addrs.into_iter().map(async |addr| {
        let answer = tokio::time::timeout(PATIENCE, resolver.resolve(&addr)).await;
        let found = answer.ok().and_then(Result::ok);
        (addr, found)
    }))
    .await)
}
