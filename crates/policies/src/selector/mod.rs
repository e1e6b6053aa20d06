//! Selectors: which connection carries a new stream ([`skep_api::selector`]).
//!
//! All of them take a direct connection before a limited one; they differ in which of several.

pub mod best;
pub mod health_based;
pub mod latency_based;
pub mod least_loaded;
pub mod round_robin;

use skep_api::selector::ConnectionView;

/// The direct ones, or all if none is.
fn direct(connections: &[ConnectionView]) -> impl Iterator<Item = &ConnectionView> {
    let any_direct = connections.iter().any(|c| !c.limited);
    connections.iter().filter(move |c| !any_direct || !c.limited)
}

#[cfg(test)]
mod testing {
    use skep_api::{PeerId, security::Role, selector::ConnectionView};

    /// Connections to one peer, numbered from 1.
    pub(super) fn views(n: u64, change: impl Fn(u64, &mut ConnectionView)) -> Vec<ConnectionView> {
        let peer = PeerId::random();
        let view = |id| {
            let remote = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
            let mut view = ConnectionView::new(id, peer, Role::Dialer, remote);
            change(id, &mut view);
            view
        };
        (1..=n).map(view).collect()
    }
}
