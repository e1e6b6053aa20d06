//! What differs between two configurations, key by key.

use crate::assemble::{KeyInfo, Plan};
use serde_json::Value;
use skep_api::{config::ValueOrigin, reload::Reload};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// A key whose value differs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KeyChange {
    /// The path of the key, such as `pruner.watermark.high`.
    pub path: String,
    /// The value that is in effect; `None` where the key has none, or is of a plugin that is new.
    pub before: Option<Value>,
    /// The value that was asked for; `None` where the key has none, or is of a plugin that goes.
    pub after: Option<Value>,
    /// Where the new value comes from.
    pub origin: ValueOrigin,
    /// What it takes for the change to have effect.
    pub reload: Reload,
}

impl fmt::Display for KeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".into(), Value::to_string);
        write!(f, "{}: {} → {} ({})", self.path, show(&self.before), show(&self.after), self.reload)
    }
}

/// The keys that differ, in the order of the new configuration; those that are gone come last.
pub(crate) fn changes(before: &Plan, after: &Plan) -> Vec<KeyChange> {
    let (old, new) = (before.explain(), after.explain());
    let by_path: BTreeMap<_, _> = old.iter().map(|info| (info.path(), info)).collect();
    let new_paths: BTreeSet<_> = new.iter().map(KeyInfo::path).collect();
    let (tables_before, tables_after) = (tables(&old), tables(&new));
    let mut changes = Vec::new();
    for info in &new {
        let path = info.path();
        let known = by_path.get(&path);
        let old_value = known.and_then(|known| known.value.clone());
        // A plugin that comes or goes is a change of `[stack]`, and of nothing else.
        if old_value == info.value || (known.is_none() && !tables_before.contains(&info.table)) {
            continue;
        }
        let (after, origin) = (info.value.clone(), info.origin.clone());
        changes.push(KeyChange { path, before: old_value, after, origin, reload: info.reload });
    }
    for info in old.iter().filter(|info| info.value.is_some() && tables_after.contains(&info.table)) {
        let path = info.path();
        if !new_paths.contains(&path) {
            let (before, origin) = (info.value.clone(), ValueOrigin::Default);
            changes.push(KeyChange { path, before, after: None, origin, reload: info.reload });
        }
    }
    changes
}

fn tables(keys: &[KeyInfo]) -> BTreeSet<String> {
    keys.iter().map(|info| info.table.clone()).collect()
}

/// The tables in which something differs, or which are in one of the two only.
pub(crate) fn changed_tables(before: &Plan, after: &Plan) -> BTreeSet<String> {
    let of = |plan: &Plan| {
        let mut tables: BTreeMap<String, Vec<(String, Option<Value>)>> = BTreeMap::new();
        for info in plan.explain() {
            tables.entry(info.table).or_default().push((info.key, info.value));
        }
        tables
    };
    let (old, new) = (of(before), of(after));
    let all: BTreeSet<_> = old.keys().chain(new.keys()).cloned().collect();
    all.into_iter().filter(|table| old.get(table) != new.get(table)).collect()
}
