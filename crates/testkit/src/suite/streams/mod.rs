//! Streams, whatever carries them: the scripts that every combination of transport, security and muxer has to pass.
//!
//! A script checks the bytes, how each direction ends, by whom and with which code, at both ends. It sees no more
//! than two [`StreamEnd`]s, so that it runs on a bare muxer as well as on whole nodes.

mod bytes;
mod closing;
mod finishing;
mod fixture;
mod flow;
pub mod model;
mod opening;
mod resets;
mod stopping;
mod voice;

pub use closing::{
    closing_delivers_what_was_finished_and_tells_the_code, closing_ends_a_blocked_write,
    cutting_in_the_middle_ends_both_ends_after_what_arrived, the_end_of_file_outlives_the_connection,
};
pub use finishing::{
    a_finished_stream_takes_no_more_writes, a_writer_is_told_that_its_reader_has_finished_and_gone,
    both_may_finish_at_once, finishing_then_dropping_loses_nothing, half_closed_takes_ten_mebibytes_back,
    the_end_of_file_stays, writing_then_dropping_is_a_reset,
};
pub use fixture::{Carries, Connected, Fixture, Stream, StreamEnd};
pub use flow::{
    a_slow_stream_holds_up_no_other, many_small_writes_arrive, nothing_written_changes_nothing,
    reading_and_writing_go_on_in_two_tasks,
};
pub use opening::{
    streams_dropped_at_once_leave_nothing, the_accepting_end_may_speak_first, the_opener_may_finish_at_once,
};
pub use resets::{
    a_reset_after_finishing_is_no_silent_loss, a_reset_after_the_end_changes_nothing,
    a_reset_by_the_reader_ends_a_blocked_write, a_reset_by_the_writer_ends_a_waiting_read,
    a_reset_of_one_stream_leaves_the_others,
};
pub use stopping::{
    dropping_with_unread_data_is_a_reset, stop_reading_leaves_the_way_back_open,
    stop_reading_lets_the_writer_go,
};

use crate::harness::suite;

suite! { $
    /// Tests of streams over one combination of layers: `streams_suite!(fixture());`
    streams_suite in streams, fixture: Fixture;
    writing_then_dropping_is_a_reset,
    finishing_then_dropping_loses_nothing,
    half_closed_takes_ten_mebibytes_back,
    both_may_finish_at_once,
    the_end_of_file_stays,
    a_finished_stream_takes_no_more_writes,
    a_writer_is_told_that_its_reader_has_finished_and_gone,
    a_reset_by_the_reader_ends_a_blocked_write,
    a_reset_by_the_writer_ends_a_waiting_read,
    a_reset_after_finishing_is_no_silent_loss,
    a_reset_after_the_end_changes_nothing,
    a_reset_of_one_stream_leaves_the_others,
    stop_reading_lets_the_writer_go,
    stop_reading_leaves_the_way_back_open,
    dropping_with_unread_data_is_a_reset,
    closing_delivers_what_was_finished_and_tells_the_code,
    closing_ends_a_blocked_write,
    cutting_in_the_middle_ends_both_ends_after_what_arrived,
    the_end_of_file_outlives_the_connection,
    the_accepting_end_may_speak_first,
    the_opener_may_finish_at_once,
    streams_dropped_at_once_leave_nothing,
    many_small_writes_arrive,
    nothing_written_changes_nothing,
    reading_and_writing_go_on_in_two_tasks,
    a_slow_stream_holds_up_no_other,
}
