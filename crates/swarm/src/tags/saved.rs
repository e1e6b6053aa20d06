//! The tags and protections of a peer as they are kept in the peer store.

use super::{entry::Entry, store::MAX_NAME, table::Limits};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The name that they are kept under.
pub(super) const METADATA: &str = "skep/tags";
/// The version of the format. What has another is not read.
const VERSION: u32 = 1;
/// Bytes that are read: the most names, of the greatest length, with every byte of them escaped.
const MAX_LEN: usize = 128 * 1024;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    v: u32,
    pub(super) tags: BTreeMap<String, i64>,
    pub(super) protected_by: BTreeSet<String>,
}

impl Saved {
    /// What is to be kept of a peer, if there is anything.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        let tags: BTreeMap<_, _> = entry.tags.iter().map(|(tag, value)| (tag.to_string(), *value)).collect();
        let protected_by: BTreeSet<_> = entry.protected_by.iter().map(ToString::to_string).collect();
        let something = !(tags.is_empty() && protected_by.is_empty());
        something.then_some(Self { v: VERSION, tags, protected_by })
    }

    /// The bytes to keep.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// Reads bytes that were kept; `None` if they are damaged, or of another version.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_LEN {
            return None;
        }
        let saved: Self = serde_json::from_slice(bytes).ok()?;
        let most = Limits::DEFAULT.names;
        let bounded = saved.tags.len() <= most && saved.protected_by.len() <= most;
        let mut names = saved.tags.keys().chain(&saved.protected_by);
        (saved.v == VERSION && bounded && names.all(|name| name.len() <= MAX_NAME)).then_some(saved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Saved {
        let names = |n: usize| (0..n).map(|n| format!("{n:0>MAX_NAME$}").replace('0', "\u{1}"));
        Saved {
            v: VERSION,
            tags: names(64).map(|name| (name, i64::MIN)).collect(),
            protected_by: names(64).collect(),
        }
    }

    #[test]
    fn the_most_there_can_be_comes_back() {
        let bytes = saved().encode().unwrap();
        assert_eq!(Saved::decode(&bytes), Some(saved()));
        let text = br#"{"v":1,"tags":{"dht":-5},"protected_by":["app"]}"#;
        let known = Saved::decode(text).unwrap();
        assert_eq!(known.encode().unwrap(), text);
    }

    #[test]
    fn what_is_damaged_is_nothing() {
        let long = "x".repeat(MAX_NAME + 1);
        let mut many = saved();
        many.tags.insert("one more".into(), 1);
        let mut owners = saved();
        owners.protected_by.insert("one more".into());
        for bytes in [
            b"".to_vec(),
            b"\xff\x00{".to_vec(),
            br#"{"v":2,"tags":{},"protected_by":[]}"#.to_vec(),
            br#"{"v":1,"tags":{},"protected_by":[],"more":1}"#.to_vec(),
            br#"{"v":1,"tags":{"dht":9223372036854775808},"protected_by":[]}"#.to_vec(),
            format!(r#"{{"v":1,"tags":{{"{long}":1}},"protected_by":[]}}"#).into_bytes(),
            many.encode().unwrap(),
            owners.encode().unwrap(),
            format!("{}{}", " ".repeat(MAX_LEN), r#"{"v":1,"tags":{},"protected_by":[]}"#).into_bytes(),
        ] {
            assert_eq!(Saved::decode(&bytes), None, "{}", String::from_utf8_lossy(&bytes));
        }
        let cut = saved().encode().unwrap();
        for len in 0..cut.len() {
            assert_eq!(Saved::decode(&cut[..len]), None);
        }
    }
}
