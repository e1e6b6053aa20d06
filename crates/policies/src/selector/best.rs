//! `best`: a direct connection before a limited one, then the busiest, then the newest.
//!
//! Streams gather on one connection, so that a second one to the same peer falls idle and can be pruned.

use skep_api::{
    config::NoConfig,
    register_selector,
    selector::{ConnectionSelector, ConnectionView},
};
use std::{cmp::Reverse, sync::Arc};

register_selector! {
    name: "best",
    summary: "direct before limited, then the most streams, then the newest",
    example: "",
    config: NoConfig,
    build: |_, _| Ok(Arc::new(Best)),
}

/// The selector.
#[derive(Clone, Copy, Debug)]
pub struct Best;

impl ConnectionSelector for Best {
    fn select(&self, connections: &[ConnectionView]) -> Option<u64> {
        connections.iter().max_by_key(|c| (Reverse(c.limited), c.streams, c.id)).map(|c| c.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_api::{PeerId, security::Role};

    fn connection(id: u64, limited: bool, streams: usize) -> ConnectionView {
        let remote = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let mut view = ConnectionView::new(id, PeerId::random(), Role::Dialer, remote);
        (view.limited, view.streams) = (limited, streams);
        view
    }

    #[test]
    fn direct_then_busy_then_new() {
        let (relayed, idle) = (connection(4, true, 9), connection(3, false, 0));
        let (busy, busier) = (connection(1, false, 2), connection(2, false, 2));
        let pick =
            |views: &[&ConnectionView]| Best.select(&views.iter().copied().cloned().collect::<Vec<_>>());

        assert_eq!(pick(&[&relayed, &idle]), Some(3));
        assert_eq!(pick(&[&idle, &busy]), Some(1));
        assert_eq!(pick(&[&busier, &busy]), Some(2));
        assert_eq!(pick(&[&relayed]), Some(4));
        assert_eq!(pick(&[]), None);
    }
}
