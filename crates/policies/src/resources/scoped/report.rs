//! What the manager says: denials, what is in use, and the limits.

use super::{
    counts::{COUNTED, Over},
    derive::TABLE,
    kind::{KINDS, Kind},
    rules::Rules,
    scopes::{Scope, ScopeId},
    tree::{Refusal, Tree},
};
use skep_api::resources::{Limit, LimitExceeded, Priority, Resource, Usage};
use std::cmp::Reverse;

impl Tree {
    /// Counts a refusal and puts it into words.
    pub(super) fn deny(&mut self, rules: &Rules, refusal: &Refusal) -> LimitExceeded {
        match refusal {
            Refusal::Scope(id, over) => {
                let kind = self.scopes.get(*id).map_or(Kind::System, |scope| scope.kind);
                let name = self.scopes.name(*id, &rules.services);
                self.deny_limit(rules, kind, &name, over)
            }
            Refusal::Unnamed(kind, over) => self.deny_limit(rules, *kind, kind.name(), over),
            Refusal::Subnet(full) => LimitExceeded {
                scope: format!("{}, ip {}", Resource::ConnectionsInbound, full.net),
                current: full.current,
                limit: full.limit,
                key: self.prefixes.deny(full),
            },
            Refusal::Rate(too_fast) => LimitExceeded {
                scope: format!("{}, ip {}", Resource::Rate, too_fast.host),
                current: too_fast.burst,
                limit: too_fast.burst,
                key: self.rates.deny(),
            },
            Refusal::Broken(what) => broken(what),
        }
    }

    fn deny_limit(&mut self, rules: &Rules, kind: Kind, name: &str, over: &Over) -> LimitExceeded {
        let Over { resource, limit, current, priority } = *over;
        let denied = self.denied.entry((kind, resource)).or_default();
        *denied = denied.saturating_add(1);
        let share = match (resource, priority) {
            (Resource::Memory, Priority::Low) => " of low priority",
            (Resource::Memory, Priority::Medium) => " of medium priority",
            (Resource::Memory, Priority::High) => " of high priority",
            _ => "",
        };
        let key = rules.limits.key(kind, resource);
        LimitExceeded { scope: format!("{resource}{share}, {name}"), current, limit, key }
    }

    /// At most `max` scopes: those there is one of, then kinds that have denied something, then what is in use,
    /// scope by scope, in each kind those with the most memory first.
    pub(super) fn usage(&self, rules: &Rules, max: usize) -> Vec<Usage> {
        let (fixed, mut named): (Vec<_>, Vec<_>) =
            self.scopes.iter().partition(|(_, scope)| is_fixed(scope.kind));
        let mut groups: Vec<Vec<Usage>> =
            fixed.into_iter().map(|(id, scope)| self.rows(rules, id, scope)).collect();
        groups.extend(KINDS.iter().filter(|kind| !is_fixed(**kind)).map(|kind| self.denials(rules, *kind)));
        groups.extend(self.prefixes.denials().map(|row| vec![row]));
        groups.extend(self.rates.usage().map(|row| vec![row]));
        groups.retain(|rows| !rows.is_empty());
        groups.truncate(max);
        let left = max.saturating_sub(groups.len());
        if left == 0 {
            return groups.concat();
        }
        named.sort_by_key(|(id, scope)| (scope.kind, Reverse(scope.used.get(Resource::Memory)), *id));
        groups.extend(named.into_iter().take(left).map(|(id, scope)| self.rows(rules, id, scope)));
        let left = max.saturating_sub(groups.len());
        groups.extend(self.prefixes.usage(left).into_iter().map(|row| vec![row]));
        groups.concat()
    }

    /// What one scope has in use.
    fn rows(&self, rules: &Rules, id: ScopeId, scope: &Scope) -> Vec<Usage> {
        let rows = COUNTED.into_iter().filter_map(|resource| {
            let current = scope.used.get(resource);
            let denied = if is_fixed(scope.kind) { self.denied(scope.kind, resource) } else { 0 };
            (current > 0 || denied > 0).then(|| Usage {
                scope: self.scopes.name(id, &rules.services),
                resource,
                current,
                limit: rules.limits.of(scope.kind).get(resource),
                denied,
            })
        });
        rows.collect()
    }

    /// What scopes of a kind have denied. Most of them are gone, so that nothing is in use in these rows.
    fn denials(&self, rules: &Rules, kind: Kind) -> Vec<Usage> {
        let rows = COUNTED.into_iter().filter_map(|resource| {
            let denied = self.denied(kind, resource);
            (denied > 0).then(|| Usage {
                scope: kind.name().into(),
                resource,
                current: 0,
                limit: rules.limits.of(kind).get(resource),
                denied,
            })
        });
        rows.collect()
    }

    fn denied(&self, kind: Kind, resource: Resource) -> u64 {
        self.denied.get(&(kind, resource)).copied().unwrap_or(0)
    }

    pub(super) fn limits(&self, rules: &Rules) -> Vec<Limit> {
        let mut limits: Vec<_> = rules.limits.rows(rules.places.has_allowlist()).cloned().collect();
        limits.extend(self.prefixes.limits());
        limits.extend(self.rates.limits(&rules.config));
        limits
    }
}

/// A denial for a mistake of the manager, or of who uses it.
pub(super) fn broken(what: &str) -> LimitExceeded {
    LimitExceeded {
        scope: format!("the resource manager fails closed: {what}"),
        current: 0,
        limit: 0,
        key: TABLE.into(),
    }
}

fn is_fixed(kind: Kind) -> bool {
    kind == Kind::System || kind == Kind::Transient || kind.is_allowlisted()
}
