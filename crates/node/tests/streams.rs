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

/// The same over mplex, which has no windows: what the scripts leave unread has to fit in half of a stream's buffer.
fn nodes_without_windows(layers: Layers, clock: Clock, carries: Carries) -> Fixture {
    nodes(layers, clock, carries).without_flow_control(128 * 1024)
}

/// One line for each combination: how it is made, the three plugins, where to listen, the clock, and what the muxer
/// carries. QUIC brings its own security and streams, and runs the scripts in its own crate.
macro_rules! combinations {
    ($($name:ident: $nodes:ident [$($layer:ident)::+, $security:ident, $muxer:ident] at $at:literal, $clock:ident, $carries:ident;)+) => { $(
        mod $name {
            fn fixture() -> super::Fixture {
                let layers = super::Layers {
                    transport: skep::$($layer)::+::PLUGIN,
                    security: skep::$security::PLUGIN,
                    muxer: skep::$muxer::PLUGIN,
                    listen: $at,
                };
                super::$nodes(layers, super::Clock::$clock, super::Carries::$carries)
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
    tcp_noise_yamux: nodes [transport_tcp, security_noise, muxer_yamux] at "/ip4/127.0.0.1/tcp/0", Real, RESETS_AND_CLOSES;
    memory_noise_yamux: nodes [transport_memory, security_noise, muxer_yamux] at "/memory/0", Paused, RESETS_AND_CLOSES;
    tcp_tls_yamux: nodes [transport_tcp, security_tls, muxer_yamux] at "/ip4/127.0.0.1/tcp/0", Real, RESETS_AND_CLOSES;
    memory_tls_yamux: nodes [transport_memory, security_tls, muxer_yamux] at "/memory/0", Paused, RESETS_AND_CLOSES;
    ws_noise_yamux: nodes [transport_websocket, security_noise, muxer_yamux] at "/ip4/127.0.0.1/tcp/0/ws", Real, RESETS_AND_CLOSES;
    tcp_noise_mplex: nodes_without_windows [transport_tcp, security_noise, muxer_mplex] at "/ip4/127.0.0.1/tcp/0", Real, NOTHING;
    memory_tls_mplex: nodes_without_windows [transport_memory, security_tls, muxer_mplex] at "/memory/0", Paused, NOTHING;
}
