//! Labels and the values that they may have.

use std::sync::{Arc, PoisonError, RwLock};

/// The value of a label that is not among those allowed.
pub const OTHER: &str = "other";

/// The longest value, in bytes.
const MAX_LENGTH: usize = 128;

/// The values that a label may have. A clone is the same set.
#[derive(Clone, Debug)]
pub struct Values(Arc<Set>);

#[derive(Debug)]
struct Set {
    max: usize,
    values: RwLock<Vec<Arc<str>>>,
}

impl Values {
    /// A closed set.
    #[must_use]
    pub fn of<V: AsRef<str>>(values: impl IntoIterator<Item = V>) -> Self {
        let mut known: Vec<Arc<str>> = Vec::new();
        for value in values {
            let value = value.as_ref();
            if is_allowed(value) && !known.iter().any(|known| **known == *value) {
                known.push(value.into());
            }
        }
        known.truncate(usize::from(u16::MAX));
        Self(Arc::new(Set { max: known.len(), values: RwLock::new(known) }))
    }

    /// A set that grows by [`Values::allow`], up to `max` values.
    #[must_use]
    pub fn up_to(max: u16) -> Self {
        Self(Arc::new(Set { max: max.into(), values: RwLock::default() }))
    }

    /// Takes a value that this node's own code has named. Whether it is in the set: a closed set takes no other, and a
    /// full one neither.
    pub fn allow(&self, value: &str) -> bool {
        if self.position(value).is_some() {
            return true;
        }
        let mut values = self.0.values.write().unwrap_or_else(PoisonError::into_inner);
        let there = values.iter().any(|known| **known == *value);
        if !there && values.len() < self.0.max && is_allowed(value) {
            values.push(value.into());
            return true;
        }
        there
    }

    /// The values that are in the set now.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<str>> {
        self.0.values.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn position(&self, value: &str) -> Option<u16> {
        let values = self.0.values.read().unwrap_or_else(PoisonError::into_inner);
        values.iter().position(|known| **known == *value).and_then(|at| at.try_into().ok())
    }

    pub(super) fn at(&self, position: u16) -> Arc<str> {
        let values = self.0.values.read().unwrap_or_else(PoisonError::into_inner);
        values.get(usize::from(position)).map_or_else(|| OTHER.into(), Arc::clone)
    }
}

/// `other` is what is not in the set.
fn is_allowed(value: &str) -> bool {
    value != OTHER && value.len() <= MAX_LENGTH
}

/// A label of an instrument.
#[derive(Clone, Debug)]
pub(super) struct Label {
    pub(super) name: &'static str,
    pub(super) values: Values,
}
