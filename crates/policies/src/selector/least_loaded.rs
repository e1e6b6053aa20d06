//! `least_loaded`: the connection with the fewest streams.

use super::direct;
use skep_api::{
    config::NoConfig,
    register_selector,
    selector::{ConnectionSelector, ConnectionView},
};
use std::{cmp::Reverse, sync::Arc};

register_selector! {
    name: "least_loaded",
    summary: "the fewest streams, then the newest",
    example: "",
    config: NoConfig,
    build: |_, _| Ok(Arc::new(LeastLoaded)),
}

/// The selector.
#[derive(Clone, Copy, Debug)]
pub struct LeastLoaded;

impl ConnectionSelector for LeastLoaded {
    fn select(&self, connections: &[ConnectionView]) -> Option<u64> {
        direct(connections).min_by_key(|c| (c.streams, Reverse(c.id))).map(|c| c.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::testing::views;

    #[test]
    fn the_fewest_streams_then_the_newest() {
        let pick = |streams: [usize; 4]| {
            let of = |id| streams.get(usize::try_from(id).unwrap() - 1).copied().unwrap();
            LeastLoaded.select(&views(4, |id, view| (view.streams, view.limited) = (of(id), id == 4)))
        };
        assert_eq!(pick([3, 1, 2, 0]), Some(2));
        assert_eq!(pick([1, 1, 1, 0]), Some(3));
    }
}
