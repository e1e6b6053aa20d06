//! Security upgrades: the obligations `S1` to `S8` of [`skep_api::security`], over an in-memory duplex.

mod channel;
mod consent;
mod handshake;
mod identity;
mod shaken;
mod tamper;

pub use channel::{
    a_mebibyte_goes_both_ways, s4_no_plaintext_is_on_the_wire, s6_the_first_flush_ends_the_handshake,
    s7_the_end_of_one_direction_arrives_as_such, short_reads_and_writes_change_nothing,
};
pub use consent::insecure_needs_consent;
pub use handshake::{
    s3_a_changed_handshake_fails, s3_a_truncated_handshake_fails, s5_a_handshake_that_never_ends_is_given_up,
    s5_junk_ends_the_handshake, s8_dropping_the_handshake_closes_the_stream,
};
pub use identity::{
    early_muxer_is_the_same_at_both_ends, s1_each_end_learns_who_the_other_is,
    s2_another_peer_fails_at_both_ends,
};
pub use tamper::{
    s3_a_changed_record_is_an_error, s3_a_replayed_record_is_an_error, s3_a_truncated_record_is_an_error,
};

use super::build;
use crate::{
    cx::build_cx_with,
    harness::{self, suite},
};
use skep_api::{Keypair, Plugin, plugin::layer, security::Upgrader};
use std::{fmt, sync::Arc};

suite! { $
    /// Tests of a security upgrade with its default table: `security_suite!(my_security::PLUGIN);`
    security_suite in security, fixture: Fixture;
    s1_each_end_learns_who_the_other_is,
    s2_another_peer_fails_at_both_ends,
    s3_a_truncated_handshake_fails,
    s3_a_changed_handshake_fails,
    s3_a_truncated_record_is_an_error,
    s3_a_changed_record_is_an_error,
    s3_a_replayed_record_is_an_error,
    s4_no_plaintext_is_on_the_wire,
    s5_junk_ends_the_handshake,
    s5_a_handshake_that_never_ends_is_given_up,
    s6_the_first_flush_ends_the_handshake,
    s7_the_end_of_one_direction_arrives_as_such,
    s8_dropping_the_handshake_closes_the_stream,
    early_muxer_is_the_same_at_both_ends,
    a_mebibyte_goes_both_ways,
    short_reads_and_writes_change_nothing,
}

/// How to build the upgrade under test for a node with this key.
#[derive(Clone)]
pub struct Fixture {
    build: Arc<dyn Fn(Keypair) -> Arc<dyn Upgrader> + Send + Sync>,
}

impl Fixture {
    /// Tests this plugin with its default table.
    #[must_use]
    pub fn of(plugin: Plugin<layer::Security>) -> Self {
        Self::new(move |key| build(&plugin, "", &build_cx_with(key)))
    }

    /// Tests the upgrades that a function makes.
    pub fn new(build: impl Fn(Keypair) -> Arc<dyn Upgrader> + Send + Sync + 'static) -> Self {
        Self { build: Arc::new(build) }
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fixture")
    }
}

impl harness::Fixture for Fixture {}
