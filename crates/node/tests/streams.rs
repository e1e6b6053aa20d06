//! Streams between whole nodes, over every combination of transport, security and muxer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod stacks;

use skep_testkit::{
    harness::Clock,
    suite::streams::{Carries, Fixture},
};
use stacks::{Layers, connect};

/// The streams of nodes with these layers.
fn nodes(layers: Layers, clock: Clock, carries: Carries) -> Fixture {
    Fixture::new(clock, carries, move || connect(layers))
}

/// One line for each combination: the three plugins, where to listen, the clock, and what the muxer carries.
macro_rules! combinations {
    ($($name:ident: [$($layer:ident)::+, $security:ident, $muxer:ident] at $at:literal, $clock:ident, $carries:ident;)+) => { $(
        mod $name {
            fn fixture() -> super::Fixture {
                let layers = super::Layers {
                    transport: skep::$($layer)::+::PLUGIN,
                    security: skep::$security::PLUGIN,
                    muxer: skep::$muxer::PLUGIN,
                    listen: $at,
                };
                super::nodes(layers, super::Clock::$clock, super::Carries::$carries)
            }
            mod dialer_opens {
                skep_testkit::streams_suite!(super::fixture());
            }
            mod listener_opens {
                skep_testkit::streams_suite!(super::fixture().opened_by(skep::api::security::Role::Listener));
            }
        }
    )+ };
}

combinations! {
    tcp_noise_yamux: [transport_tcp, security_noise, muxer_yamux] at "/ip4/127.0.0.1/tcp/0", Real, RESETS_AND_CLOSES;
    memory_noise_yamux: [transport_memory, security_noise, muxer_yamux] at "/memory/0", Paused, RESETS_AND_CLOSES;
}
