//! Transports: the obligations `T1` to `T6`, `L1` to `L3`, `N1` and `N2` of [`skep_api::transport`].
//!
//! The suite runs on real sockets as well as in memory, so nothing here waits for a time to pass.

mod addresses;
mod connected;
mod listeners;
mod streams;

pub use addresses::{
    t1_supports_agrees_with_dial_and_listen, t2_a_link_names_both_ends, t4_port_zero_is_resolved,
    t5_a_failure_names_the_address, t6_a_peer_suffix_is_ignored_by_raw_links_alone,
};
pub use listeners::{
    l1_accept_is_cancel_safe, l2_a_dead_connection_does_not_end_the_listener,
    l3_dropping_the_listener_frees_the_address, n1_nothing_is_sent_or_read_before_accept,
    n2_dropping_ends_the_connection, n2_refusing_ends_the_connection,
};
pub use streams::{
    a_hundred_parallel_dials_arrive, bytes_arrive_as_they_were_sent, half_close_leaves_the_way_back_open,
    t3_a_dropped_dial_leaves_nothing_open,
};

use super::build;
use crate::{
    cx::build_cx,
    harness::{self, Clock, suite},
};
use skep_api::{Multiaddr, Plugin, plugin::layer, transport::Transport};
use std::{fmt, sync::Arc};

suite! { $
    /// Tests of a transport and an address to listen on:
    /// `transport_suite!(my_transport::PLUGIN, "/ip4/127.0.0.1/tcp/0");`
    transport_suite in transport, fixture: Fixture;
    t1_supports_agrees_with_dial_and_listen,
    t2_a_link_names_both_ends,
    t3_a_dropped_dial_leaves_nothing_open,
    t4_port_zero_is_resolved,
    t5_a_failure_names_the_address,
    t6_a_peer_suffix_is_ignored_by_raw_links_alone,
    l1_accept_is_cancel_safe,
    l2_a_dead_connection_does_not_end_the_listener,
    l3_dropping_the_listener_frees_the_address,
    n1_nothing_is_sent_or_read_before_accept,
    n2_refusing_ends_the_connection,
    n2_dropping_ends_the_connection,
    bytes_arrive_as_they_were_sent,
    half_close_leaves_the_way_back_open,
    a_hundred_parallel_dials_arrive,
}

/// How to build the transport under test, and where it listens.
#[derive(Clone)]
pub struct Fixture {
    build: Arc<dyn Fn() -> Arc<dyn Transport> + Send + Sync>,
    listen: Multiaddr,
    clock: Clock,
}

impl Fixture {
    /// Tests this plugin with its default table on real time; `listen` is an address that leaves the port open.
    ///
    /// # Panics
    /// If `listen` is no multiaddr.
    #[must_use]
    pub fn of(plugin: Plugin<layer::Transport>, listen: &str) -> Self {
        Self::with_table(plugin, "", listen)
    }

    /// The same with this table, in TOML.
    ///
    /// # Panics
    /// If `listen` is no multiaddr.
    #[must_use]
    pub fn with_table(plugin: Plugin<layer::Transport>, table: &'static str, listen: &str) -> Self {
        let build = Arc::new(move || build(&plugin, table, &build_cx()));
        let listen = listen.parse().unwrap_or_else(|e| panic!("{listen}: {e}"));
        Self { build, listen, clock: Clock::Real }
    }

    /// Tests the transports that a function makes, which use no sockets, on paused time.
    pub fn in_memory(
        listen: Multiaddr,
        build: impl Fn() -> Arc<dyn Transport> + Send + Sync + 'static,
    ) -> Self {
        Self { build: Arc::new(build), listen, clock: Clock::Paused }
    }

    /// Tests the transports that a function makes, such as decorated ones, on real time.
    pub fn on_sockets(
        listen: Multiaddr,
        build: impl Fn() -> Arc<dyn Transport> + Send + Sync + 'static,
    ) -> Self {
        Self { build: Arc::new(build), listen, clock: Clock::Real }
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fixture({})", self.listen)
    }
}

impl harness::Fixture for Fixture {
    fn clock(&self) -> Clock {
        self.clock
    }
}
