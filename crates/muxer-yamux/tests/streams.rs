//! Streams over this muxer alone, on links of every kind.

use skep_api::{ConfigSection, security::Role};
use skep_testkit::{
    DuplexConfig, build_cx,
    suite::streams::{Carries, Fixture, model},
};
use std::time::Duration;

fn yamux(duplex: DuplexConfig) -> Fixture {
    Fixture::muxer(Carries::RESETS_AND_CLOSES, duplex, || {
        let section = ConfigSection::empty("muxer.yamux");
        (skep_muxer_yamux::PLUGIN.build)(&section, &build_cx()).unwrap_or_else(|e| panic!("{e}"))
    })
}

/// A link with room for less than a frame, which cuts what it carries at odd places.
fn fragments() -> DuplexConfig {
    DuplexConfig::short(1_021, 769).with_capacity(4_999)
}

/// A slow link with room for more than a window.
fn distant() -> DuplexConfig {
    DuplexConfig::default().with_latency(Duration::from_millis(30)).with_capacity(4 << 20)
}

/// One line for each link.
macro_rules! links {
    ($($link:ident: $duplex:expr;)+) => { $(
        mod $link {
            use super::*;
            mod dialer_opens {
                skep_testkit::streams_suite!(super::yamux($duplex));
            }
            mod listener_opens {
                skep_testkit::streams_suite!(super::yamux($duplex).opened_by(super::Role::Listener));
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
    model::check(&yamux(DuplexConfig::default()), 256);
}

#[test]
fn random_scripts_end_as_the_model_says_on_fragments() {
    model::check(&yamux(fragments()).opened_by(Role::Listener), 256);
}

#[test]
#[ignore = "minutes; for changes of the ends of streams"]
fn twenty_thousand_random_scripts_end_as_the_model_says() {
    for duplex in [DuplexConfig::default(), fragments(), distant()] {
        model::check(&yamux(duplex), 20_000);
    }
}
