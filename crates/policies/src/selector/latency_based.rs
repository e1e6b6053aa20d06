//! `latency_based`: the connection with the shortest round trip.
//!
//! One that was not measured yet counts as if it took a second: worse than most, and better than a bad path, so that it
//! gets its chance.

use super::direct;
use skep_api::{
    config::NoConfig,
    register_selector,
    selector::{ConnectionSelector, ConnectionView},
};
use std::{cmp::Reverse, sync::Arc, time::Duration};

register_selector! {
    name: "latency_based",
    summary: "the shortest measured round trip, then the fewest streams, then the newest",
    example: "",
    config: NoConfig,
    build: |_, _| Ok(Arc::new(LatencyBased)),
}

/// What one that was not measured counts as.
const UNKNOWN: Duration = Duration::from_secs(1);

/// The selector.
#[derive(Clone, Copy, Debug)]
pub struct LatencyBased;

impl ConnectionSelector for LatencyBased {
    fn select(&self, connections: &[ConnectionView]) -> Option<u64> {
        let rank = |c: &&ConnectionView| (c.latency.unwrap_or(UNKNOWN), c.streams, Reverse(c.id));
        direct(connections).min_by_key(rank).map(|c| c.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::testing::views;

    #[test]
    fn the_shortest_round_trip_and_what_is_unknown_in_between() {
        let pick = |millis: [Option<u64>; 3]| {
            let of = |id| millis.get(usize::try_from(id).unwrap() - 1).copied().flatten();
            LatencyBased.select(&views(3, |id, view| view.latency = of(id).map(Duration::from_millis)))
        };
        assert_eq!(pick([Some(30), Some(20), Some(40)]), Some(2));
        assert_eq!(pick([Some(30), None, None]), Some(1));
        assert_eq!(pick([Some(3000), None, Some(4000)]), Some(2));
        assert_eq!(pick([None, None, None]), Some(3));
    }
}
