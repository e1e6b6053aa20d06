//! Protectors: the obligations `P1` to `P4` of [`skep_api::protector`], over an in-memory duplex.

mod channel;
mod meeting;
mod secrecy;
mod strangers;

pub use channel::{
    a_mebibyte_goes_both_ways, dropping_protect_closes_the_link, p4_a_dialler_waits_for_nothing,
    p4_the_first_bytes_leave_together, short_reads_and_writes_change_nothing,
    the_end_of_one_direction_arrives_as_such,
};
pub use secrecy::{
    fingerprints_name_the_network, p2_nothing_of_the_inside_is_on_the_wire,
    p2_the_same_words_never_look_the_same, p3_no_key_is_shown,
};
pub use strangers::{
    p1_a_changed_opening_is_refused, p1_a_mirror_is_refused, p1_a_peer_in_clear_is_refused,
    p1_another_network_is_refused, p1_junk_is_refused, p1_nothing_passes_before_the_peer_is_known,
};

use super::build;
use crate::{
    cx::build_cx,
    harness::{self, suite},
};
use skep_api::{Plugin, plugin::layer, protector::Protector};
use std::{fmt, sync::Arc};

suite! { $
    /// Tests of a protector with the tables of two networks, and the key of the first:
    /// `protector_suite!(my_protector::PLUGIN, "key = \"one\"", "key = \"two\"", b"one");`
    protector_suite in protector, fixture: Fixture;
    p1_another_network_is_refused,
    p1_junk_is_refused,
    p1_a_peer_in_clear_is_refused,
    p1_a_mirror_is_refused,
    p1_nothing_passes_before_the_peer_is_known,
    p1_a_changed_opening_is_refused,
    p2_nothing_of_the_inside_is_on_the_wire,
    p2_the_same_words_never_look_the_same,
    p3_no_key_is_shown,
    p4_a_dialler_waits_for_nothing,
    p4_the_first_bytes_leave_together,
    fingerprints_name_the_network,
    the_end_of_one_direction_arrives_as_such,
    dropping_protect_closes_the_link,
    a_mebibyte_goes_both_ways,
    short_reads_and_writes_change_nothing,
}

/// One of the two networks of a fixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// That of the node under test.
    Ours,
    /// Another one.
    Theirs,
}

/// How to build the protector under test for nodes of two networks.
#[derive(Clone)]
pub struct Fixture {
    build: Arc<dyn Fn(Network) -> Arc<dyn Protector> + Send + Sync>,
    key: Vec<u8>,
}

impl Fixture {
    /// Tests this plugin with the tables of two networks, in TOML; `key` is that of the first, as bytes.
    #[must_use]
    pub fn of(plugin: Plugin<layer::Protector>, ours: &str, theirs: &str, key: &[u8]) -> Self {
        let (ours, theirs) = (ours.to_string(), theirs.to_string());
        Self::new(key, move |network| match network {
            Network::Ours => build(&plugin, &ours, &build_cx()),
            Network::Theirs => build(&plugin, &theirs, &build_cx()),
        })
    }

    /// Tests the protectors that a function makes; `key` is that of [`Network::Ours`].
    pub fn new(key: &[u8], build: impl Fn(Network) -> Arc<dyn Protector> + Send + Sync + 'static) -> Self {
        Self { build: Arc::new(build), key: key.to_vec() }
    }

    fn ours(&self) -> Arc<dyn Protector> {
        (self.build)(Network::Ours)
    }

    fn theirs(&self) -> Arc<dyn Protector> {
        (self.build)(Network::Theirs)
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fixture")
    }
}

impl harness::Fixture for Fixture {}
