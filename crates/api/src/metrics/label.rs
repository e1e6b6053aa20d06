//! Labels and the values that they may have.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// The value of a label that is not among those allowed.
pub const OTHER: &str = "other";

/// The longest value, in bytes.
const MAX_LENGTH: usize = 128;

/// Most values of one set: the last position stands for `other`.
const MAX_VALUES: usize = u16::MAX as usize;

/// The values that a label may have. A clone is the same set.
#[derive(Clone, Debug)]
pub struct Values(Arc<RwLock<Set>>);

#[derive(Debug)]
struct Set {
    max: usize,
    values: Vec<Arc<str>>,
}

impl Values {
    /// A closed set.
    #[must_use]
    pub fn of<V: AsRef<str>>(values: impl IntoIterator<Item = V>) -> Self {
        let mut set = Set { max: MAX_VALUES, values: Vec::new() };
        for value in values {
            set.allow(value.as_ref());
        }
        set.max = set.values.len();
        Self(Arc::new(RwLock::new(set)))
    }

    /// A set that grows by [`Values::allow`], up to `max` values.
    #[must_use]
    pub fn up_to(max: u16) -> Self {
        Self(Arc::new(RwLock::new(Set { max: max.into(), values: Vec::new() })))
    }

    /// Takes a value that this node's own code has named. Whether it is in the set: a closed set takes no other, and a
    /// full one neither.
    pub fn allow(&self, value: &str) -> bool {
        // Nearly always it is there.
        self.position(value).is_some() || self.0.write().unwrap_or_else(PoisonError::into_inner).allow(value)
    }

    /// The values that are in the set now.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<str>> {
        self.read().values.clone()
    }

    /// Takes the values of another description of the same label.
    pub(super) fn absorb(&self, other: &Self) {
        if Arc::ptr_eq(&self.0, &other.0) {
            return;
        }
        // Not both locks at once: another thread may take them the other way round.
        let theirs = other.all();
        let mut set = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let max = std::mem::replace(&mut set.max, MAX_VALUES);
        for value in theirs {
            set.allow(&value);
        }
        set.max = max.max(set.values.len());
    }

    pub(super) fn position(&self, value: &str) -> Option<u16> {
        self.read().values.iter().position(|known| **known == *value).and_then(|at| at.try_into().ok())
    }

    pub(super) fn at(&self, position: u16) -> Arc<str> {
        self.read().values.get(usize::from(position)).map_or_else(|| OTHER.into(), Arc::clone)
    }

    fn read(&self) -> RwLockReadGuard<'_, Set> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Set {
    fn allow(&mut self, value: &str) -> bool {
        let there = self.values.iter().any(|known| **known == *value);
        if !there && self.values.len() < self.max && is_allowed(value) {
            self.values.push(value.into());
            return true;
        }
        there
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
