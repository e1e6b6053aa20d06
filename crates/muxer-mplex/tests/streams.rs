//! Streams over this muxer alone, on links of every kind.

use skep_api::{ConfigSection, security::Role};
use skep_testkit::{
    DuplexConfig, build_cx,
    suite::streams::{Carries, Fixture, model},
};
use std::time::Duration;

/// Half of what a stream may leave unread before it holds up the others.
const UNREAD: usize = 128 * 1024;

/// With the default table.
fn mplex(duplex: DuplexConfig) -> Fixture {
    configured("", duplex).without_flow_control(UNREAD)
}

/// With room for all that a random script writes, so that no stream is given up: the model knows of none.
fn roomy(duplex: DuplexConfig) -> Fixture {
    configured("max_streams = 64\nmax_buffer = 16777216", duplex)
}

fn configured(table: &'static str, duplex: DuplexConfig) -> Fixture {
    Fixture::muxer(Carries::NOTHING, duplex, move || {
        let table = toml::from_str(table).unwrap_or_else(|e| panic!("{e}"));
        let section = ConfigSection::from_table("muxer.mplex", table);
        (skep_muxer_mplex::PLUGIN.build)(&section, &build_cx()).unwrap_or_else(|e| panic!("{e}"))
    })
}

/// A link with room for less than a frame, which cuts what it carries at odd places.
fn fragments() -> DuplexConfig {
    DuplexConfig::short(1_021, 769).with_capacity(4_999)
}

/// A slow link with room for more than a buffer.
fn distant() -> DuplexConfig {
    DuplexConfig::default().with_latency(Duration::from_millis(30)).with_capacity(4 << 20)
}

/// One line for each link.
macro_rules! links {
    ($($link:ident: $duplex:expr;)+) => { $(
        mod $link {
            use super::*;
            mod dialer_opens {
                skep_testkit::streams_suite!(super::mplex($duplex));
            }
            mod listener_opens {
                skep_testkit::streams_suite!(super::mplex($duplex).opened_by(super::Role::Listener));
            }
        }
    )+ };
}

links! {
    fast: super::DuplexConfig::default();
    cut_into_fragments: super::fragments();
    far_away: super::distant();
}

#[test]
fn random_scripts_end_as_the_model_says() {
    model::check(&roomy(DuplexConfig::default()), 256);
}

#[test]
fn random_scripts_end_as_the_model_says_on_fragments() {
    model::check(&roomy(fragments()).opened_by(Role::Listener), 256);
}

#[test]
#[ignore = "minutes; for changes of the ends of streams"]
fn twenty_thousand_random_scripts_end_as_the_model_says() {
    for duplex in [DuplexConfig::default(), fragments(), distant()] {
        model::check(&roomy(duplex), 20_000);
    }
}
