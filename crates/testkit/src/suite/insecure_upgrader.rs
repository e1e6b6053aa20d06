//! Security upgrades that prove and hide nothing: those obligations of [`skep_api::security`] that they can keep, and that
//! they need consent.

pub use super::security::{
    Fixture, a_mebibyte_goes_both_ways, early_muxer_is_the_same_at_both_ends, insecure_needs_consent,
    s1_each_end_learns_who_the_other_is, s2_another_peer_fails_at_both_ends, s3_a_changed_handshake_fails,
    s3_a_truncated_handshake_fails, s5_a_handshake_that_never_ends_is_given_up, s5_junk_ends_the_handshake,
    s6_the_first_flush_ends_the_handshake, s7_the_end_of_one_direction_arrives_as_such,
    s8_dropping_the_handshake_closes_the_stream, short_reads_and_writes_change_nothing,
};
use crate::harness::suite;

suite! { $
    /// Tests of a security upgrade that is insecure: `insecure_upgrader_suite!(my_plaintext::PLUGIN);`
    insecure_upgrader_suite in insecure_upgrader, fixture: Fixture;
    insecure_needs_consent,
    s1_each_end_learns_who_the_other_is,
    s2_another_peer_fails_at_both_ends,
    s3_a_truncated_handshake_fails,
    s3_a_changed_handshake_fails,
    s5_junk_ends_the_handshake,
    s5_a_handshake_that_never_ends_is_given_up,
    s6_the_first_flush_ends_the_handshake,
    s7_the_end_of_one_direction_arrives_as_such,
    s8_dropping_the_handshake_closes_the_stream,
    early_muxer_is_the_same_at_both_ends,
    a_mebibyte_goes_both_ways,
    short_reads_and_writes_change_nothing,
}
