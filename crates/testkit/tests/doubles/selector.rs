//! A selector.

use skep_api::selector::{ConnectionSelector, ConnectionView};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    NamesAnother,
    FallsSilent,
    LimitedIsAsGood,
}

/// Chooses the newest.
#[derive(Debug)]
pub(crate) struct Newest(pub(crate) Fault);

impl ConnectionSelector for Newest {
    fn select(&self, connections: &[ConnectionView]) -> Option<u64> {
        let as_good = self.0 == Fault::LimitedIsAsGood;
        let newest = connections.iter().max_by_key(|c| (as_good || !c.limited, c.id))?;
        match self.0 {
            Fault::NamesAnother => Some(newest.id + 1000),
            Fault::FallsSilent if connections.len() > 5 => None,
            _ => Some(newest.id),
        }
    }
}
