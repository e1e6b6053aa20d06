//! Muxers: the obligations `M1` to `M3`, `C1` to `C6` and `R1` to `R5` of [`skep_api::muxer`], over an in-memory
//! duplex with both drivers in tasks.

mod bounds;
mod connection;
mod ends;
mod pair;
mod pulse;
mod streams;

pub use bounds::{
    c3_streams_that_nobody_accepts_are_bounded, m2_junk_ends_the_connection, m3_unread_data_is_bounded,
    r5_a_slow_reader_holds_up_no_other_stream,
};
pub use connection::{
    a_hundred_streams_at_once, a_thousand_streams_in_turn, c1_open_can_be_written_at_once,
    c2_accept_is_cancel_safe_and_in_order, m1_mux_sends_nothing_by_itself,
    short_reads_and_writes_of_the_link_change_nothing, streams_open_from_both_ends,
};
pub use ends::{
    c4_close_is_told_with_its_code, c4_close_sends_what_was_finished, c5_a_lost_connection_ends_everything,
    c5_data_that_had_arrived_is_read_first, c5_dropping_the_driver_ends_the_connection,
};
pub use pulse::{c6_a_probe_makes_the_peer_heard, c6_one_probe_is_on_its_way_at_once};
pub use streams::{
    r1_a_reset_is_no_end_of_file, r2_shutdown_leaves_the_way_back_open, r3_dropping_unfinished_is_a_reset,
    r4_dropping_after_shutdown_loses_nothing, stop_reading_does_not_block_the_writer,
};

use super::build;
use crate::{
    cx::build_cx,
    harness::{self, suite},
};
use skep_api::{Plugin, muxer::Muxer, plugin::layer};
use std::{fmt, sync::Arc};

suite! { $
    /// Tests of a muxer with its default table: `muxer_suite!(my_muxer::PLUGIN);`
    muxer_suite in muxer, fixture: Fixture;
    m1_mux_sends_nothing_by_itself,
    m2_junk_ends_the_connection,
    m3_unread_data_is_bounded,
    c1_open_can_be_written_at_once,
    c2_accept_is_cancel_safe_and_in_order,
    c3_streams_that_nobody_accepts_are_bounded,
    c4_close_is_told_with_its_code,
    c4_close_sends_what_was_finished,
    c5_a_lost_connection_ends_everything,
    c5_data_that_had_arrived_is_read_first,
    c5_dropping_the_driver_ends_the_connection,
    c6_a_probe_makes_the_peer_heard,
    c6_one_probe_is_on_its_way_at_once,
    r1_a_reset_is_no_end_of_file,
    r2_shutdown_leaves_the_way_back_open,
    r3_dropping_unfinished_is_a_reset,
    r4_dropping_after_shutdown_loses_nothing,
    r5_a_slow_reader_holds_up_no_other_stream,
    stop_reading_does_not_block_the_writer,
    streams_open_from_both_ends,
    a_thousand_streams_in_turn,
    a_hundred_streams_at_once,
    short_reads_and_writes_of_the_link_change_nothing,
}

/// How to build the muxer under test.
#[derive(Clone)]
pub struct Fixture {
    build: Arc<dyn Fn() -> Arc<dyn Muxer> + Send + Sync>,
}

impl Fixture {
    /// Tests this plugin with its default table.
    #[must_use]
    pub fn of(plugin: Plugin<layer::Muxer>) -> Self {
        Self::new(move || build(&plugin, "", &build_cx()))
    }

    /// Tests the muxers that a function makes.
    pub fn new(build: impl Fn() -> Arc<dyn Muxer> + Send + Sync + 'static) -> Self {
        Self { build: Arc::new(build) }
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fixture")
    }
}

impl harness::Fixture for Fixture {}
