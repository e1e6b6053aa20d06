//! The resource manager's scopes, as metrics have them: those there is one of, and what all of a kind have denied.

use super::scrape::set;
use skep_api::{
    metrics::{Counters, Gauges, Instrument, Sink, Values},
    resources::{Limit, Resource, ResourceManager, Usage},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Rows that are looked at. Scopes there is one of, and denials, come first.
const ROWS: usize = 256;

/// The instruments of a resource manager.
pub(super) struct Resources {
    manager: Arc<dyn ResourceManager>,
    /// Kinds of scopes, from the manager's own list.
    kinds: BTreeSet<String>,
    in_use: Gauges,
    denied: Counters,
}

impl Resources {
    pub(super) fn new(sink: &Sink, manager: &Arc<dyn ResourceManager>) -> Self {
        let limits = manager.limits();
        let kinds: BTreeSet<_> = limits.iter().map(|limit| kind(&limit.scope).to_string()).collect();
        let scopes = Values::of(kinds.iter().map(String::as_str));
        let resources = Values::of(Resource::ALL.map(Resource::name));
        let labelled =
            |name, help| Instrument::new(name, help).label("scope", &scopes).label("resource", &resources);
        let in_use = labelled("skep_resources_in_use", "What is in use, in scopes there is one of.");
        let limit = labelled("skep_resources_limit", "What may be in use, in scopes there is one of.");
        let denied = labelled("skep_resources_denied", "Requests that were denied, by kind of scope.");
        let gauges = sink.gauges(limit);
        for Limit { scope, resource, limit, .. } in limits.iter().filter(|limit| is_single(&limit.scope)) {
            if let Some(limit) = limit {
                set(&gauges.with(&[scope, resource.name()]), usize::try_from(*limit).unwrap_or(usize::MAX));
            }
        }
        let (in_use, denied) = (sink.gauges(in_use), sink.counters(denied));
        Self { manager: Arc::clone(manager), kinds, in_use, denied }
    }

    /// Sets what there is now, and what is no more.
    pub(super) fn look(&self) {
        let rows = self.manager.usage(ROWS);
        let mut denied: BTreeMap<(&str, Resource), u64> = BTreeMap::new();
        for row in &rows {
            let sum = denied.entry((kind(&row.scope), row.resource)).or_default();
            *sum = sum.saturating_add(row.denied);
        }
        for ((kind, resource), count) in denied.into_iter().filter(|(_, count)| *count > 0) {
            self.denied.with(&[kind, resource.name()]).raise_to(count);
        }
        for scope in self.kinds.iter().filter(|kind| is_single(kind)) {
            for resource in Resource::ALL {
                let of_it = |row: &&Usage| row.scope == *scope && row.resource == resource;
                let current = rows.iter().find(of_it).map_or(0, |row| row.current);
                let current = usize::try_from(current).unwrap_or(usize::MAX);
                set(&self.in_use.with(&[scope, resource.name()]), current);
            }
        }
    }
}

/// `peer 12D3Koo…` is of the kind `peer`.
fn kind(scope: &str) -> &str {
    scope.split(' ').next().unwrap_or(scope)
}

/// Whether there is one scope of a kind only.
fn is_single(kind: &str) -> bool {
    kind.ends_with("system") || kind.ends_with("transient")
}
